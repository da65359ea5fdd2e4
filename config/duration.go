package config

import "time"

// parseDuration reads a duration as [time.ParseDuration] does, which, with its errors,
// would be 10 kB of the module.
func parseDuration(s string) (d time.Duration, ok bool) {
	negative := s != "" && s[0] == '-'
	if negative || s != "" && s[0] == '+' {
		s = s[1:]
	}
	if s == "0" {
		return 0, true
	}
	const most = 1 << 63 // of nanoseconds, if they are negative
	var sum uint64
	ok = s != ""
	for ok && s != "" {
		whole, _, rest, fits := leadingNumber(s)
		digits := len(s) - len(rest)
		var fraction uint64
		scale := 1.0
		if rest != "" && rest[0] == '.' {
			before := len(rest[1:])
			fraction, scale, rest, _ = leadingNumber(rest[1:])
			digits += before - len(rest)
		}
		var unit uint64
		unit, s = leadingUnit(rest)
		if !fits || digits == 0 || unit == 0 || whole > most/unit {
			return 0, false
		}
		part := whole*unit + uint64(float64(fraction)*(float64(unit)/scale))
		sum += part
		ok = part <= most && sum <= most
	}
	if negative {
		return -time.Duration(sum), ok
	}
	return time.Duration(sum), ok && sum < most
}

// leadingNumber reads the digits at the beginning of s, those that fit: their number is
// divided by scale if they are a fraction.
func leadingNumber(s string) (n uint64, scale float64, rest string, fits bool) {
	scale, fits = 1, true
	i := 0
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		next := 10*n + uint64(s[i]-'0')
		if fits = fits && n <= 1<<63/10 && next <= 1<<63; fits {
			n, scale = next, 10*scale
		}
	}
	return n, scale, s[i:], fits
}

// leadingUnit reads what stands before the next number, as nanoseconds; 0 if it is no unit.
func leadingUnit(s string) (unit uint64, rest string) {
	i := 0
	for i < len(s) && s[i] != '.' && (s[i] < '0' || '9' < s[i]) {
		i++
	}
	switch s[:i] {
	case "ns":
		unit = 1
	case "us", "µs", "μs": // the micro sign, and the letter mu
		unit = uint64(time.Microsecond)
	case "ms":
		unit = uint64(time.Millisecond)
	case "s":
		unit = uint64(time.Second)
	case "m":
		unit = uint64(time.Minute)
	case "h":
		unit = uint64(time.Hour)
	}
	return unit, s[i:]
}

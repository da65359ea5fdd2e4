package config

import (
	"testing"
	"time"
)

// FuzzDuration: what is read, and as what, doesn't differ from the standard library.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{
		"", "0", "+0", "-0", "00", "0s", "1", "s", ".", ".s", "1.s", ".5s", "-.5s", "+5s", "--5s", "+-5s", "-", "+",
		"5s", "600s", "10m", "1h30m", "1h 30m", "1d", "1H", "5 s", " 5s", "5s ", "1.5h", "1.5.5h", "1h-5m", "0x5s", "1e3s",
		"3ns", "3us", "3µs", "3μs", "3ms", "3\xb5s", "3sec", "3m3", "3m.3", "3m.3s", "1ns1us1ms1s1m1h", "1s1s",
		"9223372036854775807ns", "9223372036854775808ns", "-9223372036854775808ns", "-9223372036854775809ns",
		"9223372036.854775807s", "9223372036.854775808s", "-9223372036.854775808s", "2562047h47m16.854775807s",
		"2562047h47m16.854775808s", "-2562047h47m16.854775808s", "9223372036854775808h", "18446744073709551616ns",
		"-9223372036854775808ns1ns", "9223372036854775807ns1ns", "0.9223372036854775807s", "0.9223372036854775808h",
		"0.100000000000000000000h", "0.3333333333333333333h", "0.830103483285477580700h", "1.99999999999999999999s",
		"0.00000000000000000000000000000000000000001h", "99999999999999999999.5s", "0000000000000000000000000001s",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := time.ParseDuration(s)
		got, ok := parseDuration(s)
		if ok != (err == nil) || ok && got != want {
			t.Errorf("parseDuration(%q) = %d, %t; the standard library has %d, %v", s, got, ok, want, err)
		}
	})
}

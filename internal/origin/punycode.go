package origin

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// toASCII returns a host as browsers send it: in lower case, and labels with letters
// outside ASCII in Punycode (RFC 3492) after "xn--". It is only for suggestions, and
// knows the letters of which the mapping of the URL standard
// (https://url.spec.whatwg.org/#idna) makes nothing but lower case; ok is false for
// others. golang.org/x/net/idna knows all, in 300 kB of tables.
func toASCII(host string) (ascii string, ok bool) {
	if !utf8.ValidString(host) || len(host) > 4*MaxHost {
		return "", false
	}
	labels := strings.Split(host, ".")
	for i, label := range labels {
		if IsASCII(label) {
			labels[i] = strings.ToLower(label)
			continue
		}
		runes := []rune(label)
		for j, r := range runes {
			lower := unicode.ToLower(r)
			if lower >= utf8.RuneSelf && !plainLetter(lower) || lower < r && r != unicode.ToUpper(lower) || r == 'İ' ||
				r == 'ẞ' {
				return "", false
			}
			runes[j] = lower
		}
		labels[i] = "xn--" + punycode(runes)
	}
	return strings.Join(labels, "."), true
}

// plainLetter reports whether a letter in lower case is mapped to itself, wherever it
// stands.
func plainLetter(r rune) bool {
	switch {
	case 'à' <= r && r <= 'ž' && r != '÷': // Latin-1 and Extended-A, but the ligatures
		return r != 'ĳ' && r != 'ŀ' && r != 'ŉ'
	case 'ά' <= r && r <= 'ώ', 'а' <= r && r <= 'џ', r == 'ґ', r == 'ß': // Greek and Cyrillic
		return true
	case 'א' <= r && r <= 'ת', 'ء' <= r && r <= 'غ', 'ف' <= r && r <= 'ي': // Hebrew and Arabic
		return true
	case 'ก' <= r && r <= 'ะ', 'ぁ' <= r && r <= 'ゖ', 'ァ' <= r && r <= 'ヶ', r == 'ー': // Thai and Kana
		return true
	case '一' <= r && r <= '\u9fa5', '가' <= r && r <= '힣': // Han and Hangul
		return true
	}
	return false
}

// The parameters of Punycode (RFC 3492, section 5).
const base, tMin, tMax, skew, damp, initialBias = 36, 1, 26, 38, 700, 72

// punycode encodes a label (RFC 3492, section 6.3).
func punycode(label []rune) string {
	var out []byte
	for _, r := range label {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(utf8.RuneSelf), 0, initialBias
	for done := basic; done < len(label); n++ {
		least := leastFrom(label, n)
		delta += int(least-n) * (done + 1)
		n = least
		for _, r := range label {
			switch {
			case r < n:
				delta++
			case r == n:
				out = appendDelta(out, delta, bias)
				done++
				bias = adapt(delta, done, done == basic+1)
				delta = 0
			}
		}
		delta++
	}
	return string(out)
}

// leastFrom is the least character of a label that is not below n.
func leastFrom(label []rune, n rune) rune {
	least := rune(unicode.MaxRune)
	for _, r := range label {
		if r >= n {
			least = min(least, r)
		}
	}
	return least
}

// appendDelta encodes a delta as an integer of variable length.
func appendDelta(out []byte, delta, bias int) []byte {
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	for k := base; ; k += base {
		t := min(max(k-bias, tMin), tMax)
		if delta < t {
			return append(out, digits[delta])
		}
		out = append(out, digits[t+(delta-t)%(base-t)])
		delta = (delta - t) / (base - t)
	}
}

// adapt is the bias after so many characters (RFC 3492, section 6.1).
func adapt(delta, done int, first bool) (bias int) {
	if first {
		delta /= damp
	} else {
		delta /= 2
	}
	delta += delta / done
	for ; delta > (base-tMin)*tMax/2; bias += base {
		delta /= base - tMin
	}
	return bias + (base-tMin+1)*delta/(delta+skew)
}

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
			if lower >= utf8.RuneSelf && !plainLetter(lower) || lower < r && r != unicode.ToUpper(lower) || r == 'İ' || r == 'ẞ' {
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

// punycode encodes a label (RFC 3492, section 6.3).
func punycode(label []rune) string {
	const base, tMin, tMax, skew, damp, initialBias, initialN = 36, 1, 26, 38, 700, 72, 128
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
	n, delta, bias := rune(initialN), 0, initialBias
	for done := basic; done < len(label); {
		least := rune(unicode.MaxRune)
		for _, r := range label {
			if r >= n {
				least = min(least, r)
			}
		}
		delta += int(least-n) * (done + 1)
		n = least
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			q := delta
			for k := base; ; k += base {
				t := min(max(k-bias, tMin), tMax)
				if q < t {
					break
				}
				out = append(out, punycodeDigit(t+(q-t)%(base-t)))
				q = (q - t) / (base - t)
			}
			out = append(out, punycodeDigit(q))
			// The bias adapts (section 6.1).
			if done == basic {
				delta /= damp
			} else {
				delta /= 2
			}
			done++
			delta += delta / done
			k := 0
			for ; delta > (base-tMin)*tMax/2; k += base {
				delta /= base - tMin
			}
			bias = k + (base-tMin+1)*delta/(delta+skew)
			delta = 0
		}
		delta++
		n++
	}
	return string(out)
}

func punycodeDigit(d int) byte { return "abcdefghijklmnopqrstuvwxyz0123456789"[d] }

package config

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// FuzzDuration: what is read, and as what, doesn't differ from the standard library.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{
		"", "0", "+0", "-0", "00", "0s", "1", "s", ".", ".s", "1.s", ".5s", "-.5s", "+5s", "--5s", "+-5s", "-", "+",
		"5s", "600s", "10m", "1h30m", "1h 30m", "1d", "1H", "5 s", " 5s", "5s ", "1.5h", "1.5.5h", "1h-5m", "0x5s", "1e3s",
		"3ns", "3us", "3µs", "3μs", "3ms", "3\xb5s", "3sec", "3m3", "3m.3", "1h9m", "1h0m", "3m.3s", "1ns1us1ms1s1m1h", "1s1s",
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

// FuzzTimes: each field that is a time takes what is within its limits, as a text or as seconds, and
// means that.
func FuzzTimes(f *testing.F) {
	for field := range len(timeFields) {
		for _, s := range []string{
			`"10s"`, `"100ms"`, `"1m0.5s"`, `"24h"`, `"24h1ns"`, `"99ms"`, `"0"`, `"-1s"`, `"10"`, `"1d"`, "10", "0.1", "0.05", "1e1",
			"1e400", "-1e400", "86400", "86400.5", "604800", "0", "-1", "299.9999999999", "9223372037", "null", "[]", `""`, "600",
		} {
			f.Add(uint8(field), s)
		}
	}
	f.Fuzz(func(t *testing.T, number uint8, text string) {
		_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
		if _, ok := CheckSyntax(text); !ok || strings.ContainsAny(text, "{[") || len(text) > 400 || len(exponent) > 4 {
			return // another field could stand in it, or it takes long to be worked out exactly
		}
		field := timeFields[int(number)%len(timeFields)]
		c, problems := Parse(fmt.Sprintf(field.document, text))
		want, given := nanoseconds(text)
		if !given {
			if isNull := strings.TrimSpace(text) == "null"; isNull != (c != nil) {
				t.Errorf("%s: %v", text, problems)
			}
			return
		}
		least, most := big.NewRat(int64(field.least), 1), big.NewRat(int64(field.most), 1)
		within := want.Cmp(least) >= 0 && want.Cmp(most) <= 0 && (!field.whole || whole(text, want))
		if within != (c != nil) {
			// A number has no more digits than a float64.
			exact := want.Cmp(least) == 0 || want.Cmp(most) == 0
			if !exact && (nearly(want, least) || nearly(want, most)) {
				return
			}
			t.Fatalf("%s: within the limits: %t; %v", fmt.Sprintf(field.document, text), within, problems)
		}
		if got := new(big.Rat); within && !nearly(got.SetInt64(int64(field.read(c))), want) {
			t.Errorf("%s is read as %s", text, field.read(c))
		}
	})
}

// timeFields are the fields that are times.
var timeFields = []struct {
	document    string
	least, most time.Duration
	whole       bool // seconds
	read        func(c *Document) time.Duration
}{
	{`{"policy_source": {"cluster": "a", "interval": %s}}`, 100 * time.Millisecond, 24 * time.Hour, false,
		func(c *Document) time.Duration { return c.PolicySource.Interval }},
	{`{"policy_source": {"cluster": "a", "timeout": %s}}`, 10 * time.Millisecond, time.Minute, false,
		func(c *Document) time.Duration { return c.PolicySource.Timeout }},
	{`{"policy_source": {"cluster": "a", "wait": %s}}`, time.Second, 5 * time.Minute, false,
		func(c *Document) time.Duration { return c.PolicySource.Wait }},
	{`{"origin_lookup": {"cluster": "a", "timeout": %s}}`, 10 * time.Millisecond, time.Minute, false,
		func(c *Document) time.Duration { return onlyLookup(c).Timeout }},
	{`{"origin_lookup": {"cluster": "a", "ttl": %s}}`, 0, 24 * time.Hour, false,
		func(c *Document) time.Duration { return onlyLookup(c).TTL }},
	{`{"origin_lookup": {"cluster": "a", "stale": %s}}`, 0, 7 * 24 * time.Hour, false,
		func(c *Document) time.Duration { return onlyLookup(c).Stale }},
	{`{"allow_origins": ["*"], "max_age": %s}`, 0, 24 * time.Hour, true, maxAgeOf},
}

func onlyLookup(c *Document) *OriginLookup { return c.Lookups[c.Policies.All()[0]] }

// maxAgeOf is the Access-Control-Max-Age that the policy sends.
func maxAgeOf(c *Document) time.Duration {
	d := c.Policies.All()[0].Decide(&cors.Request{Method: "OPTIONS", HasOrigin: true, RequestMethod: "GET"})
	for _, h := range d.AppendHeaders(nil) {
		if h.Name == "access-control-max-age" {
			seconds, _ := strconv.Atoi(h.Value)
			return time.Duration(seconds) * time.Second
		}
	}
	return -1
}

// nanoseconds is what a text of JSON means as a time, if it means one.
func nanoseconds(text string) (ns *big.Rat, ok bool) {
	text = strings.TrimSpace(text)
	if quoted, err := strconv.Unquote(text); err == nil && text[0] == '"' {
		d, err := time.ParseDuration(quoted)
		return big.NewRat(int64(d), 1), err == nil
	}
	if ns, ok = new(big.Rat).SetString(text); ok {
		ns.Mul(ns, big.NewRat(int64(time.Second), 1))
	}
	return ns, ok
}

// whole reports whether a time is one of whole seconds, and written so.
func whole(text string, ns *big.Rat) bool {
	seconds := new(big.Rat).Mul(ns, big.NewRat(1, int64(time.Second)))
	return seconds.IsInt() && (strings.Contains(text, `"`) || !strings.ContainsAny(text, ".eE"))
}

// nearly reports whether two times differ by no more than what a float64 may lose.
func nearly(a, b *big.Rat) bool {
	difference := new(big.Rat).Sub(a, b)
	return difference.Abs(difference).Cmp(big.NewRat(1, 1)) <= 0
}

package origin

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/publicsuffix"
)

// TestSoundness puts regexes together at random. Of those that go with credentials the
// origins at random are of few registrable domains; of the others many are not.
func TestSoundness(t *testing.T) {
	pick := func(list ...string) string { return list[rand.IntN(len(list))] }
	accepted, open := 0, 0
	for range 3000 {
		expr := pick("https://", "https://", "^https://", "(?i)https://") +
			pick("", ".*", `.*\.`, `[a-z]+`, `[a-z0-9-]+\.`, `([a-z]+\.)*`, `(.*\.)?`, `(a|b)\.`, `(www)?`, `.`, `\.?`,
				`[^.]*`, `a.`) +
			pick("", "example", "my-name", "exam.ple", "(a|b)", "[a-z]+", "[0-9]", ".*", "s3", `a\.kobe`, "city") +
			pick(`\.`, ".", "", `\.?`, `(\.|-)`) +
			pick("com", `co\.uk`, "co.uk", `github\.io`, `(com|org)`, `[a-z]{2}`, `com(\.au)?`, `kobe\.jp`,
				`amazonaws\.com`, `.*`, "", "internal", `ck`) +
			pick("", "", `(:[0-9]+)?`, `.*`, `\.?`, ":8443", "$")
		a, _, what, _ := compileRegex(expr, NewRegexBudget())
		if what != "" {
			t.Fatal(what)
		}
		samples, domains := 0, map[string]bool{}
		for range 100 {
			origin := sampleHost(a)
			if o, ok := parseOrigin(origin); ok && a.MatchString(origin) && !CanonicalIPv4(o.host) {
				if domain := registrable(strings.TrimSuffix(o.host, ".")); domain != "" {
					samples++
					domains[domain] = true
				}
			}
		}
		many := len(domains) > 25 && len(domains)*10 > samples*9
		p, _, _ := compileOne(expr, true)
		switch {
		case p != nil && many:
			t.Errorf("%s is accepted, and %d origins that it matches are of %d domains", expr, samples, len(domains))
		case p != nil:
			accepted++
		case many:
			open++
		}
	}
	if accepted < 100 || open < 100 {
		t.Errorf("%d regexes were accepted, and %d refused that match many domains: that proves little", accepted, open)
	}
}

// sampleHost is an origin at random that the automaton doesn't die on.
func sampleHost(a *automaton) string {
	const bytes = "abcdefghijklmnopqrstuvwxyz0123456789-..."
	host := "https://"
	state := a.run(startState, host)
	for range 40 {
		if a.final[state] && rand.IntN(5) == 0 {
			break
		}
		// What is literal is followed; where there is a choice it is taken at random.
		next, c := uint16(deadState), byte(0)
		for range 60 {
			c = bytes[rand.IntN(len(bytes))]
			if next = a.step(state, c); next != deadState {
				break
			}
		}
		if next == deadState {
			break
		}
		state, host = next, host+string(c)
	}
	return host
}

// registrable is the registrable domain of a host, or the host below a name that nobody
// can register, or "" of a public suffix.
func registrable(host string) string {
	for domain := host; domain != ""; {
		_, parent, more := strings.Cut(domain, ".")
		if !more {
			return ""
		}
		if publicsuffix.Is(parent) && !publicsuffix.Is(domain) {
			if owned(parent) {
				return parent
			}
			return domain
		}
		domain = parent
	}
	return ""
}

package origin

import (
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

	"fmt"
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// oracle is the regex as package regexp has it, which must match the whole text.
func oracle(expr string) *regexp.Regexp {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	return regexp.MustCompile(`\A(?:` + parsed.String() + `)\z`)
}

// FuzzAutomaton compares automata with package regexp, alone and combined, and what a
// regex becomes with what its text made expect.
func FuzzAutomaton(f *testing.F) {
	for _, expr := range []string{
		`https://app\.example`, `https://.*\.example\.com`, `^https://[^.]+\.example\.com$|^http://a$`, `(?i)https://a`,
		`\bhttps\b.*\Ba`, `a{2,5}b*?`,
		`(a|ab)(c|bcd)(d*)`, `[[:alpha:]]+\.[^a-c]`, `\Qa.b\E+`, `(?m)^a$`, `(?s).*`, `a|`, `(?:)`,
		`\x41\x{42}[\x43-\x45]`, `\pL+\PL`, `.`, `$^`, `x\b`, `(?i)k`,
		`[[:]a{3}]`, `[]a]{4}`, `[^]a]{4}`, `(?P<n>a{3})`, `a{,3}`, `a{3,`, `\Q[\E(?:a{9}){9}`, `[\Q]`, `()`, `(a*)*`,
		`(a|b|c|d)+|[e-g]`, `\C`, `a**`, "\\bhttps\x7f*a",
	} {
		f.Add(expr, "https://app.example", "")
		f.Add(expr, "abbcd", `https://a\.example`)
	}
	f.Fuzz(func(t *testing.T, expr, text, other string) {
		re := oracle(expr)
		checkEstimate(t, expr)
		a, _, what, instead := compileRegex(expr, NewRegexBudget())
		switch {
		case a == nil && (what == "" || instead == "" || strings.ContainsAny(what+instead, "\n\r")):
			t.Fatalf("%q: %q; %q", expr, what, instead)
		case a == nil:
			return
		case re == nil:
			t.Fatalf("%q is accepted", expr)
		}
		texts := []string{text, "", expr, "null", "a", "abbcd", "https://app.example"}
		for range 20 {
			texts = append(texts, sample(a))
		}
		list := []*automaton{a}
		otherRe := oracle(other)
		if b, _, what, _ := compileRegex(other, NewRegexBudget()); what == "" {
			list = append(list, b)
			texts = append(texts, sample(b))
		} else {
			otherRe = nil
		}
		combined := combine(list, NewRegexBudget())
		for _, s := range texts {
			if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
				continue // no origin has such characters
			}
			if got, want := a.MatchString(s), re.MatchString(s); got != want {
				t.Errorf("%q matches %q: %t, want %t", expr, s, got, want)
			}
			got := false
			for _, u := range combined {
				got = got || u.MatchString(s)
			}
			if want := re.MatchString(s) || otherRe != nil && otherRe.MatchString(s); got != want {
				t.Errorf("%q or %q matches %q: %t, want %t", expr, other, s, got, want)
			}
		}
		v := examine(a, NewRegexBudget())
		if v.others && v.hole != "" && !strings.Contains(v.hole, "…") && !re.MatchString(v.hole) {
			t.Errorf("%q doesn't match %s", expr, v.hole)
		}
		for _, credentials := range []bool{true, false} {
			_, _, found := compileOne(expr, credentials)
			checkSuggestion(t, found, credentials)
		}
	})
}

// sample is a text at random on which the automaton doesn't die.
func sample(a *automaton) string {
	var b []byte
	state := uint16(startState)
	for range 40 {
		c := byte('!' + rand.IntN('~'-'!'+1))
		for range 200 {
			if a.step(state, c) != deadState {
				break
			}
			c = byte('!' + rand.IntN('~'-'!'+1))
		}
		if state = a.step(state, c); state == deadState {
			break
		}
		b = append(b, c)
		if a.final[state] && rand.IntN(4) == 0 {
			break
		}
	}
	return string(b)
}

// checkEstimate checks that a regex becomes no more than its text made expect.
func checkEstimate(t *testing.T, expr string) {
	t.Helper()
	if len(expr) > maxRegex {
		return
	}
	s := regexScanner{expr: expr}
	s.scan()
	if s.instructions > 1<<20 {
		return // package syntax may take long, too
	}
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err == nil && len(prog.Inst) > s.instructions {
		t.Errorf("%q has %d instructions, and %d were expected", expr, len(prog.Inst), s.instructions)
	}
}

// hostile are regexes that are small and would become large.
var hostile = map[string]string{
	"nested repetitions":       `(?:(?:a{1000}){1000})`,
	"a long repetition":        strings.Repeat("a{1000}", 500),
	"repeated groups":          `(?:` + strings.Repeat("ab", 1000) + `){1000}`,
	"a quoted bracket":         `\Q[\E(?:` + strings.Repeat("ab", 1000) + `){1000}`,
	"a class with a bracket":   `[[:](?:` + strings.Repeat("ab", 1000) + `){1000}`,
	"Unicode classes":          strings.Repeat(`\pL`, 1300),
	"folded Unicode classes":   `(?i)` + strings.Repeat(`\pL`, 1300),
	"Unicode in brackets":      `(?i)[` + strings.Repeat(`\pL\PN`, 600) + `]`,
	"few Unicode classes":      `(?i)` + strings.Repeat(`[\pL\pN\pS]`, 14),
	"folded ranges":            `(?i)` + strings.Repeat(`[B-\x{1e942}]`, 250),
	"a folded range":           `(?i)[B-\x{1e942}]`,
	"nested groups":            strings.Repeat("(", 2000) + "a" + strings.Repeat(")", 2000),
	"open groups":              strings.Repeat("(", 4000),
	"nested groups, repeated":  strings.Repeat("(", 40) + "a" + strings.Repeat(")?", 40),
	"nested optional":          `a{0,1000}`,
	"exponentially many":       `.*a.{30}`,
	"exponentially many more":  `(.*a.{12}){3}b.{900}`,
	"many alternatives":        strings.Repeat("ab|", 1300) + "c",
	"many ways through":        `(((a*)*)*|((b?)*a)*){20}` + strings.Repeat("(a|b|ab)*", 200),
	"a long text":              strings.Repeat("a", 1<<20),
	"a long wildcard":          `https://` + strings.Repeat(".*", 2000) + `example\.com`,
	"many wildcards":           `https://` + strings.Repeat("[a-z]*[0-9]*", 300) + `\.example\.com`,
	"many domains":             `https://[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]\.com`,
	"many addresses":           `https://[12]?[0-9]?[13579]\.[0-9]?[02468]\.[0-9]+\.[0-9]+`,
	"many IPv6 addresses":      `https://\[(a|b|:|c)*1(a|b|:|c)*\]`,
	"long counted wildcard":    `https://[a-z0-9.-]{1,253}\.example\.com`,
	"longer counted wildcards": `https://[a-z0-9.-]{1,253}\.[a-z0-9.-]{1,253}\.example\.com`,
	"many word boundaries":     `https://` + strings.Repeat(`\b.?\B.?`, 300),
}

// TestHostileRegexes: no regex, however small, takes much memory, or recurses deep,
// before it is refused or accepted.
func TestHostileRegexes(t *testing.T) {
	const bound = 32 << 20
	for name, expr := range hostile {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			set, _, found := compileOne(expr, true)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > bound {
				t.Errorf("allocates %d kB", allocated>>10)
			} else if testing.Verbose() {
				t.Logf("allocates %d kB: %.300s; %s", allocated>>10, found.What, found.Instead)
			}
			if set != nil && set.regexps[0].size() > 1<<20 {
				t.Errorf("takes %d bytes", set.regexps[0].size())
			}
			checkEstimate(t, expr)
			checkSuggestion(t, found, true)
		})
	}
}

// TestRegexMemory: what it takes to parse a regex is known from its text.
func TestRegexMemory(t *testing.T) {
	for name, expr := range hostile {
		estimate, what, instead := regexMemory(expr)
		if what != "" {
			if instead == "" {
				t.Errorf("%s: nothing to do about %s", name, what)
			}
			continue
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		parsed, err := syntax.Parse(expr, syntax.Perl)
		if err == nil {
			_, err = syntax.Compile(parsed.Simplify())
		}
		runtime.ReadMemStats(&after)
		if took := int(after.TotalAlloc - before.TotalAlloc); took > estimate {
			t.Errorf("%s: takes %d bytes, more than the %d expected (%v)", name, took, estimate, err)
		}
	}
}

// manyRegexes are regexes of n domains, no two alike.
func manyRegexes(n int) (list []Entry) {
	forms := []string{
		`https://[a-z0-9-]+\.tenant%d\.example\.com`, `https://([a-z0-9-]+\.)*site%d\.example(:[0-9]+)?`,
		`https://pr-[0-9]+\.app%d\.example\.org`, `https://(app|admin)\.t%d\.example\.(com|de)`,
		`https://.*\.x%d\.example\.net`,
	}
	for i := range n {
		list = append(list, Entry{Text: fmt.Sprintf(forms[i%len(forms)], i), Regex: true})
	}
	return list
}

// TestCombinedRegexes: a hundred regexes become one automaton, and so cost what one costs.
func TestCombinedRegexes(t *testing.T) {
	for _, n := range []int{1, 2, 3, 100, 500} {
		set, problems := compileAll(manyRegexes(n), true, NewRegexBudget())
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		size := 0
		for _, a := range set.regexps {
			size += a.size()
		}
		t.Logf("%d regexes are %d automata of %d bytes", n, len(set.regexps), size)
		if limit := 1 + n/100; len(set.regexps) > limit || size > n*8<<10 {
			t.Errorf("%d regexes are %d automata of %d bytes", n, len(set.regexps), size)
		}
		for i := range n {
			want := []string{"https://a.tenant%d.example.com", "https://a.b.site%d.example:8443",
				"https://pr-12.app%d.example.org", "https://admin.t%d.example.de", "https://a.b.x%d.example.net"}[i%5]
			origin := fmt.Sprintf(want, i)
			if _, reason := set.Match(origin); reason != Allowed {
				t.Errorf("%s is not allowed", origin)
			}
			if _, reason := set.Match(strings.Replace(origin, "example", "examplx", 1)); reason == Allowed {
				t.Errorf("%s is allowed with another domain", origin)
			}
		}
	}
}

// TestUncombinableRegexes: what can't be combined is bounded, and so is the work for many.
func TestUncombinableRegexes(t *testing.T) {
	regexes := func(n int, format string, first, step int) (list []Entry) {
		for i := range n {
			list = append(list, Entry{Text: fmt.Sprintf(format, first+i*step, i), Regex: true})
		}
		return list
	}
	const periods = `https://([a-z]{%d})+\.t%d\.example\.com`
	for _, test := range []struct {
		regexes []Entry
		refused string
	}{
		{regexes(40, periods, 31, 2), ""},
		{regexes(100, periods, 31, 2),
			`has regexes that would take too long to match; write patterns such as "https://*.example.com"`},
		{regexes(200, `https://[a-z0-9.-]{1,%d}\.(a|b%d)\.example\.com`, 40, 1),
			`the regexes, up to this one, take too long to compile together; write patterns such as "https://*.example.com"`},
	} {
		set, problems := compileAll(test.regexes, true, &RegexBudget{steps: 1 << 26, advice: NewRegexBudget()})
		if (set == nil) != (test.refused != "") || set == nil && !strings.Contains(problems[0].Error(), test.refused) ||
			len(problems) > 1 {
			t.Errorf("%s: %v", test.regexes[0].Text, problems)
		}
		if set != nil && len(set.regexps) > maxAutomata {
			t.Errorf("%d automata", len(set.regexps))
		}
	}
}

// compileAll compiles the entries of a policy.
func compileAll(entries []Entry, credentials bool, budget *RegexBudget) (*Set, []problem.Problem) {
	r := &problem.List{}
	return Compile(slices.All(entries), credentials, budget, r), r.All()
}

// BenchmarkRegexes matches origins of the greatest length that come as far as they can.
func BenchmarkRegexes(b *testing.B) {
	for _, n := range []int{1, 100, 500} {
		set, _ := compileAll(manyRegexes(n), true, NewRegexBudget())
		for name, origin := range map[string]string{
			"hostile": "https://" + strings.Repeat("a.", 113) + "site1.example.evil.test",
			"denied":  "https://app.other.example",
			"allowed": "https://app.tenant0.example.com",
		} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, reason := set.Match(origin); (reason == Allowed) != (name == "allowed") {
						b.Fatal(reason)
					}
				}
			})
		}
	}
}

// BenchmarkCompileRegex compiles a regex of the usual kind, and finds out what it matches.
func BenchmarkCompileRegex(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if p, _, _ := compileOne(`https://([a-z0-9-]+\.)*example\.com(:[0-9]+)?`, true); p == nil {
			b.Fatal("refused")
		}
	}
}

// TestRegexBudget: policies that share a budget are refused from the one on that spends it.
func TestRegexBudget(t *testing.T) {
	budget := NewRegexBudget()
	entries := manyRegexes(5)
	if set, problems := compileAll(entries, true, budget); set == nil || len(problems) > 0 {
		t.Fatal(problems)
	}
	budget.spend(regexSteps)
	if set, problems := compileAll(entries, true, budget); set != nil || len(problems) != 1 ||
		problems[0].Kind != problem.RegexTooCostly ||
		!strings.Contains(problems[0].What, "too long to compile together") {
		t.Error(problems)
	}
	if set, problems := compileAll([]Entry{{Text: "https://app.example"}}, true, budget); set == nil {
		t.Error("without a regex: ", problems)
	}
}

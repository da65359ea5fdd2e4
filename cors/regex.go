package cors

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// compileRegex compiles a regex so that it matches the whole origin.
func compileRegex(expr string) (*regexp.Regexp, error) {
	// Parsed on its own, so that what is only valid inside the brackets, such as
	// "a)|(b", is a mistake, and \Q doesn't swallow the closing one.
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + parsed.String() + `)\z`)
}

// regex compiles a regex of allow_origins, or returns nil if it is wrong.
func (b *builder) regex(expr string) *regexp.Regexp {
	re, err := compileRegex(expr)
	switch {
	case expr == "":
		b.fail("the regex is empty", `write a regex such as "https://[a-z]+\\.example\\.com", or leave it out`)
	case err != nil:
		b.fail("the regex "+quote(expr)+" is invalid: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "),
			"write it in RE2 syntax")
	case b.credentials && matchesEverything(re):
		b.fail("the regex "+quote(expr)+" matches every site, and with allow_credentials all could act as the visitor",
			"name the domain in the regex, or leave out allow_credentials")
	case b.credentials && insecureRegex(re):
		b.fail("the regex "+quote(expr)+" matches plain-http origins, and with allow_credentials that trusts whoever is on the network between",
			`begin it with "https://", or leave out allow_credentials`)
	default:
		if re.MatchString("null") && !re.MatchString("https://any.invalid") {
			b.warn("the regex "+quote(expr)+` matches "null", and a regex never allows that`, `add the entry "null"`)
		}
		return re
	}
	return nil
}

// regexSize is about how many bytes of memory a compiled regex takes.
func regexSize(re *regexp.Regexp) int { return 1024 + 300*len(re.String()) }

// matchesEverything reports whether the regex allows sites that have nothing in
// common: then it doesn't tell origins apart. It is tried on hosts that no operator
// owns, in the alphabets in which a careless regex describes "some host", under
// several top-level domains, on any port.
func matchesEverything(re *regexp.Regexp) bool {
	prog := program(re.String())
	for _, domain := range [...]string{"invalid", "com", "net", "org", "io", "dev", "app", "de", "co.uk"} {
		for _, scheme := range [...]string{"https://", "http://"} {
			n := 0
			for _, name := range [...]string{"a.", "anysite.", "any-site.", "any_site.", "a1.b2.", "www.any-site."} {
				if matchesHost(prog, scheme+name+domain) {
					n++
				}
			}
			// Two, because one may be what the operator has in mind.
			if n >= 2 {
				return true
			}
		}
	}
	return false
}

// program compiles a regex to its automaton.
func program(expr string) *syntax.Prog {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil // it was compiled before
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil
	}
	return prog
}

// matchesHost reports whether the automaton matches an origin without a port, or
// with some port.
func matchesHost(prog *syntax.Prog, s string) bool {
	states := after(prog, s)
	if matched(prog, states) {
		return true
	}
	states = step(prog, states, ':')
	for range len("65535") {
		var next []uint32
		for digit := '0'; digit <= '9'; digit++ {
			next = append(next, step(prog, states, digit)...)
		}
		slices.Sort(next)
		if states = slices.Compact(next); matched(prog, states) {
			return true
		}
	}
	return false
}

func matched(prog *syntax.Prog, states []uint32) bool {
	return slices.ContainsFunc(states, func(pc uint32) bool { return prog.Inst[pc].Op == syntax.InstMatch })
}

// after returns the states after s.
func after(prog *syntax.Prog, s string) []uint32 {
	states := closure(prog, []uint32{uint32(prog.Start)}, syntax.EmptyBeginText|syntax.EmptyBeginLine)
	for _, r := range s {
		states = step(prog, states, r)
	}
	return states
}

// insecureRegex reports whether the regex can match a plain-http origin beyond
// the loopback hosts. It walks the regex's automaton along "http://" and then
// along the host as long as that is literal text.
func insecureRegex(re *regexp.Regexp) bool {
	prog := program(re.String())
	budget := 1000
	return !onlyLoopback(prog, after(prog, "http://"), "", &budget)
}

// onlyLoopback reports whether every host that the states lead to is a loopback
// host. In doubt, as with a character class, it reports false.
func onlyLoopback(prog *syntax.Prog, states []uint32, host string, budget *int) bool {
	if *budget--; *budget < 0 || len(host) > maxHost {
		return false
	}
	next := map[rune]bool{}
	for _, pc := range states {
		inst := &prog.Inst[pc]
		switch inst.Op {
		case syntax.InstMatch:
			if !loopback(host) {
				return false
			}
		case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			return false
		case syntax.InstRune, syntax.InstRune1:
			// A literal, which stands alone, or the pairs of a class.
			for i := 0; i < len(inst.Rune); i += 2 {
				first, last := inst.Rune[i], inst.Rune[min(i+1, len(inst.Rune)-1)]
				if last-first > 16 {
					return false
				}
				for r := first; r <= last; r++ {
					// A literal that ignores case is in upper case, and origins never are.
					next[unicode.ToLower(r)] = true
				}
			}
		}
	}
	for r := range next {
		if r == ':' && !strings.HasPrefix(host, "[") || r == ':' && strings.HasSuffix(host, "]") {
			if !loopback(host) {
				return false
			}
			continue // what follows is the port
		}
		if !onlyLoopback(prog, step(prog, states, r), host+string(r), budget) {
			return false
		}
	}
	return true
}

// step returns the states after the rune r.
func step(prog *syntax.Prog, states []uint32, r rune) []uint32 {
	var next []uint32
	for _, pc := range states {
		switch inst := &prog.Inst[pc]; inst.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if inst.MatchRune(r) {
				next = append(next, inst.Out)
			}
		}
	}
	return closure(prog, next, 0)
}

// closure follows the instructions that consume nothing. Assertions about what
// comes next are taken as true: that can only make the answer stricter.
func closure(prog *syntax.Prog, todo []uint32, behind syntax.EmptyOp) []uint32 {
	seen := make([]bool, len(prog.Inst))
	var states []uint32
	for len(todo) > 0 {
		pc := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch inst := &prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			todo = append(todo, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			todo = append(todo, inst.Out)
		case syntax.InstEmptyWidth:
			const begin = syntax.EmptyBeginText | syntax.EmptyBeginLine
			if syntax.EmptyOp(inst.Arg)&begin&^behind == 0 {
				todo = append(todo, inst.Out)
			}
		case syntax.InstFail:
		default:
			states = append(states, pc)
		}
	}
	return states
}

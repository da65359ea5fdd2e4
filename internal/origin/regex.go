package origin

import (
	"regexp/syntax"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// compileRegex compiles a regex that the whole origin must match. If it can't, it says
// why, and what to do instead; but where the budget is spent.
func compileRegex(expr string, budget *RegexBudget) (a *automaton, kind problem.Kind, what, instead string) {
	if expr == "" {
		return nil, problem.RegexInvalid, "the regex is empty",
			"write a regex such as " + regexEntry(exampleRegex) + ", or leave it out"
	}
	if budget.spent() {
		return nil, 0, "", ""
	}
	memory, what, instead := regexMemory(expr)
	if what != "" {
		return nil, problem.RegexTooCostly, what, instead
	}
	budget.spend(regexBase + memory/16)
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		what, instead = invalidRegex(err)
		return nil, problem.RegexInvalid, "the regex " + problem.Quote(expr) + " is invalid: " + what, instead
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, problem.RegexInvalid, "the regex " + problem.Quote(expr) + " is invalid: " + err.Error(),
			"write it in RE2 syntax"
	}
	a, ok := determinize(prog, budget)
	if !ok {
		return nil, problem.RegexTooCostly, "the regex " + problem.Quote(expr) + " has too many ways to match",
			`repeat with + or * instead of a count`
	}
	return a, 0, "", ""
}

// invalidRegex says what the parser of regexes has against one.
func invalidRegex(err error) (what, instead string) {
	e, ok := err.(*syntax.Error) //nolint:errorlint // errors.As would bring reflection into the module
	if !ok {
		return "it can't be parsed", "write it in RE2 syntax"
	}
	switch e.Code {
	case syntax.ErrTrailingBackslash:
		return "it ends with a backslash", "leave that out, or write the character that it escapes"
	case syntax.ErrMissingParen:
		return "a parenthesis isn't closed", `add ")", or a backslash before one that is meant as it stands`
	case syntax.ErrMissingBracket:
		return "a bracket isn't closed", `add "]", or a backslash before one that is meant as it stands`
	case syntax.ErrInvalidPerlOp, syntax.ErrInvalidNamedCapture:
		for _, around := range [...]string{"(?=", "(?!", "(?<=", "(?<!"} {
			if strings.HasPrefix(e.Expr, around) {
				return "RE2 doesn't look around, as with " + around, "write what may stand there, such as (app|www)"
			}
		}
	}
	return string(e.Code) + ": " + problem.Quote(e.Expr), "write it in RE2 syntax"
}

// exampleRegex is a regex as it should be.
const exampleRegex = `https://([a-z0-9-]+\.)*example\.com`

// regexEntry is the entry of allow_origins for a regex. It isn't inlined: the copies would
// add 1 kB to the module.
//
//go:noinline
func regexEntry(expr string) string { return `{"regex": ` + problem.InQuotes(expr) + `}` }

// regex compiles the regex of the entry and reports what is wrong with it, or doubtful.
func (b *originBuilder) regex(expr string) *automaton {
	a, kind, what, instead := compileRegex(expr, b.regexBudget)
	var v verdict
	if a != nil {
		v = examine(a, b.regexBudget)
	}
	switch {
	case b.regexBudget.spent():
		b.overBudget()
		return nil
	case what != "":
		if b.Wants(false) {
			if pattern, ok := wildcard(expr, b.credentials); ok {
				instead = mending{expr: pattern, pattern: true}.instead()
			}
			b.Report(kind, what, instead)
		}
		return nil
	case !b.judge(expr, a, v):
		return nil
	}
	return a
}

// overBudget reports, once, that the regexes are too many, or too large.
func (b *originBuilder) overBudget() {
	if b.Failed = true; !b.regexBudget.said {
		b.regexBudget.said = true
		b.Fail(problem.RegexTooCostly, "the regexes, up to this one, take too long to compile together",
			`write patterns such as "https://*.example.com", or regexes with fewer counted repetitions`)
	}
}

// judge reports what is wrong with the origins that a regex matches, or doubtful, and
// whether the policy may have it.
func (b *originBuilder) judge(expr string, a *automaton, v verdict) (ok bool) {
	switch {
	case v.nothing:
		if !b.again && b.Wants(true) {
			b.Report(b.matchesNothing(expr, a, v))
		}
		return true
	case !b.credentials:
		if v.others && !v.everySite && b.Wants(true) {
			b.Report(b.alsoMatches(expr, v))
		}
		return true
	case v.trusted():
		return true
	}
	if b.Wants(false) {
		b.Report(b.untrusted(expr, v))
	}
	return false
}

func (b *originBuilder) matchesNothing(expr string, a *automaton, v verdict) (kind problem.Kind, what, instead string) {
	if a.MatchString("null") {
		return problem.RegexNull, "the regex " + problem.Quote(expr) + ` matches "null", and a regex never allows that`,
			`add the entry "null"`
	}
	m := mendRegex(expr, v, b.credentials, b.regexBudget.advice)
	return problem.NeverSent, "the regex " + problem.Quote(expr) + " matches no origin" + m.because, m.instead()
}

func (b *originBuilder) alsoMatches(expr string, v verdict) (kind problem.Kind, what, instead string) {
	instead = mendRegex(expr, v, false, b.regexBudget.advice).instead()
	if wildcard := "https://*" + v.domain; strings.HasPrefix(v.domain, ".") && validPattern(wildcard) {
		instead += ", or " + problem.InQuotes(wildcard) + " for all sites there"
	}
	return problem.OtherOwners, "the regex " + problem.Quote(expr) + " also matches " + v.example(), instead
}

// untrusted says why a policy that allows credentials may not have a regex.
func (b *originBuilder) untrusted(expr string, v verdict) (kind problem.Kind, what, instead string) {
	the := "the regex " + problem.Quote(expr)
	switch {
	case v.everySite:
		return problem.EverySite, the + " matches every site, and with allow_credentials all could act as the visitor",
			"name the domain in the regex, as in " + regexEntry(exampleRegex) + ", or leave out allow_credentials"
	case v.others:
		return problem.OtherOwners, the + " also matches " + v.example() +
				", and with allow_credentials whoever has that site could act as the visitor",
			mendRegex(expr, v, true, b.regexBudget.advice).instead()
	case v.plain:
		return problem.PlainHTTP,
			the +
				" matches plain-http origins, and with allow_credentials that trusts whoever is on the network between",
			mendRegex(expr, v, true, b.regexBudget.advice).instead() + ", or leave out allow_credentials"
	}
	return problem.RegexTooCostly,
		the + " is too complex to find out whose sites it matches, which allow_credentials makes necessary",
		"write several regexes, each of one domain, or leave out allow_credentials"
}

// trusted reports whether a policy that allows credentials may have the regex.
func (v verdict) trusted() bool { return !v.everySite && !v.others && !v.plain && !v.doubt }

// example is an origin of another owner, in the words of a message.
func (v verdict) example() string {
	if v.hole == "" {
		return "sites of other owners"
	}
	return problem.Quote(v.hole)
}

func validPattern(s string) bool {
	p, ok := readPattern(s)
	return ok && p.fits()
}

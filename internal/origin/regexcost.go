package origin

import (
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// Limits of a regex, far above what a list of origins needs.
const (
	// maxRegex is how many bytes a regex may have.
	maxRegex = 4096
	// maxInstructions bounds what a regex becomes, with its counted repetitions
	// written out, and so the depth to which the packages that compile it recurse.
	maxInstructions = 4096
	// maxGroups bounds how deep groups nest, and so the same.
	maxGroups = 50
	// maxClassBytes bounds what the character classes take, Unicode's most of all.
	maxClassBytes = 1 << 20
)

// regexMemory is about how many bytes it takes to compile a regex, at the most, as
// far as its text tells; and what is wrong with one that is beyond the limits, and
// what to do instead. It takes time linear in the text.
//
// It goes before the parser, which would take a hundred megabytes for twenty bytes.
func regexMemory(expr string) (bytes int, what, instead string) {
	if len(expr) > maxRegex {
		return 0, "the regex has more than 4096 bytes", "list the origins, or write several regexes"
	}
	s := regexScanner{expr: expr, fold: strings.Contains(expr, "(?") && strings.Contains(expr, "i")}
	s.scan()
	switch {
	case s.depth > maxGroups:
		return 0, "the regex " + problem.Quote(expr) + " has more than 50 groups in each other",
			"write it with fewer groups"
	case s.instructions > maxInstructions:
		return 0, "the regex " + problem.Quote(expr) +
				" repeats too much: it has more than 4096 characters with its repetitions written out",
			`repeat with + or * instead of a count`
	case s.classes > maxClassBytes:
		return 0, "the regex " + problem.Quote(expr) + " has too many Unicode classes",
			`use [a-z0-9-]: origins are ASCII`
	}
	return 1024*len(expr) + 512*s.instructions + s.classes, "", ""
}

// A RegexBudget bounds the work that regexes take together, those of all policies that
// are compiled with it. A step takes some nanoseconds, and leaves two or three bytes of
// garbage.
type RegexBudget struct {
	steps int  // what is left
	said  bool // that nothing is left
	// advice is for finding out what to write instead of a regex. Who gets much advice
	// is not refused for it.
	advice *RegexBudget
}

const (
	// regexSteps is enough for about six hundred regexes of the usual kind.
	regexSteps = 24 << 20
	// regexBase is what the shortest regex takes.
	regexBase = 2200
)

// NewRegexBudget is a budget from which nothing has been spent.
func NewRegexBudget() *RegexBudget {
	return &RegexBudget{steps: regexSteps, advice: &RegexBudget{steps: regexSteps / 4}}
}

// spent reports whether nothing is left.
func (b *RegexBudget) spent() bool { return b.steps <= 0 }

// spend takes n steps, and what is left if that is less.
func (b *RegexBudget) spend(n int) { b.steps = max(b.steps-n, 0) }

// A regexScanner estimates what a regex becomes. It knows just enough of the syntax not
// to take text for something else; where it errs, it is too high.
type regexScanner struct {
	expr string
	fold bool // case may be ignored
	pos  int

	instructions int // of what has been scanned
	classes      int // bytes of the character classes, which repetitions share
	depth        int
}

// A regexGroup is a group of a regex that is still open.
type regexGroup struct {
	sum  int // instructions of what comes before last
	last int // of what a repetition would repeat
}

const manyInstructions = 1 << 30

func (s *regexScanner) scan() {
	open := []regexGroup{{}}
	for s.pos < len(s.expr) {
		group := &open[len(open)-1]
		c := s.expr[s.pos]
		s.pos++
		switch c {
		case '(':
			open = append(open, regexGroup{})
			s.depth = max(s.depth, len(open)-1)
			continue
		case ')':
			if len(open) > 1 {
				open = open[:len(open)-1]
				// Its bounds, and something where it is empty.
				open[len(open)-1].atom(group.sum + group.last + 3)
			}
			continue
		case '*', '+', '?':
			group.last += 2
			continue
		case '{':
			if times, length := repetition(s.expr[s.pos-1:]); length > 0 {
				s.pos += length - 1
				group.last = min((group.last+1)*max(times, 1)+2, manyInstructions)
				continue
			}
		case '[':
			s.class()
		case '\\':
			s.escape(group)
		case '|':
			group.sum++
		default:
			if c >= 0x80 && s.fold {
				s.classes += 64
			}
		}
		group.atom(1)
	}
	for _, group := range open {
		s.instructions = min(s.instructions+group.sum+group.last, manyInstructions)
	}
	s.instructions += 3 // the end, a failure, and something where all is empty
}

// atom adds something that may be repeated.
func (g *regexGroup) atom(instructions int) {
	g.sum = min(g.sum+g.last, manyInstructions)
	g.last = instructions
}

// repetition reads a counted repetition, {n}, {n,} or {n,m}; length is 0 if there is
// none.
func repetition(s string) (times, length int) {
	number := 0
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c):
			number = min(number*10+int(c-'0'), 1000) // the parser refuses more
			times = max(times, number)
		case c == ',':
			number = 0
		case c == '}':
			return times, i + 1
		default:
			return 0, 0
		}
	}
	return 0, 0
}

// A Unicode class has up to 800 ranges, which the parser copies several times; one
// that ignores case has what each of its characters folds to.
const (
	unicodeClass = 24 << 10
	foldedRange  = 512 << 10
)

// escape scans what is behind a backslash, or the text that \Q quotes.
func (s *regexScanner) escape(group *regexGroup) {
	if s.escaped() != 'Q' {
		return
	}
	text, _, _ := strings.Cut(s.expr[s.pos:], `\E`)
	for range len(text) {
		group.atom(1)
	}
	s.pos = min(s.pos+len(text)+len(`\E`), len(s.expr))
}

// escaped scans what is behind a backslash, and returns its first character, or 0.
func (s *regexScanner) escaped() (c byte) {
	if s.pos == len(s.expr) {
		return 0
	}
	c = s.expr[s.pos]
	s.pos++
	switch c {
	case 'p', 'P':
		s.classes += unicodeClass
		s.braces()
	case 'x':
		s.braces()
	}
	return c
}

func (s *regexScanner) braces() {
	if s.pos < len(s.expr) && s.expr[s.pos] == '{' {
		if end := strings.IndexByte(s.expr[s.pos:], '}'); end >= 0 {
			s.pos += end + 1
		}
	}
}

// class scans a class from behind its first bracket on.
func (s *regexScanner) class() {
	first := s.pos // a bracket there doesn't close it
	if strings.HasPrefix(s.expr[first:], "^") {
		first++
	}
	wide := false
	for s.pos < len(s.expr) {
		c := s.expr[s.pos]
		s.pos++
		if c == ']' && s.pos-1 > first {
			break
		}
		s.classes += 32
		switch {
		case c == '[' && strings.HasPrefix(s.expr[s.pos:], ":"):
			if end := strings.Index(s.expr[s.pos+1:], ":]"); end >= 0 {
				s.pos += 1 + end + len(":]")
			}
		case c == '\\':
			wide = s.escaped() == 'x' || wide
		case c >= 0x80:
			wide = true
		}
	}
	if wide && s.fold {
		s.classes += foldedRange
	}
}

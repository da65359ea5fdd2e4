package config

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// Limits of a document.
const (
	// MaxSize is the longest document in bytes: room for half a million origins.
	MaxSize = 16 << 20
	// MaxMemory is about how many bytes of memory the policies of a document may take.
	// Envoy lets a VM have 1 GiB; what serves and what is to replace it, the document
	// itself and the collector's slack stay under a quarter of that.
	MaxMemory = 64 << 20
	// MaxDepth is how deep objects and lists may be nested. The format needs six levels.
	MaxDepth = 32
)

// A scanner checks that a document is JSON (RFC 8259): gjson reads what is valid,
// and doesn't say where what isn't goes wrong.
type scanner struct {
	doc string
	pos int
	// depth is how deep objects and lists may be nested, and tooDeep and shallower what
	// is said where they are deeper.
	depth              int
	tooDeep, shallower string
	// kind, what and instead describe the first error, which is at pos.
	kind          problem.Kind
	what, instead string
}

// CheckSyntax returns where, as an offset, and why a document isn't JSON (RFC 8259); ok
// is true if it is.
func CheckSyntax(doc string) (wrong Problem, ok bool) {
	s := &scanner{
		doc: doc, depth: MaxDepth, tooDeep: "objects and lists are nested more than " + strconv.Itoa(MaxDepth) +
			" levels deep",
		shallower: "no field of the configuration is that deep",
	}
	return s.document()
}

// CheckSyntaxDepth is CheckSyntax for a document of another kind, whose objects and
// lists may be nested as deep as depth says.
func CheckSyntaxDepth(doc string, depth int) (wrong Problem, ok bool) {
	s := &scanner{
		doc: doc, depth: depth, tooDeep: "values are nested more than " + strconv.Itoa(depth) + " levels deep",
		shallower: "check the brackets",
	}
	return s.document()
}

func (s *scanner) document() (wrong Problem, ok bool) {
	if ok = s.text(); !ok {
		wrong = problem.New(s.kind, "configuration", s.what, s.instead)
		wrong.Offset = s.pos
	}
	return wrong, ok
}

func (s *scanner) text() bool {
	if what, instead := checkEncoding(s.doc); what != "" {
		return s.fail(what, instead)
	}
	s.space()
	if !s.value(0) {
		return false
	}
	s.space()
	return s.pos == len(s.doc) || s.fail("there is more after the end of the configuration",
		"leave out what follows, or check for a brace too many")
}

// fail isn't inlined: the copies would add 1 kB to the module.
//
//go:noinline
func (s *scanner) fail(what, instead string) bool {
	s.kind, s.what, s.instead = problem.Syntax, what, instead
	return false
}

// unexpected fails at what stands where something else should.
func (s *scanner) unexpected(expected, instead string) bool {
	if s.pos >= len(s.doc) {
		return s.fail("the configuration ends where "+expected+" should stand", "check that nothing is cut off")
	}
	r, _ := utf8.DecodeRuneInString(s.doc[s.pos:])
	return s.fail("unexpected "+strconv.QuoteRune(r)+" where "+expected+" should stand", instead)
}

func (s *scanner) peek() byte {
	if s.pos < len(s.doc) {
		return s.doc[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.doc) {
		switch s.doc[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) bool {
	switch c := s.peek(); {
	case (c == '{' || c == '[') && depth == s.depth:
		s.fail(s.tooDeep, s.shallower)
		s.kind = problem.TooLarge
		return false
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '"':
		return s.string()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	switch {
	case s.peek() == '\'':
		return s.unexpected("a value", "write strings in double quotes")
	case depth == 0:
		return s.unexpected("a value", "write the configuration as a JSON object, {…}")
	}
	if word := bareword(s.doc[min(s.pos, len(s.doc)):]); word != "" {
		return s.unexpected("a value", "write "+asValue(word))
	}
	return s.unexpected("a value",
		"write a JSON value: strings stand in double quotes, and the last element has no comma after it")
}

func (s *scanner) object(depth int) bool {
	field := func() bool {
		if s.peek() != '"' {
			return s.unexpected("a field's name", "write names in double quotes, and no comma after the last field")
		}
		if !s.string() {
			return false
		}
		s.space()
		if s.peek() != ':' {
			return s.unexpected("a colon", `write "name": value`)
		}
		s.pos++
		s.space()
		return s.value(depth)
	}
	return s.list('}', field, "a comma or a closing brace", "put a comma between fields")
}

func (s *scanner) array(depth int) bool {
	element := func() bool { return s.value(depth) }
	return s.list(']', element, "a comma or a closing bracket", "put a comma between elements")
}

// list scans elements with commas between them, from the bracket before to the one behind.
func (s *scanner) list(end byte, element func() bool, expected, instead string) bool {
	s.pos++
	s.space()
	if s.peek() == end {
		s.pos++
		return true
	}
	for element() {
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case end:
			s.pos++
			return true
		default:
			return s.unexpected(expected, instead)
		}
	}
	return false
}

func (s *scanner) string() bool {
	s.pos++
	for s.pos < len(s.doc) {
		switch c := s.doc[s.pos]; {
		case c == '"':
			s.pos++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c == '\n' || c == '\r':
			return s.fail("a string goes over the end of its line", "close it with a double quote")
		case c < ' ':
			return s.fail("a string has a control character", "write it as an escape such as "+`\t`)
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRuneInString(s.doc[s.pos:])
			if r == utf8.RuneError && size <= 1 {
				return s.fail("a string is not valid UTF-8", "save the file as UTF-8")
			}
			s.pos += size
		}
	}
	return s.unexpected("the end of a string", "")
}

func (s *scanner) escape() bool {
	const instead = `write a backslash as \\`
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		for range 4 {
			s.pos++
			switch c := s.peek(); {
			case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			default:
				return s.unexpected(`a hexadecimal digit of a \u escape`, instead)
			}
		}
		s.pos++
		return s.surrogates()
	}
	return s.unexpected("an escape character", instead)
}

// surrogates checks that a \u escape, after which s.pos is, is no half of a surrogate
// pair on its own, which stands for no character (RFC 8259, section 8.2). The second
// half is skipped with the first.
func (s *scanner) surrogates() bool {
	half := func(from int) (n uint64) {
		if from+6 <= len(s.doc) && s.doc[from:from+2] == `\u` {
			n, _ = strconv.ParseUint(s.doc[from+2:from+6], 16, 16)
		}
		return n
	}
	switch n := half(s.pos - 6); {
	case n < 0xd800 || n > 0xdfff:
		return true
	case n < 0xdc00 && 0xdc00 <= half(s.pos) && half(s.pos) <= 0xdfff:
		s.pos += 6
		return true
	}
	s.pos -= 6
	return s.fail(`a \u escape is half of a surrogate pair`, "write both halves, or the character itself")
}

func (s *scanner) digits() bool {
	start := s.pos
	for '0' <= s.peek() && s.peek() <= '9' {
		s.pos++
	}
	return s.pos > start || s.unexpected("a digit", "write a decimal number")
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
		if c := s.peek(); '0' <= c && c <= '9' {
			return s.fail("a number has a leading zero", "leave the zero out")
		}
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) literal(word string) bool {
	if !strings.HasPrefix(s.doc[s.pos:], word) {
		return s.unexpected("a value", "write true, false or null, and strings in double quotes")
	}
	s.pos += len(word)
	return true
}

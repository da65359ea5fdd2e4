package document

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A style is how a string is written in a file.
type style uint8

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	block // literal or folded
)

func styleOf(s yaml.Style) style {
	switch {
	case s&yaml.DoubleQuotedStyle != 0:
		return doubleQuoted
	case s&yaml.SingleQuotedStyle != 0:
		return singleQuoted
	case s&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return block
	}
	return plain
}

// TextMap leads from the offsets of a string's value back to the file, so that a
// document that is written as a string in another one can be spoken of.
func (n *Node) TextMap() *Map {
	source, at := n.file.Text, n.Offset
	switch n.style {
	case block:
		return n.blockMap(n.skipProperties(at))
	case plain:
		at = n.skipProperties(at)
	default:
		if i := strings.IndexAny(source[at:], `"'`); i >= 0 {
			at += i + 1 // after an anchor or a tag, which have no quotes
		}
	}
	m := &Map{}
	for i, r := range n.Text {
		at = n.next(at, r)
		m.add(i, at)
		at = n.after(at)
	}
	m.add(len(n.Text), min(at, len(source)))
	return m
}

// blockMap is the map of a block scalar, whose header ends at an offset. Of a line's
// space only the indentation isn't part of the value.
func (n *Node) blockMap(at int) *Map {
	source := n.file.Text
	at = skipBreak(source, at)
	// The first line with more than spaces tells how far the lines are indented, also
	// where the header does, which says it relative to what is around.
	indentation := max(0, firstSpaces(source[at:])-firstSpaces(n.Text))
	margin := func(at int) int {
		for i := 0; i < indentation && at < len(source) && source[at] == ' '; i++ {
			at++
		}
		return at
	}
	m := &Map{}
	at = margin(at)
	for i, r := range n.Text {
		if r != ' ' && r != '\n' {
			for end := skipBreak(source, at); end > at; end = skipBreak(source, at) {
				at = margin(end) // lines that are folded
			}
		}
		m.add(i, at)
		if end := skipBreak(source, at); end > at {
			at = margin(end)
		} else if at < len(source) {
			_, size := utf8.DecodeRuneInString(source[at:])
			at += size
		}
	}
	m.add(len(n.Text), at)
	return m
}

// firstSpaces is the number of spaces at the start of the first line that has more.
func firstSpaces(text string) int {
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if rest := strings.TrimLeft(line, " "); rest != "" {
			return len(line) - len(rest)
		}
	}
	return 0
}

// skipBreak is the offset after the end of a line that stands at an offset, or the
// same offset.
func skipBreak(source string, at int) int {
	switch rest := source[at:]; {
	case strings.HasPrefix(rest, "\r\n"):
		return at + 2
	case strings.HasPrefix(rest, "\n"), strings.HasPrefix(rest, "\r"):
		return at + 1
	}
	return at
}

// skipProperties skips what may stand before a scalar: an anchor, a tag, and the
// header of a block scalar with its comment.
func (n *Node) skipProperties(at int) int {
	source := n.file.Text
	for at < len(source) {
		switch source[at] {
		case '&', '!':
			for at < len(source) && !strings.ContainsRune(" \t\r\n", rune(source[at])) {
				at++
			}
		case ' ', '\t', '\r', '\n':
			at++
		case '|', '>':
			if end := strings.IndexAny(source[at:], "\r\n"); end >= 0 {
				return at + end
			}
			return len(source)
		default:
			return at
		}
	}
	return at
}

// next is where a character of the value is written: here, or after what isn't part
// of the value, such as the indentation of a line.
func (n *Node) next(at int, r rune) int {
	source := n.file.Text
	if n.style == doubleQuoted && at < len(source) && source[at] == '\\' {
		if at+1 < len(source) && (source[at+1] == '\n' || source[at+1] == '\r') { // a line that goes on
			return n.next(n.skipSpace(at+1), r)
		}
		return at
	}
	here, _ := utf8.DecodeRuneInString(source[at:])
	if here == r {
		return at
	}
	skipped := n.skipSpace(at)
	if r == ' ' || r == '\n' {
		return at // lines that are folded
	}
	return skipped
}

func (n *Node) skipSpace(at int) int {
	return len(n.file.Text) - len(strings.TrimLeft(n.file.Text[at:], " \t\r\n"))
}

// escape is what a backslash begins between double quotes: in JSON also both halves of a
// character outside of the basic plane.
var escape = regexp.MustCompile(`^\\(x..|u[dD][89abAB]..\\u....|u....|U.{8}|(?s:.))`)

// after is where what follows the character at an offset is written.
func (n *Node) after(at int) int {
	source := n.file.Text
	if n.style == doubleQuoted {
		const longest = 12 // bytes of an escape
		if length := len(escape.FindString(source[at:min(at+longest, len(source))])); length > 0 {
			return at + length
		}
	}
	if n.style == singleQuoted && strings.HasPrefix(source[at:], "''") {
		return at + 2
	}
	_, size := utf8.DecodeRuneInString(source[at:])
	return at + size
}

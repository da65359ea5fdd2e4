// Package document reads JSON and YAML files into trees that know where each value
// stands in the file, so that what is said about a value can be shown where its
// author wrote it: also where the value is a document of its own, a string in
// another one.
package document

import (
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// A File is a text that a person wrote, and the documents in it.
type File struct {
	// Name is what messages call the file.
	Name string
	// Text is the content.
	Text string
	// Documents are the documents of the file: one of JSON, any number of YAML.
	// Empty ones are left out.
	Documents []*Node

	// subject is what messages call the content.
	subject string
	// outer is the file that has this one in a string, nil if there is none, and from leads
	// from this one's text back to it.
	outer *File
	from  *Map
	json  bool  // the file is JSON
	lines []int // the offset of each line
	// runes has the number of characters before each block of the text, so that a place
	// in a long line is found without counting from the line's start.
	runes []int
	// steps is how many bytes were looked at to find places, of which the tests see that
	// it grows with the number of places and not with the length of lines.
	steps int
	// end is where the text ends but for space, or -1 if that isn't known yet.
	end int
}

// A Position is a place in a file, counted from 1; columns count characters.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// A Kind is the type of a value, as in JSON.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// A Node is a value and where it stands.
type Node struct {
	// Kind is the type of the value.
	Kind Kind
	// Text is the value of a string, or a number, true, false or null as JSON has them.
	Text string
	// Offset is where the value begins in the file, in bytes.
	Offset int
	// Members are the fields of an object, in the file's order. A name may occur twice.
	Members []Member
	// Elements are the elements of a list.
	Elements []*Node
	// Tag is a tag that a YAML file gives the value, such as "!Ref", if it is none of YAML's
	// own: what it means is known to who reads the file.
	Tag string
	// Merges is where the object's merge keys (<<) stand in the file, in bytes: not
	// everything that reads YAML knows them.
	Merges []int

	file *File
	// style tells how Text is written in the file, if it is a string.
	style style
}

// A Member is a field of an object.
type Member struct {
	Name string
	// Offset is where the name begins in the file, in bytes.
	Offset int
	Value  *Node
}

// A Finding is a problem at a place in a file.
type Finding struct {
	// Problem says what is wrong; its place is that in the file.
	problem.Problem
	// File is where it was found.
	File *File
}

// Finding is a problem at an offset of the file.
func (f *File) Finding(offset int, p problem.Problem) *Finding {
	if f.outer != nil {
		return f.outer.Finding(f.from.Offset(offset), p)
	}
	p.Offset = min(max(offset, 0), len(f.Text))
	at := f.Position(p.Offset)
	p.Line, p.Column = at.Line, at.Column
	return &Finding{p, f}
}

// Place is where it is: "file:line:column".
func (f *Finding) Place() string { return f.File.Name + ":" + Position{f.Line, f.Column}.String() }

// Error is the finding in one line: "file:line:column: path: what; instead".
func (f *Finding) Error() string { return f.Place() + ": " + f.Message() }

// Text is the line that the finding is about, without its end, and where in it the finding
// is, in bytes. What is missing after the end of a file is pointed at where the last line
// ends.
func (f *Finding) Text() (line string, at int) {
	file, at := f.File, f.Offset
	if file.end < 0 {
		file.end = len(strings.TrimRight(file.Text, " \t\r\n"))
		file.steps += len(file.Text) - file.end
	}
	at = min(at, file.end)
	start, end := file.bounds(sort.SearchInts(file.lines, at+1))
	return strings.TrimSuffix(file.Text[start:end], "\r"), at - start
}

// String is the position as "line:column".
func (p Position) String() string { return strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) }

// After reports whether the position comes after another one.
func (p Position) After(other Position) bool {
	return p.Line > other.Line || p.Line == other.Line && p.Column > other.Column
}

// ParsePosition reads a line, or "line:column". A line alone is all of it, to its end.
func ParsePosition(s string) (p Position, ok bool) {
	line, column, more := strings.Cut(s, ":")
	if !more {
		column = strconv.Itoa(1 << 30)
	}
	var errLine, errColumn error
	p.Line, errLine = strconv.Atoi(line)
	p.Column, errColumn = strconv.Atoi(column)
	return p, errLine == nil && errColumn == nil && p.Line >= 1 && p.Column >= 1
}

// Parse reads a file. It is JSON if its name ends in ".json", or if it begins as JSON
// and its name doesn't end in ".yaml" or ".yml"; otherwise it is YAML. The file is
// never nil, so that what an error is about can be shown.
func Parse(name, text string) (*File, *Finding) { return ParseAs("the configuration", name, text) }

// ParseAs is Parse for what isn't a configuration, but what subject says.
func ParseAs(subject, name, text string) (*File, *Finding) {
	f := &File{Name: name, Text: text, subject: subject}
	return f, f.parse()
}

// Embedded parses a string of a file as a file of its own, as a ConfigMap has files in it. What
// is said of it stands where the string has it, in the file that is around it; the name only
// tells its format, as that of a file does.
func (n *Node) Embedded(name string) (*File, *Finding) {
	f := &File{Name: name, Text: n.Text, subject: n.file.subject, outer: n.file, from: n.TextMap()}
	failed := f.parse()
	f.Name = n.file.Name
	return f, failed
}

// parse reads the text.
func (f *File) parse() *Finding {
	text := f.Text
	f.index()
	switch {
	case IsUTF16(text):
		return f.fail(problem.Syntax, 0, "the file is UTF-16", "save it as UTF-8")
	case strings.HasPrefix(text, "\ufeff"):
		return f.fail(problem.Syntax, 0, "begins with a byte order mark", "save it without")
	case strings.HasSuffix(f.Name, ".toml"):
		return f.fail(problem.Syntax, 0, isTOML, asYAML)
	}
	parse := f.parseYAML
	if f.json = f.isJSON(); f.json {
		parse = f.parseJSON
	}
	failed := parse()
	// To YAML, TOML that doesn't begin with a table is a string, and so are others.
	if failed != nil || len(f.Documents) == 1 && f.Documents[0].Kind == String {
		if other := f.foreign(); other != nil {
			return other
		}
	}
	if failed == nil || !utf8.ValidString(text) {
		return failed
	}
	if at := template.FindStringSubmatchIndex(text); at != nil {
		// What a template breaks in YAML is no mistake of its author's.
		failed = f.fail(problem.Placeholder, at[2], "the file is a template",
			"run helm template first, and give what that prints")
	}
	return failed
}

const (
	isTOML = "the file is TOML, which isn't read"
	asYAML = "write it as YAML or JSON"
)

// foreign says what the file is, if it is none that is read.
func (f *File) foreign() *Finding {
	if at := toml.FindStringSubmatchIndex(f.Text); at != nil {
		return f.fail(problem.Syntax, at[2], isTOML, asYAML)
	}
	if at := xml.FindStringSubmatchIndex(f.Text); at != nil {
		instead := asYAML
		if strings.Contains(f.Text, "<CORSConfiguration") {
			instead = "give it as JSON, as aws s3api get-bucket-cors --bucket NAME prints it"
		}
		return f.fail(problem.Syntax, at[2], "the file is XML, which isn't read", instead)
	}
	if at := properties.FindStringSubmatchIndex(f.Text); at != nil {
		return f.fail(problem.Syntax, at[2], "the file is one of Java properties, which isn't read", asYAML)
	}
	return nil
}

// xml finds the first element of XML.
var xml = regexp.MustCompile(`\A\s*(<[?!A-Za-z])`)

// properties finds a property of Java whose name has several parts, behind comments.
var properties = regexp.MustCompile(`\A(?:[ \t]*(?:[#!].*)?\r?\n)*[ \t]*([\w-]+\.[^ \t\r\n=:]+[ \t]*=)`)

// toml finds a table of TOML and the value that it begins with. No JSON and no YAML has
// such lines, one after the other.
var toml = regexp.MustCompile(`(?m)^[ \t]*(\[\[?[\w."-]+\]\]?)[ \t]*(?:#.*)?\n(?:[ \t]*(?:[\[#].*)?\n)*[ \t]*[\w."-]+[ \t]*=`)

// template finds an action of a template, of Helm's or another's, outside of comments.
// Braces that are doubled by mistake have a quote behind them.
var template = regexp.MustCompile(`(?m)^[^#\n]*?(\{\{-?[ \t]*[.$/(A-Za-z][^\n]*\}\})`)

// IsTemplate reports whether a text has actions of a template in it.
func IsTemplate(text string) bool { return template.MatchString(text) }

// IsUTF16 reports whether a text is UTF-16, as Windows' PowerShell writes it: by its byte
// order mark, or because one of its first two bytes is zero.
func IsUTF16(text string) bool {
	return strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") ||
		len(text) >= 2 && (text[0] == 0) != (text[1] == 0)
}

func (f *File) isJSON() bool {
	switch {
	case strings.HasSuffix(f.Name, ".json"):
		return true
	case strings.HasSuffix(f.Name, ".yaml"), strings.HasSuffix(f.Name, ".yml"):
		return false
	}
	first := strings.TrimLeft(f.Text, " \t\r\n")
	return strings.HasPrefix(first, "{") || strings.HasPrefix(first, "[")
}

// blockSize is how many bytes there are between two places whose characters are
// counted in advance.
const blockSize = 256

func (f *File) index() {
	f.lines, f.runes, f.end = []int{0}, nil, -1
	runes := 0
	for i := 0; i < len(f.Text); i++ {
		if i%blockSize == 0 {
			f.runes = append(f.runes, runes)
		}
		if f.Text[i] == '\n' {
			f.lines = append(f.lines, i+1)
		}
		if utf8.RuneStart(f.Text[i]) {
			runes++
		}
	}
	f.runes = append(f.runes, runes)
}

// before is the number of characters that begin before an offset.
func (f *File) before(offset int) int {
	block := min(offset/blockSize, len(f.runes)-1)
	runes := f.runes[block]
	for i := min(block*blockSize, offset); i < offset; i++ {
		f.steps++
		if utf8.RuneStart(f.Text[i]) {
			runes++
		}
	}
	return runes
}

func (f *File) fail(kind problem.Kind, offset int, what, instead string) *Finding {
	return f.Finding(offset, problem.New(kind, "configuration", what, instead))
}

// Position is the place of an offset.
func (f *File) Position(offset int) Position {
	if f.outer != nil {
		return f.outer.Position(f.from.Offset(offset))
	}
	offset = min(max(offset, 0), len(f.Text))
	line := sort.SearchInts(f.lines, offset+1) - 1
	return Position{line + 1, f.before(offset) - f.before(f.lines[line]) + 1}
}

// bounds are where a line begins and ends, counted from 1; the file's end if there is none.
func (f *File) bounds(line int) (start, end int) {
	if line < 1 || line > len(f.lines) {
		return len(f.Text), len(f.Text)
	}
	if line == len(f.lines) {
		return f.lines[line-1], len(f.Text)
	}
	return f.lines[line-1], f.lines[line] - 1
}

// offset is the offset of a position; of the line's end if the line is shorter.
func (f *File) offset(line, column int) int {
	at, end := f.bounds(line)
	if column > blockSize {
		// The last block that begins no later than the position is where to count from,
		// unless it begins before the line does.
		before := f.before(at) + column - 1
		block := sort.Search(len(f.runes), func(i int) bool { return f.runes[i] > before }) - 1
		if start := block * blockSize; start > at && start < len(f.Text) {
			at = min(start, end)
			for at < end && !utf8.RuneStart(f.Text[at]) {
				at++
			}
			column = before - f.before(at) + 1
		}
	}
	for ; column > 1 && at < end; column-- {
		f.steps++
		_, size := utf8.DecodeRuneInString(f.Text[at:])
		at += size
	}
	return at
}

// File is the file that the value stands in.
func (n *Node) File() *File { return n.file }

// Position is where the value begins.
func (n *Node) Position() Position { return n.file.Position(n.Offset) }

// Get returns a field of an object by its name in snake_case, lowerCamelCase too; of
// several the last. It is nil if there is none, or if n is nil or no object. More
// names lead further down.
func (n *Node) Get(names ...string) *Node {
	for _, name := range names {
		if n == nil {
			return nil
		}
		i := -1
		for j, m := range n.Members {
			if spelling.Is(m.Name, name) {
				i = j
			}
		}
		if i < 0 {
			return nil
		}
		n = n.Members[i].Value
	}
	return n
}

// String is the value of a string, or "" of anything else. n may be nil.
func (n *Node) String() string {
	if n == nil || n.Kind != String {
		return ""
	}
	return n.Text
}

// Scalar is the value of a string, a number, true or false as text, or "" of anything
// else. n may be nil.
func (n *Node) Scalar() string {
	if n == nil || n.Kind != String && n.Kind != Number && n.Kind != Bool {
		return ""
	}
	return n.Text
}

// List are the elements of a list, or none of anything else. n may be nil.
func (n *Node) List() []*Node {
	if n == nil {
		return nil
	}
	return n.Elements
}

// Has reports whether an object has a field of one of the names, in either spelling.
func (n *Node) Has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return n.Get(name) != nil })
}

// Walk calls visit for the value and all in it, from the outside in, in the file's
// order, until visit returns false: then it leaves out what is in that value.
func (n *Node) Walk(visit func(*Node) bool) {
	if n == nil || !visit(n) {
		return
	}
	for _, m := range n.Members {
		m.Value.Walk(visit)
	}
	for _, e := range n.Elements {
		e.Walk(visit)
	}
}

// Under is an object with the value as its only field, whose name stands at an offset of the file.
func (n *Node) Under(name string, offset int) *Node {
	return &Node{
		Kind: Object, Offset: n.Offset, file: n.file, Members: []Member{{Name: name, Offset: offset, Value: n}},
	}
}

// Alone is a list with the value as its only element.
func (n *Node) Alone() *Node {
	return &Node{Kind: List, Offset: n.Offset, file: n.file, Elements: []*Node{n}}
}

// IsWholeFile reports whether the value is a JSON file's only one, so that the file's
// text is the value's.
func (n *Node) IsWholeFile() bool {
	return n.file.json && len(n.file.Documents) == 1 && n.file.Documents[0] == n
}

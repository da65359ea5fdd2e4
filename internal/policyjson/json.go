package policyjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// An Object is a JSON object whose members keep their order.
type Object []Member

// A Member is a member of an [Object]. Its value is an Object, a [Block], [Raw], a list, or
// what [encoding/json] makes one line of. It has no type of its own, so that objects can be
// written without the words Key and Value.
type Member = struct {
	Key   string
	Value any
}

// Raw is JSON as it stands.
type Raw string

// A Block is an object that has a line for each member, however short it is. A list of
// blocks has a line for each, too.
type Block Object

// Line is a value on one line.
func Line(value any) string {
	open, parts, last := split(value)
	if open == "" {
		return scalar(value)
	}
	lines := make([]string, len(parts))
	for i, part := range parts {
		lines[i] = head(part) + Line(part.Value)
	}
	return open + strings.Join(lines, ", ") + last
}

// width is how long a line may get, with its comma, before what is in it is broken into
// lines.
const width = 100

// Lines is a value on lines that aren't too long, where they can be broken.
func Lines(value any) string { return lines(value, "", 0) }

// lines is a value that begins at a column of a line that is indented.
func lines(value any, indent string, column int) string {
	open, parts, last := split(value)
	if line := Line(value); len(parts) == 0 || !tall(value) && column+len(line) < width {
		return line
	}
	var b strings.Builder
	b.WriteString(open)
	for i, part := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		before := indent + "  " + head(part)
		b.WriteString("\n" + before + lines(part.Value, indent+"  ", len(before)))
	}
	b.WriteString("\n" + indent + last)
	return b.String()
}

func tall(value any) bool {
	switch value.(type) {
	case Block, []Block:
		return true
	}
	return false
}

// head is what stands before a member's value: nothing in a list.
func head(m Member) string {
	if m.Key == "" {
		return ""
	}
	return scalar(m.Key) + ": "
}

// split returns the parts of an object or a list, and its brackets.
func split(value any) (open string, parts []Member, last string) {
	switch v := value.(type) {
	case Object:
		return "{", v, "}"
	case Block:
		return "{", v, "}"
	}
	list := reflect.ValueOf(value)
	if list.Kind() != reflect.Slice {
		return "", nil, ""
	}
	for i := range list.Len() {
		parts = append(parts, Member{Value: list.Index(i).Interface()})
	}
	return "[", parts, "]"
}

// scalar is a value of one line, written as a person would: "<" is no "\u003c".
func scalar(value any) string {
	if text, ok := value.(Raw); ok {
		return string(text)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("%v: %v", value, err)) // no string, number or bool fails
	}
	return strings.TrimSuffix(b.String(), "\n")
}

package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// An object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any
}

// raw is JSON as it stands.
type raw string

func ref(def string) object { return object{{"$ref", "#/$defs/" + def}} }

// width is the longest line, where lines can be broken.
const width = 120

// write writes a value as JSON, on one line if that is short.
func write(b *bytes.Buffer, value any, indent string) {
	var line bytes.Buffer
	compact(&line, value)
	open, parts, last := split(value)
	if len(indent)+line.Len() <= width || len(parts) == 0 {
		b.Write(line.Bytes())
		return
	}
	b.WriteString(open + "\n")
	for i, part := range parts {
		b.WriteString(indent + "  ")
		if part.key != "" {
			compact(b, part.key)
			b.WriteString(": ")
		}
		write(b, part.value, indent+"  ")
		if i < len(parts)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString(indent + last)
}

// compact writes a value as JSON on one line.
func compact(b *bytes.Buffer, value any) {
	open, parts, last := split(value)
	if open == "" {
		scalar(b, value)
		return
	}
	b.WriteString(open)
	for i, part := range parts {
		if i > 0 {
			b.WriteString(", ")
		}
		if part.key != "" {
			compact(b, part.key)
			b.WriteString(": ")
		}
		compact(b, part.value)
	}
	b.WriteString(last)
}

// split returns the parts of an object or a list, and its brackets.
func split(value any) (open string, parts []member, last string) {
	switch v := value.(type) {
	case object:
		return "{", v, "}"
	case []object:
		return "[", elements(v), "]"
	case []string:
		return "[", elements(v), "]"
	case []raw:
		return "[", elements(v), "]"
	case []any:
		return "[", elements(v), "]"
	}
	return "", nil, ""
}

func elements[E any](list []E) (parts []member) {
	for _, e := range list {
		parts = append(parts, member{value: e})
	}
	return parts
}

func scalar(b *bytes.Buffer, value any) {
	if text, ok := value.(raw); ok {
		b.WriteString(string(text))
		return
	}
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("%v: %v", value, err)) // of this package, so a mistake in it
	}
	b.Truncate(b.Len() - 1) // the line's end
}

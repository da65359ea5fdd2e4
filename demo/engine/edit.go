package engine

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// rewritten is a configuration with edits made, each at its place, so that all else stays as
// its author wrote it.
func rewritten(text string, edits ...*explain.Rewrite) string {
	edits = slices.Clone(edits)
	// From the end, so that those before stay where they are.
	slices.SortStableFunc(edits, func(a, b *explain.Rewrite) int { return cmp.Compare(b.Object, a.Object) })
	for _, e := range edits {
		text = rewrite(text, e)
	}
	return text
}

func rewrite(text string, e *explain.Rewrite) string {
	object := objectAt(text, e.Object)
	if e.Field != "policies" {
		object = objectAt(text, e.Object)
	} else if !object.member("policies").found {
		return asList(text, object, e.Added)
	}
	parent, name, nested := strings.Cut(e.Field, ".")
	if !nested {
		name = parent
	} else if inner := object.member(parent); inner.found {
		object = objectAt(text, inner.value.Index)
	}
	field := object.member(name)
	switch {
	case !field.found:
		return object.insert(name, cmp.Or(e.Value, "["+strings.Join(e.Added, ", ")+"]"))
	case len(e.Added) > 0 && field.value.IsArray():
		return listAt(text, field.value.Index).append(e.Added)
	}
	value := cmp.Or(e.Value, "["+strings.Join(e.Added, ", ")+"]")
	return text[:field.value.Index] + value + text[field.value.Index+len(field.value.Raw):]
}

// asList is a configuration that is one policy, as the first of a list with others after it.
func asList(text string, object container, others []string) string {
	if !object.member("name").found {
		text = object.insertFirst("name", `"first"`)
		object = objectAt(text, object.start)
	}
	policy := strings.ReplaceAll(text[object.start:object.end], "\n", "\n    ")
	list := append([]string{policy}, others...)
	return text[:object.start] + "{\n  \"policies\": [\n    " + strings.Join(list, ",\n    ") + "\n  ]\n}" + text[object.end:]
}

// A container is an object or a list in a text.
type container struct {
	text       string
	start, end int // of it, with its brackets
	members    []member
}

// A member is one of a container; the key is "" in a list.
type member struct {
	key   string
	start int // of the key, or of the value in a list
	value gjson.Result
	found bool
}

func objectAt(text string, offset int) container {
	start := offset + strings.IndexByte(text[offset:], '{')
	return containerAt(text, start)
}

func listAt(text string, offset int) container { return containerAt(text, offset) }

func containerAt(text string, start int) container {
	c := container{text: text, start: start}
	c.end = start + extent(text[start:])
	parsed := gjson.Parse(text[start:c.end])
	parsed.ForEach(func(key, value gjson.Result) bool {
		value.Index += start
		m := member{start: value.Index, value: value, found: true}
		if parsed.IsObject() {
			m.key, m.start = key.Str, key.Index+start
		}
		c.members = append(c.members, m)
		return true
	})
	return c
}

// member is a field, in either spelling of its name.
func (c container) member(name string) (m member) {
	for _, m := range c.members {
		if m.key == name || m.key == spelling.Camel(name) {
			return m
		}
	}
	return m
}

// insert adds a field at the end of an object.
func (c container) insert(name, value string) string {
	key, _ := json.Marshal(name) // a string
	return c.append([]string{string(key) + ": " + value})
}

// insertFirst adds a field at the beginning of an object.
func (c container) insertFirst(name, value string) string {
	key, _ := json.Marshal(name)
	rest := c.text[c.start+1:]
	between := ", "
	if len(c.members) == 0 {
		between = ""
	} else if space := rest[:c.members[0].start-c.start-1]; space != "" {
		return c.text[:c.start+1] + space + string(key) + ": " + value + "," + space + strings.TrimLeft(rest, " \t\r\n")
	}
	return c.text[:c.start+1] + string(key) + ": " + value + between + rest
}

// append adds members at the end, with the white space that is between those that are there.
func (c container) append(added []string) string {
	if len(c.members) == 0 {
		return c.text[:c.start+1] + strings.Join(added, ", ") + c.text[c.end-1:]
	}
	last := c.members[len(c.members)-1]
	before := c.text[c.start:last.start]
	space := before[len(strings.TrimRight(before, " \t\r\n")):]
	if !strings.ContainsRune(space, '\n') {
		space = " "
	}
	end := last.value.Index + len(last.value.Raw)
	return c.text[:end] + "," + space + strings.Join(added, ","+space) + c.text[end:]
}

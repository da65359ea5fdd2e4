package engine

import (
	"cmp"
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
	if e.Field == "policies" && !object.member("policies").found {
		return asList(text, object, e.Added)
	}
	name := e.Field
	if parent, nested, ok := strings.Cut(name, "."); ok {
		inner := object.member(parent) // which a policy has whose hosts get another one
		object, name = objectAt(text, inner.value.Index), nested
	}
	value := cmp.Or(e.Value, "["+strings.Join(e.Added, ", ")+"]")
	switch field := object.member(name); {
	case !field.found:
		return object.append([]string{pair(name, value)})
	case len(e.Added) > 0 && field.value.IsArray():
		return containerAt(text, field.value.Index).append(e.Added)
	default:
		return text[:field.value.Index] + value + text[field.value.Index+len(field.value.Raw):]
	}
}

// asList is a configuration that is one policy, as the first of a list with others after it.
func asList(text string, object container, others []string) string {
	if !object.member("name").found {
		text = object.prepend(pair("name", `"first"`))
		object = containerAt(text, object.start)
	}
	policy := strings.ReplaceAll(text[object.start:object.end], "\n", "\n    ")
	list := strings.Join(append([]string{policy}, others...), ",\n    ")
	return text[:object.start] + "{\n  \"policies\": [\n    " + list + "\n  ]\n}" + text[object.end:]
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

// objectAt is the first object from an offset on.
func objectAt(text string, offset int) container {
	return containerAt(text, offset+strings.IndexByte(text[offset:], '{'))
}

// containerAt is the object or the list that begins at an offset.
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

// pair is a field with its value.
func pair(name, value string) string { return `"` + name + `": ` + value }

// prepend adds a member at the beginning, with the white space that is before the first.
func (c container) prepend(added string) string {
	rest := c.text[c.start+1:]
	if len(c.members) == 0 {
		return c.text[:c.start+1] + added + rest
	}
	space := rest[:c.members[0].start-c.start-1]
	return c.text[:c.start+1] + space + added + "," + cmp.Or(space, " ") + rest[len(space):]
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

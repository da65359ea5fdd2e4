package document

import (
	"encoding/json"
	"sort"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

func (f *File) parseJSON() *Finding {
	if p, ok := config.CheckSyntaxDepth(f.Text, maxDepth); !ok {
		// The words are those for what the filter reads.
		called := strings.NewReplacer("the configuration", f.subject).Replace
		p.What, p.Instead = called(p.What), called(p.Instead)
		return f.Finding(p.Offset, p)
	}
	f.Documents = []*Node{f.fromJSON(gjson.Parse(f.Text))}
	return nil
}

// fromJSON makes a tree of a value of the file.
func (f *File) fromJSON(v gjson.Result) *Node {
	n := &Node{file: f, Offset: v.Index, Text: v.Raw}
	switch {
	case v.IsObject():
		n.Kind, n.Text = Object, ""
		v.ForEach(func(key, value gjson.Result) bool {
			n.Members = append(n.Members, Member{Name: key.Str, Offset: key.Index, Value: f.fromJSON(value)})
			return true
		})
	case v.IsArray():
		n.Kind, n.Text = List, ""
		v.ForEach(func(_, value gjson.Result) bool {
			n.Elements = append(n.Elements, f.fromJSON(value))
			return true
		})
	case v.Type == gjson.String:
		n.Kind, n.Text, n.style = String, v.Str, doubleQuoted
	case v.Type == gjson.Number:
		n.Kind = Number
	case v.Type == gjson.True, v.Type == gjson.False:
		n.Kind = Bool
	}
	return n
}

// A Map leads from the offsets of a text back to those of the file that it comes from.
type Map struct {
	at, from []int
}

func (m *Map) add(at, from int) {
	m.at, m.from = append(m.at, at), append(m.from, from)
}

// Offset is the offset in the file of an offset in the text: of what begins there,
// or of the last thing that begins before.
func (m *Map) Offset(offset int) int {
	i := sort.SearchInts(m.at, offset+1) - 1
	if i < 0 {
		return 0
	}
	return m.from[i]
}

// JSON is the value as JSON, and where its parts come from. A value of a JSON file
// is as it is written there, with its mistakes.
func (n *Node) JSON() (string, *Map) {
	e := &encoder{}
	e.value(n)
	return string(e.text), &e.from
}

type encoder struct {
	text []byte
	from Map
}

func (e *encoder) value(n *Node) {
	e.from.add(len(e.text), n.Offset)
	switch n.Kind {
	case Object:
		e.add("{")
		for i, m := range n.Members {
			e.comma(i)
			e.from.add(len(e.text), m.Offset)
			e.string(m.Name)
			e.add(": ")
			e.value(m.Value)
		}
		e.add("}")
	case List:
		e.add("[")
		for i, element := range n.Elements {
			e.comma(i)
			e.value(element)
		}
		e.add("]")
	case String:
		e.string(n.Text)
	default:
		e.add(n.Text)
	}
}

func (e *encoder) add(text string) { e.text = append(e.text, text...) }

// comma separates a part from the one before.
func (e *encoder) comma(part int) {
	if part > 0 {
		e.add(", ")
	}
}

func (e *encoder) string(s string) {
	quoted, _ := json.Marshal(s) // a string is always JSON
	e.text = append(e.text, quoted...)
}

package document

import (
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// maxNodes bounds the tree of a YAML file, in which aliases repeat what is written once.
const maxNodes = 1 << 20

// maxDepth bounds how deep values are nested, which in an alias may be without an end.
const maxDepth = 1000

func (f *File) parseYAML() *Finding {
	if failed := f.checkCharacters(); failed != nil {
		return failed
	}
	decoder := yaml.NewDecoder(strings.NewReader(f.Text))
	y := &yamlReader{file: f}
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return f.yamlError(err)
		case len(document.Content) == 0:
			continue
		}
		root := document.Content[0]
		y.kubernetes = isKubernetes(root)
		n := y.node(root, 0)
		if y.failed != nil {
			return y.failed
		}
		if n.Kind != Null || root.Value != "" { // not nothing between two "---"
			f.Documents = append(f.Documents, n)
		}
	}
}

// checkCharacters looks for characters that YAML has not: the library doesn't say where.
func (f *File) checkCharacters() *Finding {
	for i, r := range f.Text {
		if r == utf8.RuneError && !strings.HasPrefix(f.Text[i:], string(utf8.RuneError)) {
			return f.fail(problem.Syntax, i, "the file is not valid UTF-8", "save it as UTF-8")
		}
	}
	for i, r := range f.Text {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return f.fail(problem.Syntax, i, "the file has a control character, "+strconv.QuoteRune(r), "leave it out")
		}
	}
	return nil
}

func (f *File) yamlError(err error) *Finding {
	var load *yaml.LoadError
	if !errors.As(err, &load) || load.Mark.Line < 1 {
		return f.fail(problem.Syntax, 0, "the file is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "), "")
	}
	what := load.Message
	if load.ContextMsg != "" {
		what += " " + load.ContextMsg
	}
	start, end := f.bounds(load.Mark.Line)
	line, column := f.Text[start:end], load.Mark.Column
	var instead string
	switch {
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		instead = "indent with spaces, not with tabs"
	case strings.HasSuffix(load.ContextMsg, "scanning an alias"):
		// The reader is behind the star by now. Columns count characters.
		before := line[:f.offset(load.Mark.Line, column)-start]
		if star := strings.LastIndexByte(before, '*'); star >= 0 {
			column = utf8.RuneCountInString(before[:star]) + 1
		}
		what, instead = "a star that stands alone is no value", "write it in quotes, \"*\""
	default:
		instead = adviceOnYAML(load.Message)
	}
	return f.fail(problem.Syntax, f.offset(load.Mark.Line, column), what, instead)
}

// adviceOnYAML is what to do about a mistake that the library calls by a message.
func adviceOnYAML(message string) string {
	for _, a := range []struct{ part, instead string }{
		{"unknown anchor", "put a value that begins with a star in quotes"},
		{"expected ',' or", "check that each bracket is closed, with commas between the values"},
		{"start any token", "put the value in quotes"},
		{"mapping values are not allowed", "put a value with a colon in quotes, and check the indentation"},
		{"unexpected end of stream", "check that nothing is cut off"},
		{"expected key", "check the indentation"},
		{"expected '-' indicator", "check the indentation"},
	} {
		if strings.Contains(message, a.part) {
			return a.instead
		}
	}
	return ""
}

type yamlReader struct {
	file  *File
	nodes int
	// aliases is whether there are any: if not, they are not why a file is too large.
	aliases bool
	// kubernetes tells that kubectl reads the document.
	kubernetes bool
	failed     *Finding
}

func (y *yamlReader) fail(kind problem.Kind, n *yaml.Node, what, instead string) *Node {
	offset := y.file.offset(n.Line, n.Column)
	if y.failed == nil {
		y.failed = y.file.fail(kind, offset, what, instead)
	}
	return &Node{file: y.file, Offset: offset, Text: "null"}
}

// either is the first of two advices if the file has aliases, and else the second.
func (y *yamlReader) either(aliases, none string) string {
	if y.aliases {
		return aliases
	}
	return none
}

func (y *yamlReader) node(n *yaml.Node, depth int) *Node {
	y.nodes++
	switch {
	case y.failed != nil:
		return &Node{file: y.file, Text: "null"}
	case y.nodes > maxNodes:
		return y.fail(problem.TooLarge, n, "the file has more than "+strconv.Itoa(maxNodes)+
			" values, aliases counted where they are used", y.either("use fewer aliases", "split the file"))
	case depth > maxDepth:
		return y.fail(problem.TooLarge, n, "values are nested more than "+strconv.Itoa(maxDepth)+" levels deep",
			y.either("check the aliases", "check the brackets"))
	}
	value := &Node{file: y.file, Offset: y.file.offset(n.Line, n.Column)}
	if tag := n.ShortTag(); !strings.HasPrefix(tag, "!!") {
		value.Tag = tag
	}
	switch n.Kind {
	case yaml.AliasNode:
		y.aliases = true
		return y.node(n.Alias, depth+1)
	case yaml.SequenceNode:
		value.Kind = List
		for _, element := range n.Content {
			value.Elements = append(value.Elements, y.node(element, depth+1))
		}
	case yaml.MappingNode:
		value.Kind = Object
		y.members(value, n, depth)
	case yaml.ScalarNode:
		value.style = styleOf(n.Style)
		value.Kind, value.Text = y.scalar(n)
	default:
		return y.fail(problem.Syntax, n, "there is something that is no value", "leave it out")
	}
	return value
}

// members reads the fields of a mapping; those that it merges in ("<<") after its own,
// which win over them.
func (y *yamlReader) members(value *Node, n *yaml.Node, depth int) {
	own := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, content := n.Content[i], n.Content[i+1]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		offset := y.file.offset(key.Line, key.Column)
		switch {
		case key.ShortTag() == "!!merge":
			merged = append(merged, content)
			value.Merges = append(value.Merges, offset)
		case key.Kind != yaml.ScalarNode:
			y.fail(problem.WrongType, key, "a field's name is a list or an object", "write a string")
			return
		default:
			name := y.name(key)
			own[name] = true
			value.Members = append(value.Members, Member{Name: name, Offset: offset, Value: y.node(content, depth+1)})
		}
	}
	for _, content := range merged {
		for _, m := range y.merged(content, depth) {
			if !own[m.Name] {
				own[m.Name] = true
				value.Members = append(value.Members, m)
			}
		}
	}
}

// name is the name that a key is.
func (y *yamlReader) name(key *yaml.Node) string {
	if boolean := y.boolean(key); y.kubernetes && boolean != "" {
		return boolean // and JSON's names are strings
	}
	return key.Value
}

// merged are the fields of what a mapping merges in: an object, or a list of objects.
func (y *yamlReader) merged(content *yaml.Node, depth int) (members []Member) {
	value := y.node(content, depth+1)
	objects := []*Node{value}
	if value.Kind == List {
		objects = value.Elements
	}
	for _, object := range objects {
		if object.Kind != Object {
			y.fail(problem.WrongType, content, "a merge (<<) needs an object",
				"merge an alias of one, or a list of such aliases")
		}
		members = append(members, object.Members...)
	}
	return members
}

// isKubernetes reports whether a document is a manifest of Kubernetes.
func isKubernetes(root *yaml.Node) bool {
	for i := 0; i+1 < len(root.Content) && root.Kind == yaml.MappingNode; i += 2 {
		if root.Content[i].Value == "kind" && root.Content[i+1].Kind == yaml.ScalarNode {
			return true
		}
	}
	return false
}

// boolean is true or false, or "" if a scalar is neither. To kubectl, which reads YAML
// 1.1, more words are booleans than to YAML 1.2.
// See https://yaml.org/type/bool.html and sigs.k8s.io/yaml.
func (y *yamlReader) boolean(n *yaml.Node) string {
	if n.ShortTag() == "!!bool" {
		return strings.ToLower(n.Value)
	}
	if !y.kubernetes || n.ShortTag() != "!!str" || styleOf(n.Style) != plain || n.Style&yaml.TaggedStyle != 0 {
		return ""
	}
	switch n.Value {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return "true"
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return "false"
	}
	return ""
}

// scalar is what a scalar is to JSON.
func (y *yamlReader) scalar(n *yaml.Node) (Kind, string) {
	if boolean := y.boolean(n); boolean != "" {
		return Bool, boolean
	}
	switch n.ShortTag() {
	case "!!null":
		return Null, "null"
	case "!!int", "!!float":
		if number := number(n); number != "" {
			return Number, number
		}
	}
	return String, n.Value
}

// number is a number as JSON has it, or "" if JSON has no such number.
func number(n *yaml.Node) string {
	var i int64
	if n.ShortTag() == "!!int" && n.Decode(&i) == nil {
		return strconv.FormatInt(i, 10)
	}
	var x float64
	if n.Decode(&x) != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

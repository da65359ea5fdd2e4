package render

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policyjson"
)

// widest is how long a list or an object may be to stand in one line.
const widest = 80

// object is a configuration as an object in YAML.
func object(configuration string) (string, error) {
	file, failed := document.Parse("configuration.json", configuration)
	if failed != nil {
		return "", failed
	}
	root := node(file.Documents[0])
	root.Style = 0
	return dump(root)
}

// dump writes a node without breaking its lines, and without the end of the last one.
func dump(n *yaml.Node) (string, error) {
	written, err := yaml.Dump(n, yaml.WithIndent(2), yaml.WithCompactSeqIndent(), yaml.WithLineWidth(-1))
	return strings.TrimSuffix(string(written), "\n"), err
}

// node is a value of JSON in YAML: what is short stands in one line.
func node(n *document.Node) *yaml.Node {
	y := &yaml.Node{Kind: yaml.ScalarNode, Value: n.Text}
	switch n.Kind {
	case document.Object:
		y = &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range n.Members {
			y.Content = append(y.Content, stringNode(m.Name), node(m.Value))
		}
	case document.List:
		y = &yaml.Node{Kind: yaml.SequenceNode}
		for _, e := range n.Elements {
			y.Content = append(y.Content, node(e))
		}
	case document.String:
		return stringNode(n.Text)
	default:
		return y
	}
	if length(y) <= widest && !slices.ContainsFunc(y.Content, isMultiLine) {
		y.Style = yaml.FlowStyle
	}
	return y
}

// isMultiLine reports whether a list or an object has more than a line.
func isMultiLine(y *yaml.Node) bool {
	return (y.Kind == yaml.MappingNode || y.Kind == yaml.SequenceNode) && y.Style != yaml.FlowStyle
}

// length is about how long a node is in one line.
func length(y *yaml.Node) int {
	sum := len(y.Value) + len(", ")
	for _, c := range y.Content {
		sum += length(c)
	}
	return sum
}

// bare is a string that every reader of YAML takes for one without quotes, but for the words
// that some take for another value.
var (
	bare   = regexp.MustCompile(`^([A-Za-z_/][A-Za-z0-9_./-]*|[0-9]+(ms|s|m|h))$`)
	notOne = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
)

// stringNode is a string in YAML, in quotes unless it is but a word.
func stringNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
	if bare.MatchString(s) && !slices.Contains(notOne, strings.ToLower(s)) {
		n.Style = 0
	}
	return n
}

// scalar is a string as it stands in a manifest.
func scalar(s string) (string, error) { return dump(stringNode(s)) }

// text is a configuration as a string in YAML: a block if its lines can stand there as they
// are, and otherwise in quotes. One line, which nobody wrote for people, is laid out.
func text(configuration string) (string, error) {
	if !strings.Contains(configuration, "\n") {
		file, failed := document.Parse("configuration.json", configuration)
		if failed != nil {
			return "", failed
		}
		laidOut := value(file.Documents[0])
		if object, ok := laidOut.(policyjson.Object); ok {
			laidOut = policyjson.Block(object)
		}
		configuration = policyjson.Lines(laidOut) + "\n"
	}
	if !canStand(configuration) {
		return scalar(configuration)
	}
	header := "|"
	switch {
	case !strings.HasSuffix(configuration, "\n"):
		header = "|-"
	case strings.HasSuffix(configuration, "\n\n"):
		header = "|+"
	}
	if strings.HasPrefix(configuration, " ") || strings.HasPrefix(configuration, "\n") {
		header += strconv.Itoa(blockIndent) // Which else the first line would tell.
	}
	return indent(blockIndent, header+"\n"+strings.TrimSuffix(configuration, "\n")), nil
}

// value is a value of JSON that can be laid out.
func value(n *document.Node) any {
	switch n.Kind {
	case document.Object:
		object := policyjson.Object{}
		for _, m := range n.Members {
			object = append(object, policyjson.Member{Key: m.Name, Value: value(m.Value)})
		}
		return object
	case document.List:
		list := []any{}
		for _, e := range n.Elements {
			list = append(list, value(e))
		}
		return list
	case document.String:
		return n.Text
	}
	return policyjson.Raw(n.Text)
}

// blockIndent is how far a block is indented below its field.
const blockIndent = 2

// canStand reports whether a text can be a block of YAML: it has no character that is a line
// break to some, that needs an escape, or that isn't text.
func canStand(s string) bool {
	return s != "" && strings.Trim(s, " \n") != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && r != '\t' && notPrintable(r)
	})
}

// indent moves the lines of a text to the right, but empty ones, and the first, which stands
// where it is to be.
func indent(by int, s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if i > 0 && line != "" {
			lines[i] = strings.Repeat(" ", by) + line
		}
	}
	return strings.Join(lines, "\n")
}

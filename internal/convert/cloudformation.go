package convert

import (
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A stackResource is a resource of a template of CloudFormation, or of SAM, which is one.
type stackResource struct {
	*document.Node
	name, kind string
	properties *document.Node
}

// stackResources are the resources of the templates among documents.
func stackResources(documents []*document.Node) (list []stackResource) {
	for _, d := range documents {
		for _, m := range members(d.Get("Resources")) {
			list = append(list, stackResource{
				Node: m.Value, name: m.Name, kind: m.Value.Get("Type").String(), properties: m.Value.Get("Properties"),
			})
		}
	}
	return list
}

// intrinsic is the function of CloudFormation that stands in place of a value, in its short
// or in its long form; it is "" of a value that is one.
func intrinsic(n *document.Node) string {
	switch {
	case n == nil, n.Tag == "!Sub" && !strings.Contains(n.Text, "${") && n.Kind == document.String:
		return ""
	case n.Tag != "":
		return n.Tag
	case n.Kind == document.Object && len(n.Members) == 1:
		if name := n.Members[0].Name; name == "Ref" || strings.HasPrefix(name, "Fn::") {
			return name
		}
	}
	return ""
}

// resolved is a value, or nil where a function stands in its place, which is said.
func (c *conversion) resolved(n *document.Node) *document.Node {
	function := intrinsic(n)
	switch {
	case function == "":
		return n
	case n.Text != "AWS::NoValue" && n.Get("Ref").String() != "AWS::NoValue":
		c.warnOf(problem.Placeholder, n, function+" stands here, whose value isn't in the file",
			"left out; write the value itself and convert again, or add it to the configuration")
	}
	return nil
}

// resolvedTexts are the texts of a list, or of one alone, that aren't functions.
func (c *conversion) resolvedTexts(n *document.Node) (list []*document.Node) {
	n = c.resolved(n)
	if n == nil || n.Kind != document.List {
		return c.texts(n)
	}
	for _, e := range n.Elements {
		if e = c.resolved(e); e != nil {
			list = append(list, e)
		}
	}
	return c.ofKind(document.String, list, "is not a string")
}

package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// Recognize tells which of [Formats] a file is of, and by what in it. It is an error if
// that is none of them, or more than one.
func Recognize(file *document.File) (from string, by Removal, err error) {
	found := map[string]Removal{}
	for _, format := range Formats() {
		c := &conversion{file: file}
		formats[format].read(c, file.Documents)
		if list := c.removals(); len(list) > 0 {
			found[format] = list[0]
		}
	}
	if !slices.ContainsFunc(file.Documents, func(d *document.Node) bool { return len(d.Members) > 0 }) {
		delete(found, "higress") // an empty configuration is right there, but it isn't told by that
	}
	tellIngresses(file, found)
	if by, plugin := found["higress"]; plugin && isOurs(file) {
		return "", by, fmt.Errorf("%s may be a configuration of this filter already, which corsctl manifest "+
			"writes a manifest around, and it may be one of Higress' plugin; for that write --from higress", file.Name)
	}
	var formats, places []string
	for _, format := range Formats() {
		if by, ok := found[format]; ok {
			formats = append(formats, format)
			places = append(places, format+" ("+by.Path+" in line "+fmt.Sprint(file.Position(by.Offset).Line)+")")
		}
	}
	switch len(formats) {
	case 0:
		if isOurs(file) {
			return "", by, fmt.Errorf("%s is a configuration of this filter already; "+
				"corsctl manifest writes a manifest around it", file.Name)
		}
		return "", by, fmt.Errorf("%s has no CORS policy of a format that is known; write one of --from %s "+
			"to learn what is looked for", file.Name, strings.Join(Formats(), ", "))
	case 1:
		return formats[0], found[formats[0]], nil
	}
	return "", by, fmt.Errorf("%s has policies of several formats: %s; convert each on its own with --from",
		file.Name, inWords(places))
}

// tellIngresses tells Ingresses of Higress from those of ingress-nginx. Both have the
// same annotations, but Higress also has a prefix, a class and plugins of its own.
func tellIngresses(file *document.File, found map[string]Removal) {
	if _, both := found["nginx-ingress"]; !both {
		return
	}
	higress, nginx := false, false
	for _, r := range resources(file.Documents) {
		switch {
		case r.is("WasmPlugin", "extensions.higress.io"):
			higress = true
		case r.is("Ingress", ingressGroups...):
			class := r.Get("spec", "ingress_class_name").String()
			for _, m := range members(r.Get("metadata", "annotations")) {
				higress = higress || strings.HasPrefix(m.Name, "higress.io/")
				if m.Name == "kubernetes.io/ingress.class" {
					class = text(m.Value)
				}
			}
			higress = higress || class == "higress"
			nginx = nginx || class == "nginx"
		}
	}
	switch {
	case !higress:
		delete(found, "higress")
	case !nginx:
		delete(found, "nginx-ingress")
	}
}

// isOurs reports whether a file has nothing that tells a configuration of Higress' plugin
// from one of this filter.
func isOurs(file *document.File) bool {
	if len(file.Documents) != 1 || len(file.Documents[0].Members) == 0 || file.Documents[0].Has("kind") {
		return false
	}
	text, _ := file.Documents[0].JSON()
	ours, problems := config.Parse(text)
	return ours != nil || !slices.ContainsFunc(problems, func(p config.Problem) bool {
		return p.Kind == problem.UnknownField
	})
}

// Package policyjson writes policies as the documentation has them, and any JSON whose
// order and line breaks are for people.
package policyjson

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Policy is a policy and what it is for.
type Policy struct {
	cors.Config
	Match match.Match
	// Lookup is its origin_lookup, if it has one.
	Lookup Object
}

// Document is a configuration with the policies. One that is for everything stands at the
// top, without its name.
func Document(policies []Policy) string {
	if len(policies) == 1 && len(claims(policies[0].Match)) == 0 {
		single := policies[0]
		single.Name = ""
		return Lines(Block(single.Object())) + "\n"
	}
	blocks := make([]Block, len(policies))
	for i, p := range policies {
		blocks[i] = Block(p.Object())
	}
	return Lines(Block{{"policies", blocks}}) + "\n"
}

// Object is the policy's fields that differ from their defaults, in the order of the
// documentation.
func (p Policy) Object() Object {
	if p.Off {
		p.Config = cors.Config{Name: p.Name, Off: true} // the only fields that it may have
	}
	return given(p.fields())
}

// Beside is as Object, in a configuration whose defaults say this.
func (p Policy) Beside(defaults cors.Config) (o Object) {
	defaults.Name = ""
	inherited := Policy{Config: defaults}.fields()
	for i, m := range p.fields() {
		switch {
		case Line(m.Value) == Line(inherited[i].Value):
		case len(given(Object{m})) == 0:
			o = append(o, Member{m.Key, Raw(cleared(m.Key))})
		default:
			o = append(o, m)
		}
	}
	return o
}

// cleared is what to write so that a field has its default, whatever is inherited.
func cleared(field string) string {
	switch field {
	case "unmatched_preflights":
		return `"reject"`
	case "upstream_cors_headers":
		return `"replace"`
	case "mode":
		return `"enforce"`
	case "allow_credentials", "allow_private_network", "debug":
		return "false"
	case "max_age", "preflight_status":
		return "null"
	}
	return "[]"
}

// fields are all of the policy's fields.
func (p Policy) fields() Object {
	c := p.Config
	return Object{
		{"name", c.Name},
		{"match", claims(p.Match)},
		{"allow_origins", origins(c.AllowOrigins)},
		{"allow_methods", c.AllowMethods},
		{"allow_headers", c.AllowHeaders},
		{"expose_headers", c.ExposeHeaders},
		{"allow_credentials", c.AllowCredentials},
		{"max_age", c.MaxAge},
		{"allow_private_network", c.AllowPrivateNetwork},
		{"unmatched_preflights", wordIf(c.ForwardUnmatchedPreflights, "forward")},
		{"preflight_status", c.PreflightStatus},
		{"upstream_cors_headers", wordIf(c.KeepUpstreamHeaders, "keep")},
		{"origin_lookup", p.Lookup},
		{"debug", c.Debug},
		{"mode", cmp.Or(wordIf(c.Off, "off"), wordIf(c.Shadow, "shadow"))},
	}
}

// List is what a field that is a list has in it, each element on one line of JSON; none if
// the field is no list, or has its default.
func (p Policy) List(field string) (list []string) {
	for _, m := range p.Object() {
		if open, parts, _ := split(m.Value); m.Key == field && open == "[" {
			for _, part := range parts {
				list = append(list, Line(part.Value))
			}
		}
	}
	return list
}

// given are the members that aren't empty, zero or false.
func given(o Object) Object {
	return slices.DeleteFunc(o, func(m Member) bool {
		v := reflect.ValueOf(m.Value)
		return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
	})
}

func wordIf(set bool, word string) string {
	if set {
		return word
	}
	return ""
}

func claims(m match.Match) Object {
	var paths []Raw
	for _, path := range m.Paths {
		key := "exact"
		if path.Prefix {
			key = "prefix"
		}
		paths = append(paths, Raw(Line(Object{{key, path.Path}})))
	}
	return given(Object{{"hosts", m.Hosts}, {"paths", paths}, {"routes", m.Routes}})
}

func origins(entries []cors.OriginEntry) (list []Raw) {
	for _, entry := range entries {
		text := Line(entry.Text)
		if entry.Regex {
			text = Line(Object{{"regex", entry.Text}})
		}
		list = append(list, Raw(text))
	}
	return list
}

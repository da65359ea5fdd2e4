package config

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Rule is a policy as a document has it, for those who explain documents to people.
type Rule struct {
	// Path is the policy's place, such as "policies[2]"; "" if the document is one policy.
	Path string
	// Offset is where it begins, in bytes.
	Offset int
	// Match says what it is for.
	Match match.Match
	// Config is what it says, with what it inherits from the defaults.
	Config cors.Config

	fields map[string]field
}

// A field is where a rule's field stands, and whether it is null.
type field struct {
	path   string
	offset int
	null   bool
}

// ParseRules reads a document as [Parse] does, and returns its policies too, in its order;
// there are none if it isn't valid.
func ParseRules(doc string) (*Config, []Rule, []Problem) {
	r := newReader(doc)
	r.keep = true
	c, problems := r.parse()
	if c == nil {
		return nil, nil, problems
	}
	return c, r.rules, problems
}

// Rules returns the policies of a document in its order, or nothing if the document
// isn't valid: [Parse] says why.
func Rules(doc string) []Rule {
	_, rules, _ := ParseRules(doc)
	return rules
}

// rule makes a rule of the policy that has been read.
func (r *reader) rule(p *policy, m match.Match) Rule {
	rule := Rule{
		Path: p.path().String(), Offset: p.offset, Config: p.config, fields: map[string]field{},
		Match: match.Match{Hosts: slices.Clone(m.Hosts), Paths: slices.Clone(m.Paths), Routes: slices.Clone(m.Routes)},
	}
	for f, v := range p.fields {
		if v.Exists() {
			rule.fields[policyFields[f]] = field{p.field(f).String(), v.Index, v.Type == gjson.Null}
		}
	}
	for f, v := range p.match {
		if v.Exists() {
			name := "match." + matchFields[f]
			rule.fields[name] = field{p.path().field(name).String(), v.Index, v.Type == gjson.Null}
		}
	}
	r.muted = true
	for _, entry := range r.entries(p.fields[fieldAllowOrigins]) {
		rule.Config.AllowOrigins = append(rule.Config.AllowOrigins,
			cors.OriginEntry{Text: entry.Text, Regex: entry.Regex})
	}
	list := func(f int) []string {
		return slices.Clone(r.texts(r.names[:0], p.fields[f], path{}, &r.namesAt))
	}
	rule.Config.AllowMethods = list(fieldAllowMethods)
	rule.Config.AllowHeaders = list(fieldAllowHeaders)
	rule.Config.ExposeHeaders = list(fieldExposeHeaders)
	r.muted = false
	return rule
}

// Field is the place of one of the policy's fields: its path, such as
// "defaults.allow_origins", and its offset. A field that isn't there would stand in
// the policy itself.
func (r *Rule) Field(name string) (path string, offset int, given bool) {
	if f, ok := r.fields[name]; ok {
		return f.path, f.offset, true
	}
	return r.own(name), r.Offset, false
}

// OwnField is the place of a field in the policy itself, whatever it inherits: its
// path, and its offset or, if the policy doesn't have it, the policy's. set tells
// that the policy has it, with another value than null.
func (r *Rule) OwnField(name string) (path string, offset int, set bool) {
	path = r.own(name)
	if f, ok := r.fields[name]; ok && f.path == path {
		return path, f.offset, !f.null
	}
	return path, r.Offset, false
}

func (r *Rule) own(name string) string { return strings.TrimPrefix(r.Path+"."+name, ".") }

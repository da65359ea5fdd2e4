package config

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Policy is a policy as a document has it, for those who explain documents to people.
type Policy struct {
	// Path is the policy's place, such as "policies[2]"; "" if the document is one policy.
	Path string
	// Offset is where it begins, in bytes.
	Offset int
	// Match says what it is for.
	Match match.Match
	// Config is what it says, with what it inherits from the defaults.
	Config cors.Config
	// Lookup is where it looks origins up, or nil.
	Lookup *OriginLookup
	// Defaults has the Config and the Lookup that a policy inherits which says nothing itself,
	// even if they are of the mode "off".
	Defaults *Policy

	fields map[string]field
}

// A field is where a policy's field stands, and whether it is null.
type field struct {
	path   string
	offset int
	null   bool
}

// ParsePolicies reads a document as [Parse] does, and returns its policies too, in its order;
// there are none if it isn't valid.
func ParsePolicies(doc string) (*Document, []Policy, []Problem) {
	r := newReader(doc)
	var policies []Policy
	var defaults *Policy
	r.added = func(p *policy, m match.Match) {
		if defaults == nil {
			d := r.written(&r.defaults, match.Match{})
			defaults = &d
		}
		w := r.written(p, m)
		w.Defaults = defaults
		policies = append(policies, w)
	}
	c, problems := r.parse()
	if c == nil {
		return nil, nil, problems
	}
	return c, policies, problems
}

// written is the policy that has been read, as the document has it.
func (r *reader) written(p *policy, m match.Match) Policy {
	w := Policy{
		Path: p.path().String(), Offset: p.offset, Config: p.config, Lookup: p.lookup, fields: map[string]field{},
		Match: match.Match{Hosts: slices.Clone(m.Hosts), Paths: slices.Clone(m.Paths), Routes: slices.Clone(m.Routes)},
	}
	for f, v := range p.fields {
		if v.Exists() {
			w.fields[policyFields[f]] = field{p.field(f).String(), v.Index, v.Type == gjson.Null}
		}
	}
	for f, v := range p.match {
		if v.Exists() {
			name := "match." + matchFields[f]
			w.fields[name] = field{p.path().field(name).String(), v.Index, v.Type == gjson.Null}
		}
	}
	if p.config.Off && !p.isDefaults {
		return w
	}
	r.muted = true
	for _, entry := range r.entries(p.fields[fieldAllowOrigins]) {
		w.Config.AllowOrigins = append(w.Config.AllowOrigins,
			cors.OriginEntry{Text: entry.Text, Regex: entry.Regex})
	}
	list := func(f int) []string {
		return slices.Clone(r.texts(r.names[:0], p.fields[f], path{}, &r.namesAt))
	}
	w.Config.AllowMethods = list(fieldAllowMethods)
	w.Config.AllowHeaders = list(fieldAllowHeaders)
	w.Config.ExposeHeaders = list(fieldExposeHeaders)
	r.muted = false
	return w
}

// Field is the place of one of the policy's fields: its path, such as
// "defaults.allow_origins", and its offset. A field that isn't there would stand in
// the policy itself.
func (p *Policy) Field(name string) (path string, offset int, given bool) {
	if f, ok := p.fields[name]; ok {
		return f.path, f.offset, true
	}
	return p.own(name), p.Offset, false
}

// OwnField is the place of a field in the policy itself, whatever it inherits: its
// path, and its offset or, if the policy doesn't have it, the policy's. set tells
// that the policy has it, with another value than null.
func (p *Policy) OwnField(name string) (path string, offset int, set bool) {
	path = p.own(name)
	if f, ok := p.fields[name]; ok && f.path == path {
		return path, f.offset, !f.null
	}
	return path, p.Offset, false
}

func (p *Policy) own(name string) string { return strings.TrimPrefix(p.Path+"."+name, ".") }

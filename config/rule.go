package config

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A Rule is a policy as a document has it, for those who explain documents to people.
type Rule struct {
	// Path is the policy's place, such as "policies[2]"; "" if the document is one policy.
	Path string
	// Offset is where it begins, in bytes.
	Offset int
	// Match says what it is for.
	Match cors.Match
	// Config is what it says, with what it inherits from the defaults.
	Config cors.Config

	fields members
}

// Rules returns the policies of a document in its order, or nothing if the document
// isn't valid: [Parse] says why.
func Rules(doc string) []Rule {
	r := &reader{problems: problems{doc: doc}, keep: true}
	if r.read(); r.errors {
		return nil
	}
	return r.rules
}

// Field is the place of one of the policy's fields: its path, such as
// "defaults.allow_origins", and its offset. A field that isn't there would stand in
// the policy itself.
func (r *Rule) Field(name string) (path string, offset int, given bool) {
	if m, ok := r.fields[name]; ok {
		return m.path, m.Index, true
	}
	return r.own(name), r.Offset, false
}

// OwnField is the place of a field in the policy itself, whatever it inherits: its
// path, and its offset or, if the policy doesn't have it, the policy's. set tells
// that the policy has it, with another value than null.
func (r *Rule) OwnField(name string) (path string, offset int, set bool) {
	path = r.own(name)
	if m, ok := r.fields[name]; ok && m.path == path {
		return path, m.Index, m.Type != gjson.Null
	}
	return path, r.Offset, false
}

func (r *Rule) own(name string) string { return strings.TrimPrefix(r.Path+"."+name, ".") }

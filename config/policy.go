package config

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A policy is one policy's fields, its own and those that it inherits.
type policy struct {
	place
	isDefaults bool
	fields     [numFields]gjson.Result
	inherited  uint32          // bit f is set if field f is
	match      [3]gjson.Result // its fields
	// config is what the fields say, but for the lists.
	config cors.Config
	lookup *OriginLookup
}

// A place is where a policy stands: its index in policies, or -1, and its offset.
type place struct{ index, offset int }

// path is the policy's path. It isn't inlined: the copies would add 1 kB to the module.
//
//go:noinline
func (p *policy) path() path {
	if p.isDefaults {
		return path{base: "defaults"}
	}
	return policyPath(p.index)
}

// field is the path of a field, which is in the defaults if it is inherited. It isn't
// inlined: the copies would add 5 kB to the module.
//
//go:noinline
func (p *policy) field(f int) path {
	if p.inherits(f) {
		return path{base: "defaults", field1: policyFields[f]}
	}
	return p.path().field(policyFields[f])
}

func (p *policy) inherits(f int) bool { return p.inherited>>f&1 != 0 }

// add reads a policy and adds it to the table.
func (r *reader) add(p *policy) {
	r.policy = p
	r.spend(policyCost, p.offset, p.path())
	p.config, p.lookup = r.defaults.config, r.defaults.lookup
	compiled := r.compile(p)
	m, ok := r.match(p)
	r.places = append(r.places, p.place)
	r.table.Add(m, compiled, ok)
	if r.added != nil {
		r.added(p, m)
	}
}

// compile reads the policy's own fields, all but its match, and compiles them together
// with what it inherits. It returns nil if something is wrong.
func (r *reader) compile(p *policy) *cors.Policy {
	r.policy = p
	before := r.Errors
	for f := range numFields {
		if v := p.fields[f]; v.Exists() && !p.inherits(f) {
			r.readField(p, f, v)
		}
	}
	if p.config.Off && !p.isDefaults {
		return r.off(p, before)
	}
	// What credentials forbid in a default depends on who inherits it.
	credentials := p.config.AllowCredentials && !p.isDefaults
	lists := r.readLists(p, credentials)
	if r.Errors > before {
		return nil
	}
	policy := cors.Assemble(p.config, lists)
	if policy != nil && p.lookup != nil {
		r.noteLookup(p, policy, lists.Origins != nil && lists.Origins.Any())
	}
	return policy
}

// noteLookup notes where a policy's origins are looked up.
func (r *reader) noteLookup(p *policy, policy *cors.Policy, every bool) {
	if f := fieldOriginLookup; every && !p.inherits(f) && r.Wants(true) {
		r.describe(Problem{Warning: true, Kind: problem.Superfluous,
			What: `is never asked, because allow_origins has "*"`, Instead: "leave one of them out"},
			p.fields[f].Index, p.field(f))
	}
	if p.isDefaults {
		return
	}
	if r.lookups == nil {
		r.lookups = map[*cors.Policy]*OriginLookup{}
	}
	r.lookups[policy] = p.lookup
}

// off compiles a policy that is off: it has no other fields of its own, and what it
// inherits counts for nothing.
func (r *reader) off(p *policy, errors int) *cors.Policy {
	for f := nameAndMatch; f < numFields; f++ {
		if v := p.fields[f]; v.Exists() && !p.inherits(f) && f != fieldMode {
			r.fail(problem.MisplacedField, v.Index, p.path().field(policyFields[f]),
				`has no effect where mode is "off"`, "leave it out")
		}
	}
	if r.Errors > errors {
		return nil
	}
	p.config, p.lookup = cors.Config{Name: p.config.Name, Off: true}, nil
	return cors.Assemble(p.config, cors.Lists{})
}

// readField reads a field that is neither a list nor the match.
func (r *reader) readField(p *policy, f int, v gjson.Result) {
	c, where := &p.config, p.field(f)
	switch f {
	case fieldName:
		name, ok := r.string(v, where)
		if ok && !validName(name) {
			r.refuse(problem.InvalidValue, v, where, " is not a name",
				"write 1 to 64 letters, digits, dots, hyphens and underscores")
			return
		}
		c.Name = strings.Clone(name)
	case fieldAllowCredentials:
		c.AllowCredentials = r.bool(v, where)
	case fieldMaxAge:
		if c.MaxAge = r.seconds(v, where); c.MaxAge != nil && !cors.CheckMaxAge(*c.MaxAge, r) {
			c.MaxAge = nil // which is reported once, not for each heir
		}
	case fieldAllowPrivateNetwork:
		c.AllowPrivateNetwork = r.bool(v, where)
	case fieldUnmatchedPreflights:
		c.ForwardUnmatchedPreflights = !strings.EqualFold(v.Str, "ignore") &&
			r.choice(v, where, true, "reject", "forward") == "forward"
	case fieldPreflightStatus:
		c.PreflightStatus = r.status(v, where)
	case fieldUpstreamCORSHeaders:
		c.KeepUpstreamHeaders = r.choice(v, where, false, "replace", "keep") == "keep"
	case fieldOriginLookup:
		p.lookup = r.lookup(p, v)
		c.Lookup = v.Type != gjson.Null // one that is wrong needs no origins beside it either
	case fieldDebug:
		c.Debug = r.bool(v, where)
	case fieldMode:
		mode := r.choice(v, where, false, "enforce", "shadow", "off")
		c.Shadow, c.Off = mode == "shadow", mode == "off"
	}
}

func (r *reader) status(v gjson.Result, where path) int {
	switch {
	case v.Type == gjson.Null:
		return 0
	case v.Type == gjson.String && (v.Str == "200" || v.Str == "204"):
		r.wrongType(v, where, "a number", "write "+v.Str)
		return 0
	case !r.is(v, where, gjson.Number, "a number"):
		return 0
	case v.Raw == "200" || v.Raw == "204":
		return int(v.Num)
	}
	kind, what, instead := problem.OutOfRange, " is out of range", "write 200 or 204"
	if v.Num == 200 || v.Num == 204 {
		kind, what, instead = problem.InvalidValue, notWritten, "write "+strconv.Itoa(int(v.Num))
	}
	r.refuse(kind, v, where, what, instead)
	return 0
}

func validName(s string) bool {
	const characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
	return s != "" && len(s) <= 64 && strings.Trim(s, characters) == ""
}

// About how many bytes of memory things take, what is garbage afterwards included: a
// policy, and each element of the lists of a match. They are spent before the elements
// are read. The lists of names and origins know what they take.
const policyCost = 350

var matchCosts = [...]int{fieldHosts: 300, fieldPaths: 250, fieldRoutes: 150}

// match reads a policy's match. One that is wrong in itself says nothing about
// what the policy matches: ok is false then.
func (r *reader) match(p *policy) (m match.Match, ok bool) {
	v, where := p.fields[fieldMatch], p.field(fieldMatch)
	switch {
	case v.Type == gjson.Null:
		return m, true
	case !v.IsObject():
		r.wrongType(v, where, "an object", `write {"hosts": […], "paths": […]}`)
		return m, false
	}
	before := r.Errors
	r.object(v, where, matchFields, p.match[:])
	for f, list := range p.match {
		r.spend(count(list)*matchCosts[f], list.Index, where.field(matchFields[f]))
	}
	if r.full {
		return m, false
	}
	r.hosts = r.texts(r.hosts[:0], p.match[fieldHosts], where.field("hosts"), &r.at[fieldHosts])
	r.routes = r.texts(r.routes[:0], p.match[fieldRoutes], where.field("routes"), &r.at[fieldRoutes])
	r.paths = r.pathMatches(r.paths[:0], p.match[fieldPaths], where.field("paths"), &r.at[fieldPaths])
	return match.Match{Hosts: r.hosts, Paths: r.paths, Routes: r.routes}, r.Errors == before
}

func (r *reader) pathMatches(paths []match.Path, list gjson.Result, where path, at *[]place) []match.Path {
	*at = (*at)[:0]
	r.each(list, where, func(i int, v gjson.Result) {
		if path, ok := r.pathMatch(v, where.element(i)); ok {
			paths, *at = append(paths, path), append(*at, place{i, v.Index})
		}
	})
	return paths
}

func (r *reader) pathMatch(v gjson.Result, where path) (m match.Path, ok bool) {
	if !v.IsObject() {
		if r.Wants(false) {
			r.report(problem.WrongType, v.Index, where, "is "+typeName(v)+", not a path match", r.asPathMatch(v))
		}
		return m, false
	}
	var fields [2]gjson.Result
	if !r.has(v, pathFields) {
		if !r.Wants(false) {
			return m, false
		}
		if entry := asPath(v); entry != "" {
			r.report(problem.WrongType, v.Index, where, "is a path in the form of another tool", "write "+entry)
			return m, false
		}
		r.object(v, where, pathFields, fields[:]) // whose fields all are unknown
		r.report(problem.Missing, v.Index, where, "has neither an exact path nor a prefix", anyPathMatch)
		return m, false
	}
	r.object(v, where, pathFields, fields[:])
	exact, prefix := fields[0], fields[1]
	switch {
	case exact.Exists() && prefix.Exists():
		r.fail(problem.InvalidPath, v.Index, where, "has an exact path and a prefix", "write two entries")
		return m, false
	case exact.Exists():
		return match.Path{Path: exact.Str}, r.is(exact, where.field("exact"), gjson.String, "a string")
	}
	return match.Path{Path: prefix.Str, Prefix: true}, r.is(prefix, where.field("prefix"), gjson.String, "a string")
}

var pathFields = []string{"exact", "prefix"}

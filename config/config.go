// Package config reads the filter's configuration: JSON with one policy, or many
// and the defaults that they share.
//
// It is strict, because what is misread here is a hole there: unknown fields,
// fields given twice, wrong types and values out of range are errors, and all of
// them are reported at once, with their place and what to write instead.
//
// A document may come from anybody who can write to a database, and it is read in the
// worker that serves requests. So time and memory are linear in its length, problems
// are described up to a limit, and what it compiles to has one too (RATIONALE.md,
// "What a policy set weighs").
package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Document is what a configuration says. It is immutable, and keeps nothing of the
// document's memory.
type Document struct {
	// Policies finds the policy that applies to a request. It may have none if
	// there is a PolicySource.
	Policies *match.Table[*cors.Policy]
	// PolicySource is where to fetch policies while the filter runs, or nil.
	PolicySource *PolicySource
	// Lookups say where the origins are looked up that policies lack, for the policies that
	// have it so ([cors.Policy.LooksUp]).
	Lookups map[*cors.Policy]*OriginLookup
}

// The fields of the format. Each may also be written in lowerCamelCase, as in
// protobuf's JSON.
var (
	topFields    = []string{fieldPolicies: "policies", fieldDefaults: "defaults", fieldPolicySource: "policy_source"}
	matchFields  = []string{fieldHosts: "hosts", fieldPaths: "paths", fieldRoutes: "routes"}
	policyFields = []string{
		fieldName:                "name",
		fieldMatch:               "match",
		fieldAllowOrigins:        "allow_origins",
		fieldAllowMethods:        "allow_methods",
		fieldAllowHeaders:        "allow_headers",
		fieldExposeHeaders:       "expose_headers",
		fieldAllowCredentials:    "allow_credentials",
		fieldMaxAge:              "max_age",
		fieldAllowPrivateNetwork: "allow_private_network",
		fieldUnmatchedPreflights: "unmatched_preflights",
		fieldPreflightStatus:     "preflight_status",
		fieldUpstreamCORSHeaders: "upstream_cors_headers",
		fieldOriginLookup:        "origin_lookup",
		fieldDebug:               "debug",
		fieldMode:                "mode",
	}
	defaultFields = policyFields[nameAndMatch:]
)

const (
	fieldPolicies = iota
	fieldDefaults
	fieldPolicySource
)

const (
	fieldHosts = iota
	fieldPaths
	fieldRoutes
)

const (
	fieldName = iota
	fieldMatch
	fieldAllowOrigins
	fieldAllowMethods
	fieldAllowHeaders
	fieldExposeHeaders
	fieldAllowCredentials
	fieldMaxAge
	fieldAllowPrivateNetwork
	fieldUnmatchedPreflights
	fieldPreflightStatus
	fieldUpstreamCORSHeaders
	fieldOriginLookup
	fieldDebug
	fieldMode

	numFields
	// nameAndMatch is how many of them no policy inherits.
	nameAndMatch = fieldAllowOrigins
)

// Parse reads a plugin configuration. It returns what is wrong or doubtful with it, in
// the document's order; the configuration is nil if any of it is more than a warning.
// [cors.MaxProblems] are described at the most, errors first; one more then says how
// many there are.
func Parse(doc string) (*Document, []Problem) { return newReader(doc).parse() }

// ParseFetched reads a document that a policy source has served. It is as Parse,
// but for policy_source, which is an error in it.
func ParseFetched(doc string) (*Document, []Problem) {
	r := newReader(doc)
	r.fetched = true
	return r.parse()
}

// A reader reads one document, one policy after the other.
type reader struct {
	problems
	fetched bool // the document comes from a policy source
	from    *PolicySource
	lookups map[*cors.Policy]*OriginLookup
	// added is called with each policy, if somebody wants them as they are written. The
	// filter doesn't, and the module is without what puts them together.
	added func(p *policy, m match.Match)

	defaults policy
	single   policy  // of which there is one at a time
	policy   *policy // that is read
	named    map[string]int32
	table    *match.Builder[*cors.Policy]
	places   []place // of the rules of the table
	lists    listCache
	regexes  *origin.RegexBudget // of all policies
	memory   int                 // about how many bytes the policies take
	full     bool                // they take too many

	// The known fields of an object, and where it stands.
	present   []string
	presentIn int

	matchers int // how many objects have been read as another tool would

	// One list at a time, kept to be used again, and where its elements stand.
	names, hosts, routes []string
	paths                []match.Path
	namesAt              []place
	at                   [3][]place // of the fields of a match
}

// newReader isn't inlined: the copies would add 2 kB to the module.
//
//go:noinline
func newReader(doc string) *reader {
	r := &reader{problems: problems{doc: doc}, regexes: origin.NewRegexBudget()}
	r.lists = listCache{origins: map[listKey]*origin.Set{}, names: map[listKey]*names.List{}}
	r.table = match.NewBuilder[*cors.Policy](r,
		func(rule int) string { return policyPath(r.places[rule].index).String() })
	return r
}

func (r *reader) parse() (*Document, []Problem) {
	policies := r.read()
	if r.Errors > 0 {
		return nil, r.sorted()
	}
	return &Document{Policies: policies, PolicySource: r.from, Lookups: r.lookups}, r.sorted()
}

func (r *reader) read() *match.Table[*cors.Policy] {
	if len(r.doc) > MaxSize {
		r.fail(problem.TooLarge, 0, path{}, "is "+strconv.Itoa(len(r.doc))+" bytes long",
			"write at most "+strconv.Itoa(MaxSize)+" bytes")
		return nil
	}
	if strings.TrimSpace(r.doc) == "" {
		r.fail(problem.Missing, 0, path{}, "is empty", `write at least {"allow_origins": ["https://app.example"]}`)
		return nil
	}
	if p, ok := CheckSyntax(r.doc); !ok && r.Wants(false) {
		r.describe(p, p.Offset, path{})
		return nil
	}
	root := gjson.Parse(r.doc)
	if !root.IsObject() {
		r.wrongType(root, path{}, "an object", "write {…}")
		return nil
	}
	if r.has(root, topFields) {
		r.readMany(root)
	} else {
		p := &r.single
		p.place = place{-1, root.Index}
		r.object(root, path{}, policyFields, p.fields[:], topFields...)
		r.add(p)
	}
	return r.table.Table()
}

// has reports whether an object has one of the fields. It isn't inlined: the copies would
// add 2 kB to the module.
//
//go:noinline
func (r *reader) has(object gjson.Result, fields []string) (found bool) {
	object.ForEach(func(key, _ gjson.Result) bool {
		found = found || canonical(key.Str, fields) >= 0
		return !found
	})
	return found
}

func (r *reader) readMany(root gjson.Result) {
	// A policy's own fields are known here only to say where they belong.
	known := append(slices.Clone(topFields), policyFields...)
	fields := make([]gjson.Result, len(known))
	r.object(root, path{}, known, fields)
	for i, name := range policyFields {
		if v := fields[len(topFields)+i]; v.Exists() {
			instead := "move it into a policy"
			if i >= nameAndMatch {
				instead += ", or into defaults"
			}
			r.fail(problem.MisplacedField, v.Index, path{field1: name},
				`is a policy's field, beside "policies", "defaults" or "policy_source"`, instead)
		}
	}
	defaults, source, policies := fields[fieldDefaults], fields[fieldPolicySource], fields[fieldPolicies]
	if defaults.Exists() && r.is(defaults, path{base: "defaults"}, gjson.JSON, "an object") {
		// What is wrong with them is found here, whoever inherits them.
		r.defaults.offset, r.defaults.isDefaults = defaults.Index, true
		r.object(defaults, path{base: "defaults"}, defaultFields, r.defaults.fields[nameAndMatch:])
		r.compile(&r.defaults)
	}
	switch {
	case source.Exists() && r.fetched:
		r.fail(problem.MisplacedField, source.Index, path{base: "policy_source"},
			"stands in a document that a policy source serves", "leave it out")
	case source.Exists():
		r.from = r.source(source)
	}
	switch {
	case policies.Exists():
		r.readPolicies(policies)
	case defaults.Exists():
		r.fail(problem.Missing, root.Index, path{base: "policies"}, "is missing beside defaults",
			"write the list of policies")
	case r.from == nil:
		r.fail(problem.Missing, root.Index, path{base: "policies"}, "is missing", "write the list of policies")
	}
}

func (r *reader) readPolicies(list gjson.Result) {
	if !list.IsArray() && list.Type != gjson.Null {
		r.notList(list, path{base: "policies"})
		return
	}
	n := 0
	if list.IsArray() {
		room := min(count(list), MaxMemory/policyCost)
		r.named, r.places = make(map[string]int32, room), make([]place, 0, room)
		r.table.Grow(room)
		list.ForEach(func(_, element gjson.Result) bool {
			r.element(n, element)
			n++
			return !r.full
		})
	}
	if n == 0 {
		r.fail(problem.Missing, list.Index, path{base: "policies"}, "is empty", "write at least one policy")
	}
}

// element reads an element of policies.
func (r *reader) element(i int, object gjson.Result) {
	where := policyPath(i)
	if !object.IsObject() {
		r.wrongType(object, where, "an object", `write {"name": …, "allow_origins": […]}`)
		return
	}
	p := &r.single
	*p = policy{place: place{i, object.Index}}
	r.object(object, where, policyFields, p.fields[:])
	r.checkName(p, where)
	for f := nameAndMatch; f < numFields; f++ {
		if !p.fields[f].Exists() && r.defaults.fields[f].Exists() {
			p.fields[f] = r.defaults.fields[f]
			p.inherited |= 1 << f
		}
	}
	r.add(p)
}

// checkName checks that a policy of a list has a name, and one of its own.
func (r *reader) checkName(p *policy, where path) {
	name := p.fields[fieldName]
	switch {
	case name.Type == gjson.Null:
		r.fail(problem.Missing, p.offset, where.field("name"), "is missing", `give the policy a name, such as "shop"`)
		return
	case name.Type != gjson.String:
		return // found when the policy is read
	}
	if other, twice := r.named[name.Str]; !twice {
		r.named[name.Str] = int32(p.index)
	} else if r.Wants(false) {
		r.report(problem.Duplicate, name.Index, where.field("name"),
			quote(name.Str)+" is the name of "+policyPath(int(other)).String()+" too",
			"give each policy a name of its own")
	}
}

// spend counts the memory that something takes, which stands at a place. If all takes
// more than it may, reading ends with an error.
func (r *reader) spend(bytes, offset int, where path) {
	if r.memory += bytes; r.memory <= MaxMemory || r.full {
		return
	}
	r.full = true
	r.fail(problem.TooLarge, offset, where, "up to here the policies take more than "+strconv.Itoa(MaxMemory>>20)+
		" MiB of memory, and a worker has no room for more",
		"put into defaults what policies have in common, or leave some out")
}

// Report implements [problem.Reporter]: it finds the place of a problem of the engine.
func (r *reader) Report(p Problem) {
	offset, where := r.place(&p)
	r.describe(p, offset, where)
}

// place is where a problem of the engine is in the document.
func (r *reader) place(found *Problem) (offset int, where path) {
	p := r.policy
	switch found.Field {
	case "match", "match.hosts", "match.paths", "match.routes":
		return r.placeInMatch(found)
	}
	f := slices.Index(policyFields, found.Field)
	offset, where = p.offset, p.path().field(found.Field)
	if v := p.fields[f]; v.Exists() {
		offset, where = v.Index, p.field(f)
	}
	switch {
	case found.Index < 0:
	case f == fieldAllowOrigins:
		offset, where = found.Offset, where.element(found.Index)
	default:
		at := r.namesAt[found.Index]
		offset, where = at.offset, where.element(at.index)
	}
	return offset, where
}

// placeInMatch is where a problem of a match is.
func (r *reader) placeInMatch(found *Problem) (offset int, where path) {
	if found.Rule < len(r.places)-1 {
		// Of a policy that was read before: its place is all that is known of it.
		p := r.places[found.Rule]
		return p.offset, policyPath(p.index).field("match")
	}
	p := r.policy
	offset, where = p.offset, p.path().field("match")
	if v := p.fields[fieldMatch]; v.Exists() {
		offset = v.Index
	}
	if _, name, _ := strings.Cut(found.Field, "."); name != "" {
		f := slices.Index(matchFields, name)
		offset, where = p.match[f].Index, where.field(name)
		if found.Index >= 0 {
			at := r.at[f][found.Index]
			offset, where = at.offset, where.element(at.index)
		}
	}
	return offset, where
}

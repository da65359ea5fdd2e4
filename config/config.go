// Package config reads the filter's configuration: JSON with one policy, or many
// and the defaults that they share.
//
// It is strict, because what is misread here is a hole there: unknown fields,
// fields given twice, wrong types and values out of range are errors, and all of
// them are reported at once, with their place and what to write instead.
package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A Config is what a document says. It is immutable.
type Config struct {
	// Policies finds the policy that applies to a request. It may have none if
	// there is a PolicySource.
	Policies *cors.Set
	// PolicySource is where to fetch policies while the filter runs, or nil.
	PolicySource *PolicySource
}

// The fields of the format. Each may also be written in lowerCamelCase, as in
// protobuf's JSON.
var (
	topFields     = []string{"policies", "defaults", "policy_source"}
	policyFields  = []string{"name", "match", "allow_origins", "allow_methods", "allow_headers", "expose_headers", "allow_credentials", "max_age", "allow_private_network", "unmatched_preflights", "preflight_status", "upstream_cors_headers", "mode"}
	defaultFields = policyFields[2:]
	matchFields   = []string{"hosts", "paths", "routes"}
)

// Parse reads a plugin configuration. It returns all that is wrong or doubtful with
// it, in the document's order; the configuration is nil if any of it is more than a
// warning.
func Parse(doc string) (*Config, []Problem) {
	return (&reader{problems: problems{doc: doc}}).parse()
}

// ParseFetched reads a document that a policy source has served. It is as Parse,
// but for policy_source, which is an error in it.
func ParseFetched(doc string) (*Config, []Problem) {
	return (&reader{problems: problems{doc: doc}, fetched: true}).parse()
}

type reader struct {
	problems
	fetched bool // the document comes from a policy source
	keep    bool // keeps the rules
	from    *PolicySource
	rules   []Rule
}

func (r *reader) parse() (*Config, []Problem) {
	set := r.read()
	if r.errors {
		return nil, r.sorted()
	}
	return &Config{Policies: set, PolicySource: r.from}, r.sorted()
}

// members are the fields of an object, by their snake_case names.
type members map[string]member

type member struct {
	gjson.Result
	path string
}

// A policy is one policy's fields, its own and inherited.
type policy struct {
	offset int
	path   string // with a dot at the end, or ""
	fields members
	// at has the elements of each list, those left out that have a wrong type.
	at map[string][]member
}

func (r *reader) read() *cors.Set {
	if len(r.doc) > MaxSize {
		r.fail(0, "", "is "+strconv.Itoa(len(r.doc))+" bytes long", "write at most "+strconv.Itoa(MaxSize)+" bytes")
		return nil
	}
	if strings.TrimSpace(r.doc) == "" {
		r.fail(0, "", "is empty", `write at least {"allow_origins": ["https://app.example"]}`)
		return nil
	}
	if pos, what, instead := CheckSyntax(r.doc); what != "" {
		r.fail(pos, "", what, instead)
		return nil
	}
	root := gjson.Parse(r.doc)
	if !root.IsObject() {
		r.fail(root.Index, "", "is "+kind(root)+", not an object", "write {…}")
		return nil
	}
	var list []*policy
	if many := r.has(root, topFields); many {
		list = r.readMany(root)
	} else {
		list = []*policy{{offset: root.Index, fields: r.members(root, "", policyFields, topFields...)}}
	}
	return r.compile(list)
}

// has reports whether an object has one of the fields.
func (r *reader) has(object gjson.Result, fields []string) (found bool) {
	object.ForEach(func(key, _ gjson.Result) bool {
		found = found || canonical(key.Str, fields) != ""
		return !found
	})
	return found
}

func (r *reader) readMany(root gjson.Result) (list []*policy) {
	// A policy's own fields are known here only to say where they belong.
	fields := r.members(root, "", append(slices.Clone(topFields), policyFields...))
	for _, name := range policyFields {
		if m, ok := fields[name]; ok {
			instead := "move it into a policy"
			if slices.Contains(defaultFields, name) {
				instead += ", or into defaults"
			}
			r.fail(m.Index, m.path, `is a policy's field, beside "policies", "defaults" or "policy_source"`, instead)
		}
	}
	var defaults members
	if m, ok := fields["defaults"]; ok && r.is(m, gjson.JSON, "an object") {
		defaults = r.members(m.Result, "defaults", defaultFields)
		r.checkDefaults(m.Index, defaults)
	}
	source, ok := fields["policy_source"]
	switch {
	case ok && r.fetched:
		r.fail(source.Index, source.path, "stands in a document that a policy source serves", "leave it out")
	case ok:
		r.from = r.source(source)
	}
	m, ok := fields["policies"]
	switch _, given := fields["defaults"]; {
	case !ok && given:
		r.fail(root.Index, "policies", "is missing beside defaults", "write the list of policies")
		return nil
	case !ok && r.from == nil:
		r.fail(root.Index, "policies", "is missing", "write the list of policies")
		return nil
	case !ok:
		return nil
	}
	elements, ok := r.list(m)
	if (ok || m.Type == gjson.Null) && len(elements) == 0 {
		r.fail(m.Index, "policies", "is empty", "write at least one policy")
	}
	names := map[string]string{}
	for _, e := range elements {
		if !e.IsObject() {
			r.fail(e.Index, e.path, "is "+kind(e.Result)+", not an object", `write {"name": …, "allow_origins": […]}`)
			continue
		}
		p := &policy{offset: e.Index, path: e.path + ".", fields: r.members(e.Result, e.path, policyFields)}
		r.checkName(p, names)
		for name, value := range defaults {
			if _, own := p.fields[name]; !own {
				p.fields[name] = value
			}
		}
		list = append(list, p)
	}
	return list
}

// checkName checks that a policy of a list has a name, and one of its own.
func (r *reader) checkName(p *policy, taken map[string]string) {
	m, ok := p.fields["name"]
	if !ok || m.Type == gjson.Null {
		r.fail(p.offset, p.path+"name", "is missing", `give the policy a name, such as "shop"`)
		return
	}
	if m.Type != gjson.String {
		return // found when the policy is read
	}
	if other, twice := taken[m.Str]; twice {
		r.fail(m.Index, m.path, strconv.Quote(m.Str)+" is the name of "+other+" too", "give each policy a name of its own")
	}
	taken[m.Str] = strings.TrimSuffix(p.path, ".")
}

// checkDefaults finds what is wrong with the defaults whoever inherits them.
func (r *reader) checkDefaults(offset int, defaults members) {
	p := &policy{offset: offset, path: "defaults.", fields: defaults}
	c := r.policy(p)
	c.AllowCredentials = false // what it forbids depends on the policy
	if len(c.AllowOrigins) == 0 {
		c.AllowOrigins = []cors.OriginEntry{{Text: "*"}}
	}
	_, found := cors.Compile(c)
	for _, problem := range found {
		r.locate(p, problem)
	}
}

// compile compiles the policies and arranges them in a set.
func (r *reader) compile(list []*policy) *cors.Set {
	var rules []cors.Rule
	shared := map[inherited]*cors.Policy{}
	for _, p := range list {
		c := r.policy(p)
		all := c.AllowOrigins
		origins := inherited{p.fields["allow_origins"].Index, c.AllowCredentials}
		first, twice := shared[origins]
		if twice {
			// The default's origins have been compiled, and their problems reported.
			if c.AllowOriginsOf = first; first != nil {
				c.AllowOrigins = nil
			} else {
				c.AllowOrigins = placeholder
			}
		}
		compiled, found := cors.Compile(c)
		for _, problem := range found {
			r.locate(p, problem)
		}
		if !twice && origins.offset > 0 {
			shared[origins] = compiled
		}
		match, ok := r.match(p)
		rules = append(rules, cors.Rule{Name: strings.TrimSuffix(p.path, "."), Match: match, Policy: compiled, Incomplete: !ok})
		if r.keep {
			c.AllowOrigins, c.AllowOriginsOf = all, nil
			r.rules = append(r.rules, Rule{Path: strings.TrimSuffix(p.path, "."), Offset: p.offset, Match: match, Config: c, fields: p.fields})
		}
	}
	set, found := cors.NewSet(rules)
	for _, problem := range found {
		r.locate(list[problem.Rule], problem)
	}
	return set
}

// inherited identifies origins that several policies may have: by where they
// stand, and by whether they are used with credentials.
type inherited struct {
	offset      int
	credentials bool
}

// locate adds a problem of the engine at its place in the document.
func (r *reader) locate(p *policy, problem cors.Problem) {
	offset, path := p.offset, strings.TrimSuffix(p.path, ".")
	if problem.Field != "" {
		path = p.path + problem.Path()
	}
	if m, ok := p.fields[problem.Field]; ok {
		if problem.Index >= 0 {
			m = p.at[problem.Field][problem.Index]
		}
		offset, path = m.Index, m.path // those of an inherited field are in the defaults
	}
	r.add(offset, Problem{Path: path, What: problem.What, Instead: problem.Instead, Warning: problem.Warning})
}

// policy reads the fields of a policy, all but its match.
func (r *reader) policy(p *policy) (c cors.Config) {
	p.at = map[string][]member{}
	if name, ok := r.string(p.fields["name"]); ok {
		c.Name = name
		if !validName(name) {
			m := p.fields["name"]
			r.fail(m.Index, m.path, strconv.Quote(name)+" is not a name", "write 1 to 64 letters, digits, dots, hyphens and underscores")
		}
	}
	origins := p.fields["allow_origins"]
	elements, ok := r.list(origins)
	for _, e := range elements {
		if entry, ok := r.origin(e); ok {
			c.AllowOrigins = append(c.AllowOrigins, entry)
			p.at["allow_origins"] = append(p.at["allow_origins"], e)
		}
	}
	if wrong := !ok && origins.Exists() && origins.Type != gjson.Null; wrong || len(elements) > 0 && len(c.AllowOrigins) == 0 {
		// That is reported: don't report as well that there is none.
		c.AllowOrigins = placeholder
		p.at["allow_origins"] = []member{origins}
	}
	c.AllowMethods = r.strings(p, "allow_methods")
	c.AllowHeaders = r.strings(p, "allow_headers")
	c.ExposeHeaders = r.strings(p, "expose_headers")
	c.AllowCredentials = r.bool(p.fields["allow_credentials"])
	c.MaxAge = r.seconds(p.fields["max_age"])
	c.AllowPrivateNetwork = r.bool(p.fields["allow_private_network"])
	c.ForwardUnmatchedPreflights = r.choice(p.fields["unmatched_preflights"], true, "reject", "forward", "ignore") == "forward"
	if m := p.fields["preflight_status"]; m.Exists() && m.Type != gjson.Null && r.is(m, gjson.Number, "a number") {
		if m.Raw == "200" || m.Raw == "204" {
			c.PreflightStatus = int(m.Num)
		} else {
			r.fail(m.Index, m.path, shorten(m.Raw)+" is out of range", "write 200 or 204")
		}
	}
	c.KeepUpstreamHeaders = r.choice(p.fields["upstream_cors_headers"], false, "replace", "keep") == "keep"
	c.Shadow = r.choice(p.fields["mode"], false, "enforce", "shadow") == "shadow"
	return c
}

// placeholder stands for origins that are wrong, and reported.
var placeholder = []cors.OriginEntry{{Text: "https://placeholder.invalid"}}

func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// origin reads an entry of allow_origins.
func (r *reader) origin(m member) (entry cors.OriginEntry, ok bool) {
	if m.Type == gjson.String {
		return cors.OriginEntry{Text: m.Str}, true
	}
	if !m.IsObject() {
		r.fail(m.Index, m.path, "is "+kind(m.Result)+", not an origin", `write a string such as "https://app.example", or {"regex": "…"}`)
		return entry, false
	}
	fields := r.members(m.Result, m.path, []string{"regex"})
	regex, given := fields["regex"]
	if !given {
		r.fail(m.Index, m.path, "has no regex", `write a string such as "https://app.example", or {"regex": "…"}`)
		return entry, false
	}
	if !r.is(regex, gjson.String, "a string") {
		return entry, false
	}
	return cors.OriginEntry{Text: regex.Str, Regex: true}, true
}

// match reads a policy's match. One that is wrong in itself says nothing about
// what the policy matches: ok is false then.
func (r *reader) match(p *policy) (match cors.Match, ok bool) {
	m := p.fields["match"]
	if !m.Exists() || m.Type == gjson.Null {
		return match, true
	}
	if !m.IsObject() {
		r.fail(m.Index, m.path, "is "+kind(m.Result)+", not an object", `write {"hosts": […], "paths": […]}`)
		return match, false
	}
	before := len(r.found)
	for name, field := range r.members(m.Result, m.path, matchFields) {
		p.fields["match."+name] = field
	}
	match.Hosts = r.strings(p, "match.hosts")
	match.Routes = r.strings(p, "match.routes")
	elements, _ := r.list(p.fields["match.paths"])
	for _, e := range elements {
		if path, ok := r.path(e); ok {
			match.Paths = append(match.Paths, path)
			p.at["match.paths"] = append(p.at["match.paths"], e)
		}
	}
	return match, len(r.found) == before
}

func (r *reader) path(m member) (path cors.PathMatch, ok bool) {
	const instead = `write {"exact": "/path"} or {"prefix": "/path"}`
	if !m.IsObject() {
		r.fail(m.Index, m.path, "is "+kind(m.Result)+", not a path match", instead)
		return path, false
	}
	fields := r.members(m.Result, m.path, []string{"exact", "prefix"})
	if len(fields) != 1 {
		if len(fields) > 1 {
			r.fail(m.Index, m.path, "has an exact path and a prefix", "write two entries")
		} else {
			r.fail(m.Index, m.path, "has neither an exact path nor a prefix", instead)
		}
		return path, false
	}
	for name, field := range fields {
		if !r.is(field, gjson.String, "a string") {
			return path, false
		}
		path = cors.PathMatch{Path: field.Str, Prefix: name == "prefix"}
	}
	return path, true
}

// members reads the fields of an object, and reports those that are unknown or
// given twice. Some of the unknown ones may be meant to be others.
func (r *reader) members(object gjson.Result, path string, known []string, others ...string) members {
	if path != "" {
		path += "."
	}
	fields := members{}
	object.ForEach(func(key, value gjson.Result) bool {
		name := canonical(key.Str, known)
		switch _, twice := fields[name]; {
		case name == "":
			instead := "leave it out; the fields are " + strings.Join(known, ", ")
			if near := nearest(key.Str, slices.Concat(known, others)); near != "" {
				instead = "write " + strconv.Quote(near)
			}
			r.fail(key.Index, path+printable(key.Str), "is not a field", instead)
		case twice:
			r.fail(key.Index, path+name, "is given twice", "leave one out")
		default:
			fields[name] = member{value, path + name}
		}
		return true
	})
	return fields
}

// canonical returns the field that key names, in snake_case, or "".
func canonical(key string, known []string) string {
	for _, name := range known {
		if key == name || isCamel(key, name) {
			return name
		}
	}
	return ""
}

// isCamel reports whether key is name in lowerCamelCase.
func isCamel(key, name string) bool {
	i := 0
	for j := 0; j < len(name); j++ {
		c := name[j]
		if c == '_' {
			j++
			c = name[j] - ('a' - 'A')
		}
		if i == len(key) || key[i] != c {
			return false
		}
		i++
	}
	return i == len(key)
}

// printable makes a path of what an operator wrote as a field's name.
func printable(key string) string {
	if validName(key) {
		return key
	}
	if len(key) > 64 {
		key = key[:64]
	}
	return strconv.Quote(key)
}

// list reads a list. A missing field and null are an empty one.
func (r *reader) list(m member) (elements []member, ok bool) {
	if !m.Exists() || m.Type == gjson.Null {
		return nil, false
	}
	if !m.IsArray() {
		instead := "write a list, […]"
		if m.Type != gjson.JSON {
			instead = "write [" + shorten(m.Raw) + "]"
		}
		r.fail(m.Index, m.path, "is "+kind(m.Result)+", not a list", instead)
		return nil, false
	}
	m.ForEach(func(_, value gjson.Result) bool {
		elements = append(elements, member{value, m.path + "[" + strconv.Itoa(len(elements)) + "]"})
		return true
	})
	return elements, true
}

// strings reads a list of strings, and notes where they are.
func (r *reader) strings(p *policy, name string) (list []string) {
	elements, _ := r.list(p.fields[name])
	for _, e := range elements {
		if r.is(e, gjson.String, "a string") {
			list = append(list, e.Str)
			p.at[name] = append(p.at[name], e)
		}
	}
	return list
}

func (r *reader) string(m member) (s string, ok bool) {
	if !m.Exists() || m.Type == gjson.Null || !r.is(m, gjson.String, "a string") {
		return "", false
	}
	return m.Str, true
}

func (r *reader) bool(m member) bool {
	if m.Exists() && !m.IsBool() && m.Type != gjson.Null {
		r.fail(m.Index, m.path, "is "+kind(m.Result)+", not true or false", "write true or false, without quotes")
	}
	return m.Type == gjson.True
}

// choice reads one of several words.
func (r *reader) choice(m member, anyCase bool, words ...string) string {
	s, ok := r.string(m)
	if !ok {
		return ""
	}
	for _, word := range words {
		if s == word || anyCase && strings.EqualFold(s, word) {
			return word
		}
	}
	r.fail(m.Index, m.path, strconv.Quote(shorten(s))+" is not one of "+strings.Join(words[:2], ", "), "write "+strconv.Quote(words[0])+" or "+strconv.Quote(words[1]))
	return ""
}

// seconds reads a number of seconds, or a duration.
func (r *reader) seconds(m member) *int {
	const instead = `write seconds, such as 600, or a duration, such as "10m"`
	if !m.Exists() || m.Type == gjson.Null {
		return nil
	}
	switch m.Type {
	case gjson.Number:
		n, err := strconv.Atoi(m.Raw)
		if err == nil {
			return &n
		}
		if strings.ContainsAny(m.Raw, ".eE") {
			r.fail(m.Index, m.path, shorten(m.Raw)+" is not a whole number of seconds", instead)
		} else {
			r.fail(m.Index, m.path, shorten(m.Raw)+" seconds are out of range", "write 0 to "+strconv.Itoa(cors.MaxMaxAge)+", or leave it out")
		}
	case gjson.String:
		d, err := time.ParseDuration(m.Str)
		if err == nil && d%time.Second == 0 {
			n := int(d / time.Second)
			return &n
		}
		if err == nil {
			r.fail(m.Index, m.path, strconv.Quote(m.Str)+" is not a whole number of seconds", instead)
		} else {
			r.fail(m.Index, m.path, strconv.Quote(shorten(m.Str))+" is not a duration", instead)
		}
	default:
		r.fail(m.Index, m.path, "is "+kind(m.Result)+", not a number of seconds", instead)
	}
	return nil
}

// is reports whether a value has the type that its field needs.
func (r *reader) is(m member, want gjson.Type, words string) bool {
	if m.Type == want && (want != gjson.JSON || m.IsObject()) {
		return true
	}
	r.fail(m.Index, m.path, "is "+kind(m.Result)+", not "+words, "write "+words)
	return false
}

// kind is the type of a value in words.
func kind(v gjson.Result) string {
	switch {
	case v.IsObject():
		return "an object"
	case v.IsArray():
		return "a list"
	}
	switch v.Type {
	case gjson.String:
		return "the string " + strconv.Quote(shorten(v.Str))
	case gjson.Number:
		return "the number " + shorten(v.Raw)
	case gjson.Null:
		return "null"
	}
	return v.Raw
}

func shorten(s string) string {
	const limit = 60
	for i := range s {
		if i > limit {
			return s[:i] + "…"
		}
	}
	return s
}

// nearest returns the name that key was probably meant to be, or "".
func nearest(key string, known []string) string {
	if len(key) > 64 {
		return ""
	}
	best, bestDistance := "", 3
	for _, name := range known {
		// Without separators, so that neither spelling counts as a mistake.
		d := distance(strings.ToLower(separators.Replace(key)), separators.Replace(name))
		if d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

var separators = strings.NewReplacer("_", "", "-", "")

// distance is the number of letters to insert, delete or change from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

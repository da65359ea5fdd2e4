package explain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policyjson"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Change is an edit of the configuration, or, without a path, why none helps.
type Change struct {
	// Path is the field to edit, such as "policies[1].allow_methods".
	Path string `json:"path,omitempty"`
	// Offset is where in the configuration it stands, or the policy if it lacks it.
	Offset int `json:"-"`
	// Edit is what to do.
	Edit string `json:"edit"`
	// Or is what to do elsewhere instead, or "".
	Or string `json:"or,omitempty"`
	// Warnings are what "corsctl validate" warns of when it is done, and didn't before.
	Warnings []string `json:"warnings,omitempty"`
	// Rewrite is the edit for code; nil without a path.
	Rewrite *Rewrite `json:"-"`
}

// A Rewrite is an edit of a field of an object in a configuration.
type Rewrite struct {
	// Object is where the object begins, in bytes: a policy. The field "policies" is one of the
	// configuration.
	Object int
	// Field is the field, such as "match.hosts". The object may lack it.
	Field string
	// Added are what the field's list gets at its end, each as JSON. If there are none, Value
	// is what takes the field's place, as JSON.
	Added []string
	Value string
}

// maxEdits is above the number of edits that any request needs: the filter takes no
// more requested headers than its limit on their length has room for.
const maxEdits = cors.MaxRequestHeaders

// change finds the smallest change that allows the request: it edits the policy
// until the browser lets the answer through.
func (e *Explanation) change(policies []config.Policy, written *config.Policy, key match.Key) {
	if e.neverMade() {
		e.Changes = []Change{{Edit: "no policy can allow it: the browser doesn't make the request"}}
		return
	}
	if written == nil {
		e.changeMatch(policies, key)
		return
	}
	ed := e.editor(written, written.Config)
	if !ed.edit(e.Exchange) {
		e.Changes = []Change{{Edit: ed.impossible}}
		return
	}
	e.Changes = ed.summarize()
}

// neverMade reports whether the browser doesn't make the request, whatever the policy says.
func (e *Explanation) neverMade() bool {
	return browser.ForbiddenMethod(e.Request.Method) || e.Preflight == nil && e.Actual == nil
}

// edit makes edits until the browser lets the answer through, and reports whether it does.
func (ed *editor) edit(exchange *Exchange) bool {
	for n := 0; exchange.Blocked != nil; n++ {
		if n == maxEdits || !ed.next(exchange) {
			return false
		}
		policy := ed.compile()
		if policy == nil {
			return false
		}
		exchange = ed.upstream.Run(policy, ed.request, ed.lookup)
	}
	return true
}

// An editor edits a policy.
type editor struct {
	written    *config.Policy
	config     cors.Config // whose lists are the policy's until they are edited
	request    browser.Request
	lookup     cors.LookupResult // of the origin
	upstream   Upstream
	edits      []edit         // one for each field, in the order in which they were made
	impossible string         // why no edit helps
	warnings   []cors.Problem // about the edited policy, as it was compiled last, if it is valid
}

// editor edits a policy so that it allows the request. The browser remembers nothing of what
// another policy has answered.
func (e *Explanation) editor(written *config.Policy, c cors.Config) *editor {
	ed := &editor{written: written, config: c, request: e.Request, lookup: e.result, upstream: e.upstream}
	ed.request.PreflightCached = false
	return ed
}

// An edit of a field: what is added to its list, quoted, or what else to do.
type edit struct {
	field string
	added []string
	other string
	value string // what other says to write, as JSON; "" for the policy's own list
}

// next makes the edit that mends what a request has failed by.
func (ed *editor) next(e *Exchange) bool {
	d := e.decision()
	c := &ed.config
	switch {
	case c.Off: // which has no other field of its own, and what it inherits counts then
		on := *ed.written
		on.Config, on.Lookup = inForce(on.Defaults), on.Defaults.Lookup
		on.Config.Name = c.Name
		ed.written, *c = &on, on.Config
		if len(c.AllowOrigins) == 0 && !c.Lookup {
			c.AllowOrigins = []cors.OriginEntry{{Text: ed.request.Origin}}
			return ed.set("mode", `"enforce"`) && ed.add("allow_origins", ed.request.Origin)
		}
		return ed.set("mode", `"enforce"`)
	case c.Shadow:
		c.Shadow = false
		return ed.set("mode", `"enforce"`)
	}
	switch d.Reason {
	case cors.OriginNotAllowed:
		c.AllowOrigins = append(slices.Clip(c.AllowOrigins), cors.OriginEntry{Text: ed.request.Origin})
		return ed.add("allow_origins", ed.request.Origin)
	case cors.MethodNotAllowed:
		c.AllowMethods = append(slices.Clip(c.AllowMethods), ed.request.Method)
		return ed.add("allow_methods", ed.request.Method)
	case cors.HeaderNotAllowed, cors.AuthorizationNotAllowed:
		name := ed.missingHeader()
		c.AllowHeaders = append(slices.Clip(c.AllowHeaders), name)
		return ed.add("allow_headers", name)
	case cors.Allowed:
		return ed.browser(e)
	}
	ed.impossible = "no policy can allow it: " + d.Why()
	return false
}

// missingHeader is the first header that the preflight asks for and the policy lacks.
func (ed *editor) missingHeader() string {
	requested := strings.Join(request("OPTIONS", ed.request.Preflight()).RequestHeaders, ",")
	for name := range strings.SplitSeq(requested, ",") {
		listed := slices.ContainsFunc(ed.config.AllowHeaders, func(h string) bool { return strings.EqualFold(h, name) })
		covered := slices.Contains(ed.config.AllowHeaders, "*") && name != "authorization"
		if !listed && !covered {
			return canonical(name)
		}
	}
	return ""
}

// canonical is a header's name in lower case as people write it. net/http would do that, and
// be a fifth of what the page loads.
func canonical(name string) string {
	b := []byte(name)
	for i, c := range b {
		if (i == 0 || b[i-1] == '-') && 'a' <= c && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

// browser mends what the filter allows, and the browser blocks all the same.
func (ed *editor) browser(e *Exchange) bool {
	c, b := &ed.config, e.Blocked
	if !b.Preflight && c.KeepUpstreamHeaders && ed.upstream.allowsOrigin() {
		c.KeepUpstreamHeaders = false
		return ed.set("upstream_cors_headers", `"replace"`)
	}
	switch b.Reason {
	case browser.WildcardWithCredentials, browser.AllowCredentialsNotTrue:
		own := cors.OriginEntry{Text: ed.request.Origin}
		if every := (cors.OriginEntry{Text: "*"}); slices.Contains(c.AllowOrigins, every) {
			isEvery := func(o cors.OriginEntry) bool { return o == every }
			c.AllowOrigins = slices.DeleteFunc(slices.Clone(c.AllowOrigins), isEvery)
			if !slices.Contains(c.AllowOrigins, own) {
				c.AllowOrigins = append(slices.Clip(c.AllowOrigins), own)
			}
			ed.say("allow_origins", "", `write the origins that may send credentials instead of "*", such as `+
				strconv.Quote(ed.request.Origin))
		}
		if slices.Contains(c.ExposeHeaders, "*") {
			c.ExposeHeaders = nil
			ed.say("expose_headers", "[]",
				`write the names of the headers instead of "*", which counts for nothing with credentials`)
		}
		c.AllowCredentials = true
		return ed.set("allow_credentials", "true")
	case browser.PrivateNetworkNotAllowed:
		c.AllowPrivateNetwork = true
		return ed.set("allow_private_network", "true")
	case browser.AuthorizationNotListed:
		c.AllowHeaders = append(slices.Clip(c.AllowHeaders), "Authorization")
		return ed.add("allow_headers", "Authorization")
	}
	ed.impossible = "no change of the policy helps: " + b.Error()
	return false
}

func (ed *editor) add(field, word string) bool {
	e := ed.of(field)
	e.added = append(e.added, strconv.Quote(word))
	return true
}

// set gives a field another value, which is JSON.
func (ed *editor) set(field, value string) bool { return ed.say(field, value, "write "+value) }

// say gives a field another value, "" for the list that the policy has now, and says so in
// words.
func (ed *editor) say(field, value, words string) bool {
	e := ed.of(field)
	e.other, e.value = words, value
	return true
}

// of is the edit of a field, the one that there is or a new one.
func (ed *editor) of(field string) *edit {
	i := slices.IndexFunc(ed.edits, func(e edit) bool { return e.field == field })
	if i < 0 {
		i = len(ed.edits)
		ed.edits = append(ed.edits, edit{field: field})
	}
	return &ed.edits[i]
}

// compile compiles the edited policy. It is nil, and says why, if the filter refuses it.
func (ed *editor) compile() *cors.Policy {
	policy, problems := cors.Compile(ed.config)
	ed.warnings = problems
	if policy == nil {
		first := slices.IndexFunc(problems, func(p cors.Problem) bool { return !p.Warning })
		ed.impossible = ed.refusal(problems[first])
	}
	return policy
}

// refusal says what keeps the filter from taking the edited policy.
func (ed *editor) refusal(p cors.Problem) string {
	origins := ed.config.AllowOrigins
	if i := p.Index; p.Field == "allow_origins" && 0 <= i && i < len(origins) && origins[i].Text != ed.request.Origin {
		// The request's own origin would do, but another entry stands in its way.
		return "no change helps without removing " + ed.place(origins[i]) + ": " + p.What
	}
	return "no change of the policy helps, because the filter refuses it: " + p.What + "; " + p.Instead
}

// place is where the configuration has an entry of allow_origins. The edited list is
// no measure of it, as "*" may be gone from that.
func (ed *editor) place(entry cors.OriginEntry) string {
	path, _, _ := ed.written.Field("allow_origins")
	return path + "[" + strconv.Itoa(slices.Index(ed.written.Config.AllowOrigins, entry)) + "]"
}

// summarize makes a change of each edit, and says what is to be warned of.
func (ed *editor) summarize() (changes []Change) {
	for _, e := range ed.edits {
		// What is inherited is others' too: they are none of this request's business,
		// so that the edit is one of the policy itself.
		path, offset, own := ed.written.OwnField(e.field)
		words, rewrite := e.other, &Rewrite{Object: ed.written.Offset, Field: e.field, Value: e.value}
		whole := (policyjson.Policy{Config: ed.config}).List(e.field)
		if e.value == "" {
			rewrite.Value = "[" + strings.Join(whole, ", ") + "]"
		}
		switch {
		case whole != nil && !own:
			words = "write " + rewrite.Value
		case e.added != nil && e.other != "": // for another request, which needs less
			words = e.other + ", " + strings.Join(e.added, ", ")
		case e.added != nil:
			words = "add " + strings.Join(e.added, ", ")
			rewrite.Added = e.added
		}
		c := Change{Path: path, Offset: offset, Edit: words, Rewrite: rewrite}
		if e.field == "allow_origins" {
			c.Or = ed.register()
		}
		changes = append(changes, c)
	}
	_, before := cors.Compile(ed.written.Config)
	for _, p := range newWarnings(before, ed.warnings) {
		at := slices.IndexFunc(changes, func(c Change) bool { return strings.HasSuffix(c.Path, p.Field) })
		if at < 0 {
			at = len(changes) - 1
		}
		changes[at].Warnings = append(changes[at].Warnings, inOneLine(p))
	}
	return changes
}

// register says what to do where the origin is looked up, instead of an edit of allow_origins;
// "" if that doesn't help.
func (ed *editor) register() string {
	c := ed.config
	c.AllowOrigins = ed.written.Config.AllowOrigins
	policy, _ := cors.Compile(c)
	switch {
	case policy == nil || !policy.LooksUp() || ed.upstream.Run(policy, ed.request, cors.LookupAllows).Blocked != nil:
		return ""
	case ed.lookup == cors.LookupFailed:
		return "see why the look-up fails, if " + ed.request.Origin + " is registered there"
	}
	return "register " + ed.request.Origin + " where the cluster " + ed.written.Lookup.Cluster + " looks it up"
}

// newWarnings are the warnings among the problems that weren't there before.
func newWarnings(before, problems []cors.Problem) (list []cors.Problem) {
	for _, p := range problems {
		known := func(other cors.Problem) bool { return other.Field == p.Field && other.What == p.What }
		if p.Warning && !slices.ContainsFunc(before, known) {
			list = append(list, p)
		}
	}
	return list
}

// inOneLine is a problem without its place.
func inOneLine(p cors.Problem) string {
	p.Field = ""
	return p.Message()
}

// changeMatch finds a policy that would allow the request, if it covered it.
func (e *Explanation) changeMatch(policies []config.Policy, key match.Key) {
	for i := range policies {
		written := &policies[i]
		policy, _ := cors.Compile(written.Config)
		blocks := e.upstream.Run(policy, e.Request, e.result).Blocked != nil
		if blocks || len(written.Match.Hosts) == 0 || key.Host == "" {
			continue
		}
		m := written.Match
		m.Hosts = append(slices.Clone(m.Hosts), key.Host)
		_, covers := m.Fit(key)
		if isValid, warnings := valid(policies, i, m); covers && isValid {
			path, offset, _ := written.Field("match.hosts")
			host := strconv.Quote(key.Host)
			e.Changes = []Change{{Path: path, Offset: offset, Edit: "add " + host, Warnings: warnings,
				Rewrite: &Rewrite{Object: written.Offset, Field: "match.hosts", Added: []string{host}}}}
			return
		}
	}
	e.Changes = []Change{e.newPolicy(policies, key)}
}

// newPolicy is a policy for the request's host and path, beside those that there are.
func (e *Explanation) newPolicy(policies []config.Policy, key match.Key) Change {
	ed := e.editor(&config.Policy{}, newConfig(policies, e.Request.Origin))
	policy := ed.compile()
	if policy == nil || !ed.edit(e.upstream.Run(policy, ed.request, e.result)) {
		return Change{Edit: ed.impossible}
	}
	var m match.Match
	if key.Host != "" {
		m.Hosts = []string{key.Host}
	}
	if path := capture.Stem(pathOf(key)); path != "/" {
		m.Paths = []match.Path{{Path: path, Prefix: true}}
	}
	isValid, warnings := valid(append(slices.Clone(policies), config.Policy{Config: ed.config}), len(policies), m)
	if !isValid {
		return Change{Edit: "add a policy that covers the request; none could be made of its host and path"}
	}
	ed.config.Name = "new"
	for _, p := range ed.warnings {
		warnings = append(warnings, inOneLine(p))
	}
	return addition(policies, policyjson.Policy{Config: ed.config, Match: m}, warnings)
}

// inForce is a policy's config in the mode "enforce".
func inForce(p *config.Policy) cors.Config {
	c := p.Config
	c.Off, c.Shadow = false, false
	return c
}

// newConfig is a new policy's beside others, in force and for one origin, with what it inherits.
func newConfig(policies []config.Policy, origin string) cors.Config {
	c := inForce(policies[0].Defaults)
	c.AllowOrigins = []cors.OriginEntry{{Text: origin}}
	return c
}

// addition is the change that adds a policy to those that there are.
func addition(policies []config.Policy, p policyjson.Policy, warnings []string) Change {
	added := policyjson.Line(p.Beside(policies[0].Defaults.Config))
	words := "add " + added
	if policies[0].Path == "" {
		words = "write the policy as the first of a list of policies, and " + words
	}
	return Change{Path: "policies", Edit: words, Warnings: warnings,
		Rewrite: &Rewrite{Field: "policies", Added: []string{added}}}
}

// valid reports whether the filter accepts the policies, if one has another match, and what
// it warns of in that one.
func valid(policies []config.Policy, index int, m match.Match) (ok bool, warnings []string) {
	_, before := arrange(policies)
	policies = slices.Clone(policies)
	policies[index].Match = m
	ok, problems := arrange(policies)
	for _, p := range newWarnings(before, problems) {
		if p.Rule == index {
			warnings = append(warnings, inOneLine(p))
		}
	}
	return ok, warnings
}

// arrange reports whether the matches of the policies go together, and what is wrong or
// doubtful with them.
func arrange(policies []config.Policy) (ok bool, problems []cors.Problem) {
	r := &match.Problems{}
	b := match.NewBuilder[*config.Policy](r, func(rule int) string { return policies[rule].Path })
	for i := range policies {
		b.Add(policies[i].Match, &policies[i], true)
	}
	return b.Table() != nil, r.All()
}

func pathOf(key match.Key) string {
	path, _, _ := strings.Cut(key.Path, "?")
	return path
}

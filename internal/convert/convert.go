// Package convert turns what other tools call a CORS policy into the filter's
// configuration, and says what couldn't be carried over and what was unsafe there.
//
// Each format has a reader, which reads documents and adds the policies that it finds,
// as they stand there. What is common to all follows in [Convert]: what the filter
// refuses is left out or repaired, policies that match the same are told apart, and
// the configuration is written. The result never lets more sites act as the visitor
// than the source did.
package convert

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policyjson"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A format is what can be read.
type format struct {
	// read reads the documents of a file and adds the policies that it finds.
	read func(c *conversion, documents []*document.Node)
	// looksFor is what read looks for in a file.
	looksFor string
}

var formats = map[string]format{
	"envoy": {fromEnvoy,
		"a CorsPolicy, in a bootstrap, in listeners, in route configurations, in virtual hosts or on its own"},
	"apisix": {fromAPISIX, "a route, a service or a global rule with the plugin cors, or an ApisixRoute"},
	"aws-apigateway": {fromAWSAPIGateway,
		"OpenAPI with the extensions of API Gateway, or a template of SAM or CloudFormation with an API"},
	"istio":         {fromIstio, "a VirtualService with a corsPolicy"},
	"gateway-api":   {fromGatewayAPI, "an HTTPRoute with a filter of the type CORS"},
	"envoy-gateway": {fromEnvoyGateway, "a SecurityPolicy with cors"},
	"higress":       {fromHigress, "an Ingress with CORS annotations, or the configuration of the cors plugin"},
	"s3":            {fromS3, "a list of CORSRules, or an AWS::S3::Bucket with a CorsConfiguration"},
	"spring":        {fromSpring, "spring.cloud.gateway.globalcors, or a route with cors in its metadata"},
	"contour":       {fromContour, "an HTTPProxy with a corsPolicy"},
	"emissary":      {fromEmissary, "a Mapping with cors, or the Module named ambassador with it"},
	"traefik":       {fromTraefik, "a headers middleware with accessControl… fields, of a file or of Kubernetes"},
	"kong":          {fromKong, "a cors plugin, in a declarative configuration or in a KongPlugin"},
	"nginx-ingress": {fromNginxIngress, "an Ingress with the annotation nginx.ingress.kubernetes.io/enable-cors"},
}

// Formats are the names of the formats that can be read.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// A Result is a configuration, and what its user should know of it.
type Result struct {
	// From is the format.
	From string
	// Configuration is the plugin configuration, JSON; empty if there is no policy in
	// the file, or none that can be carried over.
	Configuration string
	// Policies is how many policies it has.
	Policies int
	// Findings say what wasn't carried over, and what was unsafe, in the file's order.
	// All are warnings if there is a configuration.
	Findings []*document.Finding
	// Remove is what does CORS at the source, in the file's order: two that do it are one
	// too many.
	Remove []Removal
}

// A Removal is a part of the source that the configuration takes the place of.
type Removal struct {
	// File is where it stands.
	File *document.File
	// Offset is where in the file its name is, or it itself, in bytes.
	Offset int
	// Path is its place in the document, such as "spec.http[0].corsPolicy".
	Path string
	// What it is.
	What string
}

// JSON is the result as [encoding/json] takes it.
func (r *Result) JSON() map[string]any {
	type removal struct {
		File string `json:"file"`
		document.Position
		Path string `json:"path"`
		What string `json:"what"`
	}
	remove := []removal{}
	for _, r := range r.Remove {
		remove = append(remove, removal{r.File.Name, r.File.Position(r.Offset), r.Path, r.What})
	}
	var configuration any
	if r.Configuration != "" {
		configuration = json.RawMessage(r.Configuration)
	}
	return map[string]any{
		"from": r.From, "configuration": configuration, "findings": document.JSON(r.Findings), "remove": remove,
	}
}

// String is the removal in one line.
func (r Removal) String() string {
	return r.File.Name + ":" + r.File.Position(r.Offset).String() + ": " + r.Path + " (" + r.What + ")"
}

// Convert reads a file of a format that is one of [Formats].
func Convert(from string, file *document.File) (*Result, error) {
	format, ok := formats[from]
	if !ok {
		return nil, fmt.Errorf("there is no format %q; the formats are %s", from, strings.Join(Formats(), ", "))
	}
	c := &conversion{file: file}
	format.read(c, file.Documents)
	if len(c.remove) > 0 && !c.ownHeaders {
		for _, d := range file.Documents {
			d.Walk(c.setHeaders)
		}
	}
	switch {
	case len(c.drafts)+len(c.findings) > 0:
	case len(c.remove) > 0:
		c.fail("has no policy of the format "+from+" that is in force", "nothing is to be converted")
	default:
		c.fail("has no policy of the format "+from, "give a file with "+format.looksFor)
	}
	result := c.finish()
	result.From = from
	return result, nil
}

// A conversion collects policies.
type conversion struct {
	file     *document.File
	drafts   []*draft
	findings []*document.Finding
	remove   []Removal
	// ownHeaders tells that the format's policies are CORS headers: none are beside them.
	ownHeaders bool

	// paths and steps say where values stand, when that is needed.
	paths map[*document.Node]string
	steps map[*document.Node]step
}

// A draft is a policy on its way into the configuration.
type draft struct {
	// Match is what the policy is for.
	Match match.Match
	// Config is the policy. Names are made unique and valid later.
	cors.Config
	// from is where the policy stands.
	from *document.Node
	// at has where each entry of a list comes from, by the list's field name, such as
	// "allow_origins"; entries without one stand where the policy does.
	at map[string][]*document.Node

	text string // what key has made of the policy
}

// newDraft is a draft that is called as a resource is, and as what of it has the policy.
func newDraft(from *document.Node, name, section string) *draft {
	return &draft{from: from, Config: cors.Config{Name: strings.TrimSuffix(name+"-"+section, "-")}}
}

// key tells policies apart by what they do; it is "" of nil, which does nothing.
func (d *draft) key() string {
	if d != nil && d.text == "" {
		alike := policyjson.Policy{Config: d.Config}
		alike.Name = ""
		d.text = policyjson.Line(alike.Object())
	}
	if d == nil {
		return ""
	}
	return d.text
}

// copyFor is a copy for a match, which can be changed.
func (d *draft) copyFor(m match.Match, name string) *draft {
	one := *d
	one.Match, one.Name, one.at, one.text = m, name, maps.Clone(d.at), ""
	one.AllowOrigins, one.AllowMethods = slices.Clone(d.AllowOrigins), slices.Clone(d.AllowMethods)
	return &one
}

// add adds a policy. Of two that match the same, the first counts.
func (c *conversion) add(d *draft) { c.drafts = append(c.drafts, d) }

// warn adds a warning about a value that isn't carried over as it is.
func (c *conversion) warn(at *document.Node, what, instead string) {
	c.warnOf(problem.NotCarriedOver, at, what, instead)
}

// warnOf adds a warning of a kind about a value.
func (c *conversion) warnOf(kind problem.Kind, at *document.Node, what, instead string) {
	c.findings = append(c.findings, at.Warning(kind, c.path(at), what, instead))
}

// found notes a part of the source that does CORS; what says what it is.
func (c *conversion) found(at *document.Node, what string) {
	removal := Removal{File: c.file, Offset: at.Offset, Path: c.path(at), What: what}
	if s, inside := c.steps[at]; inside {
		removal.Offset = s.offset
	}
	c.remove = append(c.remove, removal)
}

// setHeaders warns of CORS headers that are set beside the policies: by Envoy's
// response_headers_to_add, Gateway API's ResponseHeaderModifier, Istio's headers.response.
func (c *conversion) setHeaders(n *document.Node) bool {
	for _, m := range n.Members {
		at := m.Value
		switch {
		case corsHeader.MatchString(m.Name):
		case (m.Name == "key" || m.Name == "name") && n.Has("value") && corsHeader.MatchString(at.String()):
			at = n
		default:
			continue
		}
		c.found(at, "sets a CORS header")
		c.warn(at, "sets a CORS header beside the policies, which isn't read",
			"left out; write a policy for what it does")
	}
	return true
}

// fail adds what stands in the way of any configuration.
func (c *conversion) fail(what, instead string) {
	c.findings = append(c.findings, c.file.Finding(0, problem.New(problem.Missing, "configuration", what, instead)))
}

// nobody is an origin that no page has, for policies that allow none: a policy must
// have one.
const nobody = "https://nobody.invalid"

// exempt adds a policy that leaves alone what it matches, where a policy for more would
// apply otherwise.
func (c *conversion) exempt(m match.Match, from *document.Node, name string) {
	d := newDraft(from, name, "without-cors")
	d.Match, d.Off = m, true
	c.add(d)
}

// place is where an entry of one of the lists comes from.
func (d *draft) place(field string, index int) *document.Node {
	if at := d.at[field]; index >= 0 && index < len(at) && at[index] != nil {
		return at[index]
	}
	return d.from
}

// path is the place of a value in its document, such as "spec.http[0].corsPolicy"; a
// document as a whole is the configuration.
func (c *conversion) path(n *document.Node) string {
	if c.paths == nil {
		c.paths, c.steps = map[*document.Node]string{}, map[*document.Node]step{}
		for _, d := range c.file.Documents {
			d.Walk(c.enter)
		}
	}
	if path, known := c.paths[n]; known {
		return path
	}
	var names []string
	for s, inside := c.steps[n]; inside; s, inside = c.steps[s.from] {
		names = append(names, s.name)
	}
	slices.Reverse(names)
	return cmp.Or(strings.TrimPrefix(strings.Join(names, ""), "."), "configuration")
}

// A step leads from a value to one in it.
type step struct {
	from *document.Node
	// name is the step in a path, such as ".hosts" or "[0]".
	name string
	// offset is where the name stands in the file, or what has none.
	offset int
}

// enter notes how to get from a value to what is in it.
func (c *conversion) enter(n *document.Node) bool {
	for _, m := range n.Members {
		name := "." + m.Name
		if !plainName(m.Name) {
			name = "[" + quote(m.Name) + "]"
		}
		c.steps[m.Value] = step{n, name, m.Offset}
	}
	for i, e := range n.Elements {
		c.steps[e] = step{n, fmt.Sprintf("[%d]", i), e.Offset}
	}
	return true
}

// plainName reports whether a field's name needs no quotes in a path.
func plainName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// finish checks the policies, leaves out what the filter refuses, with a warning at
// its place, and writes the configuration.
func (c *conversion) finish() *Result {
	c.drafts = slices.DeleteFunc(c.drafts, c.matchesNothing)
	for _, d := range c.drafts {
		c.repair(d)
	}
	c.separate()
	c.leaveOutEmpty()
	c.name()
	if len(c.drafts) == 0 && !slices.ContainsFunc(c.findings, func(f *document.Finding) bool { return !f.Warning }) {
		c.fail("no policy is left that can be carried over", "see the warnings")
	}
	result := &Result{Policies: len(c.drafts), Findings: c.sorted()}
	if len(c.drafts) > 0 {
		policies := make([]policyjson.Policy, len(c.drafts))
		for i, d := range c.drafts {
			policies[i] = policyjson.Policy{Config: d.Config, Match: d.Match}
		}
		result.Configuration = policyjson.Document(policies)
		result.Remove = c.removals()
	}
	return result
}

// removals are what was found, in the order of the file, each once.
func (c *conversion) removals() []Removal {
	slices.SortStableFunc(c.remove, func(a, b Removal) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), strings.Compare(a.Path, b.Path))
	})
	return slices.Compact(c.remove)
}

// sorted are the findings in the order of the file, each once: several policies may
// have inherited the value that it is about.
func (c *conversion) sorted() []*document.Finding {
	order := func(a, b *document.Finding) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), strings.Compare(a.Field, b.Field),
			strings.Compare(a.What, b.What), strings.Compare(a.Instead, b.Instead))
	}
	slices.SortStableFunc(c.findings, order)
	return slices.CompactFunc(c.findings, func(a, b *document.Finding) bool { return order(a, b) == 0 })
}

// name gives every policy a name that is valid and its own.
func (c *conversion) name() {
	taken := map[string]bool{}
	for _, d := range c.drafts {
		base := validName(d.Name)
		d.Name = base
		for i := 2; taken[d.Name]; i++ {
			number := fmt.Sprintf("-%d", i)
			d.Name = base[:min(len(base), maxName-len(number))] + number
		}
		taken[d.Name] = true
	}
}

const maxName = 64

// validName makes a policy's name of what it is called in the source.
func validName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxName; i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
			b.WriteByte(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	if name := strings.Trim(b.String(), "-."); name != "" {
		return name
	}
	return "policy"
}

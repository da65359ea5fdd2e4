// Package manifest finds the filter's configuration in the files that people have it
// in: on its own, or within an Envoy configuration or a Kubernetes manifest.
package manifest

import (
	"cmp"
	"encoding/base64"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// A Plugin is a configuration of the filter, and where it stands.
type Plugin struct {
	// Name says which of a file's configurations it is, such as "WasmPlugin cors";
	// empty if the file is the configuration.
	Name string
	// Configuration is what Envoy would hand to the filter.
	Configuration string
	// Part tells that it is a part of a configuration, which a patch changes: what it lacks is
	// elsewhere, and it may be right without being whole.
	Part bool

	file *document.File
	// offset leads from the configuration back to the file.
	offset func(int) int
	// begin is where what has the configuration begins: a document, or a filter.
	begin  int
	around surroundings

	read func() parsed // once
}

// parsed is what a configuration says, and what is wrong with it and doubtful around it.
type parsed struct {
	configuration *config.Document
	policies      []config.Policy
	problems      []config.Problem
	around        []*document.Finding
}

func newPlugin(name, configuration string, file *document.File, offset func(int) int) *Plugin {
	p := &Plugin{Name: name, Configuration: configuration, file: file, offset: offset}
	p.read = sync.OnceValue(func() (once parsed) {
		once.configuration, once.policies, once.problems = config.ParsePolicies(configuration)
		once.around = p.lookAround(once.policies)
		return once
	})
	return p
}

// Parse reads the configuration as the filter does, and looks at what is around it. What
// it finds stands at its place in the file. The configuration is nil if any of it is more
// than a warning.
func (p *Plugin) Parse() (*config.Document, []*document.Finding) {
	once := p.read()
	if once.configuration == nil && document.IsTemplate(p.Configuration) {
		return nil, []*document.Finding{p.file.Finding(p.offset(strings.Index(p.Configuration, "{{")),
			problem.New(problem.Placeholder, "configuration", "the configuration is a template",
				"run helm template first, and give what that prints"))}
	}
	var findings []*document.Finding
	for _, found := range once.problems {
		if p.Part && found.Kind == problem.Missing {
			continue
		}
		findings = append(findings, p.file.Finding(p.offset(found.Offset), found))
	}
	findings = append(findings, once.around...)
	document.Sort(findings)
	return once.configuration, findings
}

// Policies are the policies of the configuration; none if it isn't valid, or has none of its
// own.
func (p *Plugin) Policies() []config.Policy { return p.read().policies }

// Around are warnings about what stands around the configuration, because of which the
// filter may not do what the configuration says: filters that answer first, a failure
// that lets requests pass, paths in more than one spelling.
func (p *Plugin) Around() []*document.Finding { return p.read().around }

// Begin is the place where what has the configuration begins: the document, or the
// filter.
func (p *Plugin) Begin() document.Position { return p.file.Position(p.begin) }

// Position is the place in the file of an offset in the configuration.
func (p *Plugin) Position(offset int) document.Position { return p.file.Position(p.offset(offset)) }

// File is the file that the configuration stands in.
func (p *Plugin) File() *document.File { return p.file }

// Find reads a file and returns the configurations in it. There is none if there is a
// finding that is not a warning, or if Envoy gets the configuration from elsewhere,
// of which a warning tells.
//
// Read reads a file that Envoy itself would read the configuration from, by ECDS; it may
// be nil.
func Find(name, text string, read func(name string) (string, error)) ([]*Plugin, []*document.Finding) {
	file, failed := document.Parse(name, text)
	if failed != nil {
		return nil, []*document.Finding{failed}
	}
	s := newSearch(file, read)
	s.run()
	return s.plugins, s.findings
}

func newSearch(file *document.File, read func(string) (string, error)) *search {
	return &search{
		file: file, read: read, opened: map[int]bool{}, gateway: gateway{asked: map[string]*document.Node{}},
	}
}

// run looks at all documents of the file.
func (s *search) run() {
	if strings.TrimSpace(s.file.Text) == "" {
		s.plugins = append(s.plugins, s.whole())
	}
	for _, d := range s.file.Documents {
		each(d, d.Get("kind").String(), s.note)
	}
	for _, d := range s.file.Documents {
		each(d, d.Get("kind").String(), s.document)
	}
	s.choose()
}

type search struct {
	file *document.File
	read func(string) (string, error)
	// siblings are the files that stand beside this one in a ConfigMap, and are looked at
	// themselves.
	siblings []string
	// opened are where strings begin that were read as files: aliases repeat them.
	opened map[int]bool
	// patch tells that the file is a patch, of which what is patched isn't there.
	patch      bool
	candidates []*candidate
	plugins    []*Plugin
	findings   []*document.Finding
	gateway    gateway
	// authorizers are Istio's AuthorizationPolicies with the action CUSTOM.
	authorizers []*document.Node
}

// note takes note of a document on which the order of filters depends.
func (s *search) note(d *document.Node, kind string) {
	s.gateway.note(d, kind)
	if kind == "AuthorizationPolicy" && d.Get("spec", "action").Scalar() == "CUSTOM" {
		s.authorizers = append(s.authorizers, d)
	}
}

// A candidate is a Wasm filter in a larger configuration: this filter, or another.
type candidate struct {
	name string
	// at is the filter, value its configuration or nil.
	at, value *document.Node
	// module has the names that tell which module it is.
	module []string
	// envoy is whether Envoy reads it, and not a controller that writes it for Envoy.
	envoy bool
	// discovered is whether the file only says that ECDS configures the filter, and resource
	// is what configures it, if the file has that too.
	discovered bool
	resource   *candidate
	// merge is where a merge key stands that Envoy meets, or -1.
	merge int
	// istio has the phase and the priority of a filter of Istio, and list the filters of
	// Envoy Gateway among which this one is; both are nil of others.
	istio, list *document.Node
	// begin is where the filter begins, or the document that it is.
	begin  int
	around surroundings
	// ours tells that it is this filter.
	ours bool
}

// each visits a document of a kind, or those of a list of them.
func each(d *document.Node, kind string, visit func(d *document.Node, kind string)) {
	if !strings.HasSuffix(kind, "List") || !d.Has("items") {
		visit(d, kind)
		return
	}
	for _, item := range d.Get("items").List() {
		// The API leaves the kind of an item out.
		each(item, cmp.Or(item.Get("kind").String(), strings.TrimSuffix(kind, "List")), visit)
	}
}

// document looks at a document of a kind, which is empty if it has none.
func (s *search) document(d *document.Node, kind string) {
	switch {
	case kind == "" && isTests(d):
		s.fail(problem.WrongType, d, "is a file of tests, not a configuration", "run corsctl test "+s.file.Name)
	case d.Kind != document.Object || kind == "" && isConfiguration(d):
		s.plugins = append(s.plugins, s.bare(d))
	case kind == "ConfigMap":
		s.configMap(d)
	case isKustomization(d, kind):
		s.kustomization(d)
	case kind == "WasmPlugin":
		spec := d.Get("spec")
		if c := s.candidate(d, kind, spec, spec.Get("plugin_config"), s.placed(d)); c != nil {
			c.istio = spec
		}
	case kind == "TrafficExtension":
		if wasm := d.Get("spec", "wasm"); wasm != nil {
			s.candidate(d, kind, wasm, wasm.Get("plugin_config"), s.placed(d)).istio = d.Get("spec")
		}
	case kind == "EnvoyExtensionPolicy":
		for _, wasm := range d.Get("spec", "wasm").List() {
			c := s.candidate(wasm, kind, wasm, wasm.Get("config"), s.secured)
			c.name, c.list = kind+" "+d.Get("metadata", "name").String(), d.Get("spec", "wasm")
		}
	default:
		before := len(s.candidates)
		s.envoy(d, level{direct: kind == "", merge: -1})
		if kind == "" && before == len(s.candidates) && !isEnvoy(d) {
			s.plugins = append(s.plugins, s.bare(d)) // and its fields are unknown
		}
	}
}

// configurationFields are fields that tell the filter's configuration from others.
var configurationFields = []string{
	"policies", "defaults", "policy_source", "origin_lookup", "allow_origins", "allow_methods", "allow_headers",
	"expose_headers", "allow_credentials", "unmatched_preflights",
}

func isConfiguration(d *document.Node) bool { return d.Has(configurationFields...) }

// isTests reports whether an object is what "corsctl test" runs.
func isTests(d *document.Node) bool {
	return d.Get("tests") != nil && d.Get("tests").Kind == document.List && !isConfiguration(d)
}

// IsConfiguration reports whether an object looks like the filter's configuration.
func IsConfiguration(d *document.Node) bool { return isConfiguration(d) && !isTests(d) }

// isEnvoy reports whether an object is Envoy's own configuration, with or without a
// Wasm filter in it.
func isEnvoy(d *document.Node) bool {
	return d.Has("@type", "static_resources", "dynamic_resources", "resources", "configs", "admin", "node",
		"filter_chains", "http_filters", "virtual_hosts", "typed_config")
}

// bare is a configuration that is a document.
func (s *search) bare(d *document.Node) *Plugin {
	if d.IsWholeFile() {
		return s.whole()
	}
	return Of("", d)
}

// whole is a configuration that is the file, with all its mistakes.
func (s *search) whole() *Plugin {
	return newPlugin("", s.file.Text, s.file, func(offset int) int { return offset })
}

// Of is the configuration that a value is.
func Of(name string, value *document.Node) *Plugin {
	text, from := value.JSON()
	p := newPlugin(name, text, value.File(), from.Offset)
	p.begin = value.Offset
	return p
}

// wasmTypes are the messages that configure a Wasm filter in Envoy.
var wasmTypes = []string{
	"envoy.extensions.filters.http.wasm.v3.Wasm",
	"envoy.config.filter.http.wasm.v2.Wasm",
}

// A level is what holds of a value by what it stands in.
type level struct {
	// direct tells that Envoy itself reads the file; merge is where it meets the first
	// merge key on the way to the value, or -1. Where a controller reads the file, as it
	// does Istio's EnvoyFilter, merges are its own matter.
	direct bool
	merge  int
	around surroundings
}

// envoy looks for filters in a value of an Envoy configuration and in all that is in it.
func (s *search) envoy(n *document.Node, in level) {
	if in.direct && in.merge < 0 && len(n.Merges) > 0 {
		in.merge = n.Merges[0]
	}
	if c := filter(n, in); c != nil {
		c.merge = in.mergeTo(n)
		s.candidates = append(s.candidates, c)
		return
	}
	before := len(s.candidates)
	for _, m := range n.Members {
		if m.Name == "http_filters" || m.Name == "httpFilters" {
			s.chain(n, m.Value.List(), in)
		} else {
			s.envoy(m.Value, in)
		}
	}
	if warnings := patched(n); warnings != nil {
		for _, c := range s.candidates[before:] {
			c.around.warnings = append(c.around.warnings, warnings...)
		}
	}
	for _, e := range n.Elements {
		s.envoy(e, in)
	}
}

// chain looks for filters in the chain of an HttpConnectionManager.
func (s *search) chain(manager *document.Node, filters []*document.Node, in level) {
	for i, f := range filters {
		in.around = surroundings{manager: manager, earlier: filters[:i:i]}
		s.envoy(f, in)
	}
}

// mergeTo is where Envoy meets the first merge key on the way to a value or in it, or -1.
func (in level) mergeTo(n *document.Node) int {
	first := in.merge
	n.Walk(func(n *document.Node) bool {
		if in.direct && first < 0 && len(n.Merges) > 0 {
			first = n.Merges[0]
		}
		return first < 0
	})
	return first
}

// filter is the Wasm filter that a value of an Envoy configuration is; nil if it is none.
func filter(n *document.Node, in level) *candidate {
	name := n.Get("name").String()
	c := &candidate{at: n, envoy: true, begin: n.Offset, around: in.around}
	discovery := n.Get("config_discovery")
	if discovery != nil && !isWasm(discovery.Get("default_config", "@type").String()) {
		if !slices.ContainsFunc(texts(discovery.Get("type_urls")), isWasm) {
			return nil
		}
		c.name, c.module, c.discovered = label(name), []string{name}, true
		return c
	}
	switch {
	case discovery != nil:
		c.at = discovery.Get("default_config") // which Envoy has until it gets another
	case n.Get("typed_config") != nil:
		c.at = n.Get("typed_config")
	case !isWasm(n.Get("@type").String()):
		return nil
	}
	config := c.at.Get("config")
	switch {
	case isWasm(c.at.Get("@type").String()):
	case isWasm(c.at.Get("type_url").String()): // xds.type.v3.TypedStruct
		config = c.at.Get("value", "config")
	default:
		return nil
	}
	name = cmp.Or(name, config.Get("name").String())
	c.name, c.value = label(name), config.Get("configuration")
	c.module = append(texts(config.Get("vm_config")), name, config.Get("name").String())
	c.around.warnings = append(c.around.warnings, open(config)...)
	return c
}

// label is what messages call a filter of a name.
func label(name string) string {
	if name == "" {
		return "the Wasm filter"
	}
	return "filter " + name
}

func isWasm(url string) bool {
	return slices.Contains(wasmTypes, url[strings.LastIndexByte(url, '/')+1:])
}

// candidate is a Wasm filter of a document of Kubernetes: at is what configures it, and
// value its own configuration. Around finds more to warn of than where it fails.
func (s *search) candidate(d *document.Node, kind string, at, value *document.Node,
	around func(at *document.Node) []*document.Finding) *candidate {
	if at == nil {
		return nil
	}
	name := kind + " " + d.Get("metadata", "name").String()
	module := []string{name, at.Get("url").String(), at.Get("plugin_name").String(), at.Get("name").String()}
	c := &candidate{
		name: name, at: at, value: value, module: append(module, texts(at.Get("code"))...), merge: -1,
		begin: d.Offset, around: surroundings{warnings: append(around(at), open(at)...)},
	}
	s.candidates = append(s.candidates, c)
	return c
}

// texts are all strings in a value.
func texts(n *document.Node) (list []string) {
	n.Walk(func(n *document.Node) bool {
		list = append(list, n.String())
		return true
	})
	return list
}

// choose makes plugins of the Wasm filters that are this one.
func (s *search) choose() {
	if len(s.plugins)+len(s.candidates) == 0 {
		if len(s.findings) == 0 {
			s.fail(problem.Missing, nil, "has no Wasm filter and no configuration of one",
				"give a plugin configuration, an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, "+
					"a TrafficExtension, an EnvoyExtensionPolicy, or a ConfigMap or a kustomization that has one")
		}
		return
	}
	s.join()
	if !s.recognize() {
		s.fail(problem.Missing, s.candidates[0].at, "none of the file's Wasm filters looks like this one",
			`name the filter "cors"`)
		return
	}
	for _, c := range s.candidates {
		if !c.ours {
			s.warn(problem.InvalidValue, c.at,
				c.name+" is another Wasm filter, or is not recognised as this one, and isn't checked",
				`name it "cors" if it is this one`)
			continue
		}
		for _, other := range s.candidates {
			if !other.ours && other.before(c) {
				place := c.own() + " (line " + strconv.Itoa(s.file.Position(c.begin).Line) + ")"
				c.around.warnings = append(c.around.warnings, other.at.Warning(problem.Bypassed, "wasm",
					other.own()+" comes before "+place+", and may answer a preflight first", "put "+c.own()+" first"))
			}
		}
		s.unwrap(c)
	}
}

// join finds the resources of discovered filters in the same file, as an EnvoyFilter has
// both, and lets what is around a filter stand around its resource.
func (s *search) join() {
	for _, c := range s.candidates {
		is := func(r *candidate) bool { return c.discovered && r.envoy && !r.discovered && r.name == c.name }
		if i := slices.IndexFunc(s.candidates, is); i >= 0 {
			c.resource = s.candidates[i]
			around := &c.resource.around
			around.manager, around.earlier = c.around.manager, c.around.earlier
			around.warnings = append(around.warnings, c.around.warnings...)
		}
	}
}

// recognize finds out which of the Wasm filters are this one: those that look like it, or
// the only one that there is, or any that ECDS configures if nothing else is there. It
// reports whether the file has a configuration of this filter.
func (s *search) recognize() bool {
	some, known := len(s.plugins) > 0, false
	for _, c := range s.candidates {
		c.ours = len(s.candidates) == 1 || c.looksOurs() || c.resource != nil && c.resource.looksOurs()
		some, known = some || c.ours, known || !c.discovered
	}
	for _, c := range s.candidates {
		c.ours = c.ours || !some && !known
	}
	return some || !known
}

// cors is the word that a name of the filter has: "corsair" is another one's.
var cors = regexp.MustCompile(`(?i)(^|[^a-z])cors([^a-z]|$)`)

// looksOurs reports whether a Wasm filter looks like this one, by its module or by its fields.
func (c *candidate) looksOurs() bool {
	if slices.ContainsFunc(c.module, cors.MatchString) {
		return true
	}
	return c.value != nil && (isConfiguration(c.value) || isConfiguration(c.value.Get("value")) ||
		slices.ContainsFunc(configurationFields, func(field string) bool {
			text := c.value.Get("value").String()
			return strings.Contains(text, `"`+field+`"`) || strings.Contains(text, `"`+spelling.Camel(field)+`"`)
		}))
}

// follow finds the configuration of a filter in the file that Envoy would discover it
// in, and reports whether it could. It reads no file but those below the directory that
// it is run in, as Envoy would be, and one beside the file at hand: what it says of a
// file shows parts of it.
func (s *search) follow(c *candidate) bool {
	source := c.at.Get("config_discovery", "config_source")
	path := cmp.Or(source.Get("path_config_source", "path").String(), source.Get("path").String())
	switch {
	case slices.Contains(s.siblings, filepath.Base(path)):
		return true
	case path == "" || s.read == nil:
		return false
	}
	names := []string{filepath.Join(filepath.Dir(s.file.Name), filepath.Base(path))}
	if filepath.IsLocal(path) {
		names = append([]string{path}, names...)
	}
	for _, name := range names {
		text, err := s.read(name)
		if err != nil || name == s.file.Name {
			continue
		}
		plugins, findings := Find(name, text, nil)
		for _, p := range plugins {
			p.around.manager, p.around.earlier = c.around.manager, c.around.earlier
			p.around.warnings = append(p.around.warnings, c.around.warnings...)
		}
		s.plugins, s.findings = append(s.plugins, plugins...), append(s.findings, findings...)
		return true
	}
	return false
}

// unwrap takes the configuration out of the message that Envoy has it in.
func (s *search) unwrap(c *candidate) {
	value := c.value
	switch {
	case c.merge >= 0:
		s.findings = append(s.findings, s.file.Finding(c.merge, problem.New(problem.Syntax, "configuration",
			"Envoy doesn't read merge keys (<<)", "write the fields out, or use an alias of the whole value")))
	case c.discovered:
		if c.resource == nil && !s.follow(c) {
			s.warn(problem.Missing, c.at, c.name+" is configured by ECDS", "give that resource")
		}
	case value == nil:
		s.fail(problem.Missing, c.at, c.name+" has no configuration, and without a policy the filter doesn't start",
			"write one, with at least allow_origins")
	case c.envoy:
		s.message(c, value)
	case value.Kind == document.String && document.IsTemplate(value.Text):
		s.fail(problem.Placeholder, value, c.name+" has a template for its configuration",
			"run helm template first, and give what that prints")
	case value.Kind == document.String:
		s.fail(problem.WrongType, value, c.name+" has its configuration as a string", "write it as an object")
	default:
		s.add(c, Of(c.name, value))
	}
}

// message takes the configuration out of a google.protobuf.Any, in which Envoy has it.
func (s *search) message(c *candidate, value *document.Node) {
	inner, url := value.Get("value"), value.Get("@type").String()
	slash := strings.LastIndexByte(url, '/')
	if url != "" && slash < 0 {
		s.fail(problem.InvalidValue, value.Get("@type"), "has the @type "+strconv.Quote(url)+", which has no slash",
			"write type.googleapis.com/google.protobuf.StringValue")
		return
	}
	switch url[slash+1:] {
	case "":
		s.fail(problem.Missing, value, "has no @type",
			`write {"@type": type.googleapis.com/google.protobuf.StringValue, value: …}`)
	case "google.protobuf.Struct":
		s.fail(problem.WrongType, value, "Envoy hands a Struct to the filter in binary, which it refuses",
			"write google.protobuf.StringValue, with the configuration as a string: value: |")
	case "google.protobuf.StringValue":
		if inner == nil || inner.Kind != document.String {
			s.fail(problem.WrongType, value, c.name+" has a StringValue without a string",
				`write the configuration in the field "value", as a string: "value: |"`)
			return
		}
		s.add(c, newPlugin(c.name, inner.Text, s.file, inner.TextMap().Offset))
	case "google.protobuf.BytesValue":
		// As in protobuf's JSON, of either alphabet and with or without padding.
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(inner.String())
		text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(standard, "="))
		if err != nil || inner == nil {
			s.fail(problem.WrongType, value, c.name+" has a BytesValue without bytes",
				`write the configuration in the field "value", in base64`)
			return
		}
		s.add(c, newPlugin(c.name, string(text), s.file, func(int) int { return inner.Offset }))
	default:
		s.fail(problem.WrongType, value, c.name+" has a configuration of the type "+url,
			"write google.protobuf.StringValue")
	}
}

// add adds the configuration of a filter.
func (s *search) add(c *candidate, p *Plugin) {
	p.begin, p.around = c.begin, c.around
	s.plugins = append(s.plugins, p)
}

func (s *search) warn(kind problem.Kind, at *document.Node, what, instead string) {
	s.fail(kind, at, what, instead)
	s.findings[len(s.findings)-1].Warning = true
}

func (s *search) fail(kind problem.Kind, at *document.Node, what, instead string) {
	offset := 0
	if at != nil {
		offset = at.Offset
	}
	s.findings = append(s.findings, s.file.Finding(offset, problem.New(kind, "configuration", what, instead)))
}

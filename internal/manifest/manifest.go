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

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// A Plugin is a configuration of the filter, and where it stands.
type Plugin struct {
	// Name says which of a file's configurations it is, such as "WasmPlugin cors";
	// empty if the file is the configuration.
	Name string
	// Configuration is what Envoy would hand to the filter.
	Configuration string

	file *document.File
	// offset leads from the configuration back to the file.
	offset func(int) int
	// begin is where what has the configuration begins: a document, or a filter.
	begin  int
	around surroundings
	// found is what Around has found, once it has looked.
	found  []*document.Finding
	looked bool
}

// Parse reads the configuration as the filter does, and looks at what is around it. What
// it finds stands at its place in the file. The configuration is nil if any of it is more than a warning.
func (p *Plugin) Parse() (*config.Config, []*document.Finding) {
	c, problems := config.Parse(p.Configuration)
	var findings []*document.Finding
	if c == nil && document.IsTemplate(p.Configuration) {
		return nil, []*document.Finding{{
			File: p.file, Offset: p.offset(strings.Index(p.Configuration, "{{")), Path: "configuration",
			What: "the configuration is a template", Instead: "run helm template first, and give what that prints",
		}}
	}
	for _, problem := range problems {
		findings = append(findings, &document.Finding{
			File: p.file, Offset: p.offset(problem.Offset), Path: problem.Path,
			What: problem.What, Instead: problem.Instead, Warning: problem.Warning,
			MoreErrors: problem.MoreErrors, MoreWarnings: problem.MoreWarnings,
		})
	}
	findings = append(findings, p.Around()...)
	slices.SortStableFunc(findings, func(a, b *document.Finding) int {
		return cmp.Or(strings.Compare(a.File.Name, b.File.Name), cmp.Compare(a.Offset, b.Offset))
	})
	return c, findings
}

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
func Find(name, text string, read func(name string) (text string, err error)) ([]*Plugin, []*document.Finding) {
	file, failed := document.Parse(name, text)
	if failed != nil {
		return nil, []*document.Finding{failed}
	}
	s := &search{file: file, read: read}
	if strings.TrimSpace(text) == "" {
		s.plugins = append(s.plugins, s.whole())
	}
	for _, d := range file.Documents {
		each(d, d.Get("kind").String(), s.gateway.note)
	}
	for _, d := range file.Documents {
		each(d, d.Get("kind").String(), s.document)
	}
	s.choose()
	return s.plugins, s.findings
}

type search struct {
	file       *document.File
	read       func(string) (string, error)
	candidates []*candidate
	plugins    []*Plugin
	findings   []*document.Finding

	// around is what is around the value that is being looked at.
	around  surroundings
	gateway gateway
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
	// discovered is whether the file only says that ECDS configures the filter.
	discovered bool
	// merge is where a merge key stands that Envoy meets, or -1.
	merge int
	// istio has the phase and the priority of a filter of Istio, and list the filters of
	// Envoy Gateway among which this one is; both are nil of others.
	istio, list *document.Node
	// begin is where the filter begins, or the document that it is.
	begin  int
	around surroundings
}

// each visits a document of a kind, or those of a list of them.
func each(d *document.Node, kind string, visit func(d *document.Node, kind string)) {
	if !strings.HasSuffix(kind, "List") || !d.Has("items") {
		visit(d, kind)
		return
	}
	for _, item := range d.Get("items").List() {
		itemKind := item.Get("kind").String()
		if itemKind == "" {
			itemKind = strings.TrimSuffix(kind, "List") // which the API leaves out
		}
		each(item, itemKind, visit)
	}
}

// document looks at a document of a kind, which is empty if it has none.
func (s *search) document(d *document.Node, kind string) {
	switch {
	case kind == "" && isTests(d):
		s.fail(d, "is a file of tests, not a configuration", "run corsctl test "+s.file.Name)
	case d.Kind != document.Object || kind == "" && isConfiguration(d):
		s.plugins = append(s.plugins, s.bare(d))
	case kind == "WasmPlugin":
		spec := d.Get("spec")
		if c := s.candidate(d, kind, spec, spec.Get("plugin_config"), phase); c != nil {
			c.istio = spec
		}
	case kind == "TrafficExtension":
		if wasm := d.Get("spec", "wasm"); wasm != nil {
			spec := d.Get("spec")
			s.candidate(d, kind, wasm, wasm.Get("plugin_config"), func(*document.Node) []*document.Finding { return phase(spec) }).istio = spec
		}
	case kind == "EnvoyExtensionPolicy":
		for _, wasm := range d.Get("spec", "wasm").List() {
			c := s.candidate(wasm, kind, wasm, wasm.Get("config"), s.secured)
			c.name, c.list = kind+" "+d.Get("metadata", "name").String(), d.Get("spec", "wasm")
		}
	default:
		before := len(s.candidates)
		s.envoy(d, kind == "", -1)
		if kind == "" && before == len(s.candidates) && !isEnvoy(d) {
			s.plugins = append(s.plugins, s.bare(d)) // and its fields are unknown
		}
	}
}

// configurationFields are fields that tell the filter's configuration from others.
var configurationFields = []string{"policies", "defaults", "policy_source", "allow_origins", "allow_methods", "allow_headers", "expose_headers", "allow_credentials", "unmatched_preflights"}

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
	return d.Has("@type", "static_resources", "dynamic_resources", "resources", "configs", "admin", "node", "filter_chains", "http_filters", "virtual_hosts", "typed_config")
}

// bare is a configuration that is a document.
func (s *search) bare(d *document.Node) *Plugin {
	if d.IsWholeFile() {
		return s.whole()
	}
	p := Of("", d)
	p.begin = d.Offset
	return p
}

// whole is a configuration that is the file, with all its mistakes.
func (s *search) whole() *Plugin {
	return &Plugin{Configuration: s.file.Text, file: s.file, offset: func(offset int) int { return offset }}
}

// Of is the configuration that a value is.
func Of(name string, value *document.Node) *Plugin {
	text, from := value.JSON()
	return &Plugin{Name: name, Configuration: text, file: value.File(), offset: from.Offset}
}

// wasmTypes are the messages that configure a Wasm filter in Envoy.
var wasmTypes = []string{
	"envoy.extensions.filters.http.wasm.v3.Wasm",
	"envoy.config.filter.http.wasm.v2.Wasm",
}

// envoy looks for filters in a value of an Envoy configuration and in all that is in
// it. If Envoy itself reads the file, merge is where it meets the first merge key on
// the way to the value, or -1: where a controller does, as it does Istio's EnvoyFilter,
// merges are its own matter.
func (s *search) envoy(n *document.Node, direct bool, merge int) {
	if direct && merge < 0 && len(n.Merges) > 0 {
		merge = n.Merges[0]
	}
	before := len(s.candidates)
	if further := s.filter(n); !further {
		for _, c := range s.candidates[before:] {
			if c.merge = merge; direct && merge < 0 {
				c.merge = firstMerge(n)
			}
		}
		return
	}
	before = len(s.candidates)
	around := s.around
	defer func() { s.around = around }()
	for _, m := range n.Members {
		s.around = around
		if filters := m.Value; m.Name == "http_filters" || m.Name == "httpFilters" {
			for i, f := range filters.List() {
				s.around = surroundings{manager: n, earlier: filters.Elements[:i:i]}
				s.envoy(f, direct, merge)
			}
			continue
		}
		s.envoy(m.Value, direct, merge)
	}
	if warnings := patched(n); warnings != nil {
		for _, c := range s.candidates[before:] {
			c.around.warnings = append(c.around.warnings, warnings...)
		}
	}
	for _, e := range n.Elements {
		s.envoy(e, direct, merge)
	}
}

// firstMerge is where the first merge key in a value stands, or -1.
func firstMerge(n *document.Node) int {
	first := -1
	n.Walk(func(n *document.Node) bool {
		if first < 0 && len(n.Merges) > 0 {
			first = n.Merges[0]
		}
		return first < 0
	})
	return first
}

// filter looks at a value of an Envoy configuration, and reports whether to look further.
func (s *search) filter(n *document.Node) bool {
	discovery := n.Get("config_discovery")
	if discovery != nil && !isWasm(discovery.Get("default_config", "@type").String()) {
		if name := n.Get("name").String(); slices.ContainsFunc(texts(discovery.Get("type_urls")), isWasm) {
			s.candidates = append(s.candidates, &candidate{
				name: label(name), at: n, module: []string{name}, envoy: true, discovered: true, begin: n.Offset, around: s.around,
			})
			return false
		}
		return true
	}
	typed := n.Get("typed_config")
	if discovery != nil {
		typed = discovery.Get("default_config") // which Envoy has until it gets another
	}
	if typed == nil {
		if typed = n; !isWasm(n.Get("@type").String()) {
			return true
		}
	}
	config := typed.Get("config")
	switch {
	case isWasm(typed.Get("@type").String()):
	case isWasm(typed.Get("type_url").String()): // xds.type.v3.TypedStruct
		config = typed.Get("value", "config")
	default:
		return true
	}
	if config == nil {
		config = &document.Node{}
	}
	name := n.Get("name").String()
	if name == "" {
		name = config.Get("name").String()
	}
	s.candidates = append(s.candidates, &candidate{
		name: label(name), at: typed, value: config.Get("configuration"), envoy: true,
		module: append(texts(config.Get("vm_config")), name, config.Get("name").String()),
		begin:  n.Offset, around: s.around,
	})
	c := s.candidates[len(s.candidates)-1]
	c.around.warnings = append(c.around.warnings, open(config)...)
	return false
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
func (s *search) candidate(d *document.Node, kind string, at, value *document.Node, around func(at *document.Node) []*document.Finding) *candidate {
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

// choose makes plugins of the Wasm filters that are this one: those that look like
// it, or the only one that there is.
func (s *search) choose() {
	if len(s.plugins)+len(s.candidates) == 0 && len(s.findings) > 0 {
		return
	}
	if len(s.plugins)+len(s.candidates) == 0 {
		s.fail(nil, "has no Wasm filter and no configuration of one",
			"give a plugin configuration, an Envoy bootstrap or a resource of LDS or ECDS, a WasmPlugin, a TrafficExtension or an EnvoyExtensionPolicy")
		return
	}
	ours := func(c *candidate) bool { return len(s.candidates) == 1 || c.ours() }
	if len(s.plugins) == 0 && !slices.ContainsFunc(s.candidates, ours) {
		if slices.ContainsFunc(s.candidates, func(c *candidate) bool { return !c.discovered }) {
			s.fail(s.candidates[0].at, "none of the file's Wasm filters looks like this one", `name the filter "cors"`)
			return
		}
		ours = func(*candidate) bool { return true }
	}
	for _, c := range s.candidates {
		if ours(c) {
			for _, other := range s.candidates {
				if !ours(other) && other.before(c) {
					c.around.warnings = append(c.around.warnings, warning(other.at, "wasm",
						other.own()+" comes before "+c.own()+" (line "+strconv.Itoa(s.file.Position(c.begin).Line)+"), and may answer a preflight first", "put "+c.own()+" first"))
				}
			}
			s.unwrap(c)
			continue
		}
		s.warn(c.at, c.name+" is another Wasm filter, or is not recognised as this one, and isn't checked", `name it "cors" if it is this one`)
	}
}

// cors is the word that a name of the filter has: "corsair" is another one's.
var cors = regexp.MustCompile(`(?i)(^|[^a-z])cors([^a-z]|$)`)

// ours reports whether a Wasm filter looks like this one, by its module or by its fields.
func (c *candidate) ours() bool {
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
	path := source.Get("path_config_source", "path").String()
	if path == "" {
		path = source.Get("path").String()
	}
	if path == "" || s.read == nil {
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
		s.findings = append(s.findings, &document.Finding{
			File: s.file, Offset: c.merge, Path: "configuration",
			What: "Envoy doesn't read merge keys (<<)", Instead: "write the fields out, or use an alias of the whole value",
		})
		return
	case c.discovered:
		if !s.follow(c) {
			s.warn(c.at, c.name+" is configured by ECDS", "give that resource")
		}
		return
	case value == nil:
		s.fail(c.at, c.name+" has no configuration, and without a policy the filter doesn't start", "write one, with at least allow_origins")
		return
	case !c.envoy && value.Kind == document.String && document.IsTemplate(value.Text):
		s.fail(value, c.name+" has a template for its configuration", "run helm template first, and give what that prints")
		return
	case !c.envoy && value.Kind == document.String:
		s.fail(value, c.name+" has its configuration as a string", "write it as an object")
		return
	case !c.envoy:
		p := Of(c.name, value)
		p.begin, p.around = c.begin, c.around
		s.plugins = append(s.plugins, p)
		return
	}
	inner, url := value.Get("value"), value.Get("@type").String()
	slash := strings.LastIndexByte(url, '/')
	if url != "" && slash < 0 {
		s.fail(value.Get("@type"), "has the @type "+strconv.Quote(url)+", which has no slash", "write type.googleapis.com/google.protobuf.StringValue")
		return
	}
	switch url[slash+1:] {
	case "":
		s.fail(value, "has no @type", `write {"@type": type.googleapis.com/google.protobuf.StringValue, value: …}`)
	case "google.protobuf.Struct":
		s.fail(value, "Envoy hands a Struct to the filter in binary, which it refuses",
			"write google.protobuf.StringValue, with the configuration as a string: value: |")
	case "google.protobuf.StringValue":
		if inner == nil || inner.Kind != document.String {
			s.fail(value, c.name+" has a StringValue without a string", `write the configuration in the field "value", as a string: "value: |"`)
			return
		}
		s.plugins = append(s.plugins, &Plugin{Name: c.name, Configuration: inner.Text, file: s.file, offset: inner.TextMap().Offset, begin: c.begin, around: c.around})
	case "google.protobuf.BytesValue":
		// As in protobuf's JSON, of either alphabet and with or without padding.
		text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(inner.String()), "="))
		if err != nil || inner == nil {
			s.fail(value, c.name+" has a BytesValue without bytes", `write the configuration in the field "value", in base64`)
			return
		}
		s.plugins = append(s.plugins, &Plugin{Name: c.name, Configuration: string(text), file: s.file, offset: func(int) int { return inner.Offset }, begin: c.begin, around: c.around})
	default:
		s.fail(value, c.name+" has a configuration of the type "+url, "write google.protobuf.StringValue")
	}
}

func (s *search) warn(at *document.Node, what, instead string) {
	s.fail(at, what, instead)
	s.findings[len(s.findings)-1].Warning = true
}

func (s *search) fail(at *document.Node, what, instead string) {
	f := &document.Finding{File: s.file, Path: "configuration", What: what, Instead: instead}
	if at != nil {
		f.Offset = at.Offset
	}
	s.findings = append(s.findings, f)
}

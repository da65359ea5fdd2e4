package manifest

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// The surroundings of a filter are what of a file decides whether a request reaches it
// as it is, and what happens where it can't serve.
type surroundings struct {
	// manager is the HttpConnectionManager that the filter is in, or nil.
	manager *document.Node
	// earlier are the filters that come before it in the chain.
	earlier []*document.Node
	// warnings are about the rest.
	warnings []*document.Finding
}

// lookAround looks at what stands around a configuration with these policies.
func (p *Plugin) lookAround(policies []config.Policy) []*document.Finding {
	list := slices.Clone(p.around.warnings)
	for _, f := range p.around.earlier {
		if kind := answerer(f); kind != "" && !isTrue(f.Get("disabled")) {
			list = append(list, p.before(f, kind))
		}
	}
	if m := p.around.manager; m != nil && slices.ContainsFunc(policies, matchesPaths) {
		if missing := unnormalized(m); missing != nil {
			list = append(list, m.Warning(problem.Bypassed, "match.paths",
				"policies match on paths, of which Envoy leaves several spellings: what one policy covers as /admin "+
					"may reach another as //admin, /x/../admin or /%2Fadmin",
				"write "+strings.Join(missing, ", ")+" in the HttpConnectionManager"))
		}
	}
	return list
}

// before is the warning about a filter that comes first.
func (p *Plugin) before(f *document.Node, kind string) *document.Finding {
	where := "line " + strconv.Itoa(p.Begin().Line)
	if f.File() != p.file { // of ECDS
		where = p.file.Name + ":" + p.Begin().String()
	}
	instead := "put " + p.Name + " first"
	why := "it may answer a preflight, which carries no credentials, and what it answers has no CORS headers"
	if kind == "cors" {
		instead = "remove it, or " + instead
		why = "Envoy's own CORS filter answers preflights first, by the policies of the routes"
	}
	name := cmp.Or(f.Get("name").String(), kind)
	return f.Warning(problem.Bypassed, "http_filters",
		"filter "+name+" stands before "+p.Name+" ("+where+"): "+why, instead)
}

// answerers are Envoy's HTTP filters that answer requests themselves, by the folder of
// their messages (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/http_filters).
var answerers = []string{
	"adaptive_concurrency", "admission_control", "api_key_auth", "basic_auth", "cache", "cache_v2", "cdn_loop",
	"composite", "cors", "csrf", "dynamic_forward_proxy", "dynamic_modules", "ext_authz", "ext_proc", "fault",
	"file_server", "filter_chain", "golang", "jwt_authn", "local_ratelimit", "lua", "mcp", "oauth2",
	"rate_limit_quota", "ratelimit", "rbac", "wasm",
}

// httpFilter finds the folder in the URL of a filter's message, or in its name.
var httpFilter = regexp.MustCompile(`envoy\.(?:extensions\.filters|config\.filter|filters)\.http\.([a-z0-9_]+)`)

// answerer is which of the filters that answer requests themselves a filter is, or "".
func answerer(f *document.Node) string {
	typed := f.Get("typed_config")
	if inner := typed.Get("extension_config"); inner != nil { // an ExtensionWithMatcher
		return answerer(inner)
	}
	names := append([]string{typed.Get("type_url").String(), typed.Get("@type").String()},
		texts(f.Get("config_discovery", "type_urls"))...)
	for _, name := range append(names, f.Get("name").String()) {
		// A TypedStruct has its message's URL in type_url, which comes first.
		if match := httpFilter.FindStringSubmatch(name); match != nil && slices.Contains(answerers, match[1]) {
			return match[1]
		}
	}
	return ""
}

// unnormalized are the settings that an HttpConnectionManager lacks, for a path to have
// one spelling.
func unnormalized(manager *document.Node) (missing []string) {
	for _, name := range []string{"normalize_path", "merge_slashes"} {
		if !isTrue(manager.Get(name)) {
			missing = append(missing, name+": true")
		}
	}
	switch manager.Get("path_with_escaped_slashes_action").Scalar() {
	case "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD", "2", "3", "4":
	default:
		missing = append(missing, "path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT")
	}
	return missing
}

func matchesPaths(r config.Policy) bool { return len(r.Match.Paths) > 0 }

// isTrue reports whether a value is true as Envoy reads it, a BoolValue too.
func isTrue(n *document.Node) bool {
	switch n.Scalar() {
	case "true", "y", "Y", "yes", "Yes", "YES", "True", "TRUE", "on", "On", "ON":
		return true
	}
	return false
}

// open warns where requests pass without the filter when it fails. Envoy has the field
// fail_open and the failure policy, Istio a strategy, and Envoy Gateway failOpen.
func open(config *document.Node) (list []*document.Finding) {
	const what = "lets requests pass without the filter when it fails: " +
		"preflights reach the upstream, and its own CORS headers the page"
	if n := config.Get("failure_policy"); n.Scalar() == "FAIL_OPEN" || n.Scalar() == "3" {
		list = append(list, n.Warning(problem.Bypassed, "failure_policy", "FAIL_OPEN "+what,
			"write FAIL_RELOAD, or FAIL_CLOSED"))
	}
	if n := config.Get("fail_strategy"); n.Scalar() == "FAIL_OPEN" {
		list = append(list, n.Warning(problem.Bypassed, "fail_strategy", "FAIL_OPEN "+what,
			"write FAIL_RELOAD, or FAIL_CLOSE"))
	}
	if n := config.Get("fail_open"); isTrue(n) {
		list = append(list, n.Warning(problem.Bypassed, "fail_open", what, "leave it out"))
	}
	return list
}

// placed warns where a plugin of Istio comes after what answers requests itself: by its phase,
// or as every plugin does after an external authorizer of its namespace or of all.
func (s *search) placed(d *document.Node) func(*document.Node) []*document.Finding {
	return func(*document.Node) []*document.Finding {
		list := phase(d.Get("spec"))
		if s.patch && d.Get("spec", "phase") == nil {
			list = nil // What is patched has one, or its own file is warned of.
		}
		for _, a := range s.authorizers {
			namespace := a.Get("metadata", "namespace").String()
			if namespace != d.Get("metadata", "namespace").String() && namespace != "istio-system" {
				continue
			}
			list = append(list, a.Get("spec", "action").Warning(problem.Bypassed, "spec.action",
				"Istio puts CUSTOM before every plugin, and so before that of line "+strconv.Itoa(d.Position().Line)+
					": it may answer a preflight, which carries no credentials, and what it answers has no CORS headers",
				"insert the filter first by an EnvoyFilter, as deploy/istio/before-ext-authz.yaml does"))
		}
		return list
	}
}

// phase warns where Istio puts a plugin after what answers requests itself.
func phase(spec *document.Node) []*document.Finding {
	const after = "authentication, authorization and rate limits answer a preflight first, " +
		"and what they answer has no CORS headers"
	const authn = "AUTHN, with a priority above that of other plugins"
	switch phase := spec.Get("phase"); phase.Scalar() {
	case "AUTHN":
		return nil
	case "":
		return []*document.Finding{spec.Warning(problem.Bypassed, "phase",
			"is missing, so that Istio puts the filter at the end of the chain: "+after, "write phase: "+authn)}
	default:
		return []*document.Finding{phase.Warning(problem.Bypassed, "phase",
			phase.Scalar()+" comes late: "+after, "write "+authn)}
	}
}

// patched warns where an EnvoyFilter inserts the filter elsewhere than first.
func patched(patch *document.Node) []*document.Finding {
	if patch.Get("apply_to").Scalar() != "HTTP_FILTER" {
		return nil
	}
	operation := patch.Get("patch", "operation")
	switch operation.Scalar() {
	case "ADD", "INSERT_AFTER":
	case "INSERT_BEFORE":
		if patch.Get("match", "listener", "filter_chain", "filter", "sub_filter") == nil {
			return nil // It is the first then, too.
		}
	default:
		return nil
	}
	return []*document.Finding{operation.Warning(problem.Bypassed, "patch.operation",
		operation.Scalar()+" puts the filter behind others, which may answer a preflight first", "write INSERT_FIRST")}
}

// own is the filter's own name, where others share that of its document.
func (c *candidate) own() string {
	if c.list != nil {
		return label(c.at.Get("name").String())
	}
	return c.name
}

// before reports whether a filter comes before another one, as far as that can be told of
// two of Istio, by phase and priority, or of one resource of Envoy Gateway.
func (c *candidate) before(other *candidate) bool {
	if c.istio == nil || other.istio == nil {
		return c.list != nil && c.list == other.list && c.at.Offset < other.at.Offset
	}
	rank := func(n *document.Node) int {
		phases := []string{"STATS", "AUTHZ", "AUTHN"} // the last comes first, and no phase last
		return -slices.Index(phases, n.Get("phase").Scalar())
	}
	priority := func(n *document.Node) int {
		p, _ := strconv.Atoi(n.Get("priority").Scalar()) // 0 without one
		return p
	}
	if a, b := rank(c.istio), rank(other.istio); a != b {
		return a < b
	}
	return priority(c.istio) >= priority(other.istio)
}

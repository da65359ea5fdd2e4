package main

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// The kinds of requests.
const (
	noOrigin  = "no Origin"
	actual    = "actual"
	preflight = "preflight"
)

var kinds = []string{noOrigin, actual, preflight}

const origin = "https://foo.example"

// serial in the text of a query stands for a number that is another one in each request.
const serial = "0000000"

// A query is a request, and what is known about it.
type query struct {
	kind    string
	text    string // as it goes over the wire
	allowed string // the origin that its answer should allow, "" for none
	status  int    // of its answer, if it isn't a preflight's and isn't 200
	checked bool   // its answer is only checked, and not measured
}

// ask is a query of a kind from a page of an origin that is allowed.
func ask(kind, host, path, origin string) query {
	q := query{kind: kind}
	method, headers := "GET", "User-Agent: bench\r\nAccept: */*\r\n"
	if kind != noOrigin {
		headers += "Origin: " + origin + "\r\n"
		q.allowed = origin
	}
	if kind == preflight {
		method = "OPTIONS"
		headers += "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-pingother\r\n"
	}
	q.text = fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, path, host, headers)
	return q
}

// askItems is a query of a kind from a page of any origin.
func askItems(kind, origin string) query { return ask(kind, "api.example", "/items", origin) }

// A work is what a variant does about CORS.
type work int

const (
	nothing work = iota // adds no headers
	allows              // allows origin, and answers its preflights
	varies              // and tells caches that answers depend on the origin
)

// A variant is one thing to measure: a filter once, or a chain of copies of it.
type variant struct {
	name     string
	base     string // the variant that it adds to, "" if it is a base itself
	copies   int
	work     work
	listener envoy.Listener
	// module is the path of the variant's module, if its size and start count.
	module string
}

// The variants that come with the benchmark.
const (
	none       = "no filter"
	again      = "no filter, again"
	nativeBase = "no filter, fault"
	native     = "native CORS"
	script     = "Lua"
	empty      = "WAT, empty"
	floor      = "WAT, equal"
	ours       = "ours"
	routed     = "ours, header route"
	matched    = "ours, matcher"
	rust       = "Rust"
)

//go:embed cors.lua
var luaScript string

// policy is the policy of all variants.
const policy = `{"allow_origins": ["` + origin + `"], ` +
	`"allow_methods": ["GET", "POST"], "allow_headers": ["x-pingother"], "max_age": 86400}`

// rustPolicy is the same as the filter in Rust reads it.
const rustPolicy = origin + "|GET, POST|x-pingother|86400"

// variants are all that is measured.
func variants(f *files) (all []variant) {
	add := func(name, base string, w work, module string, listener func(copies int) envoy.Listener) {
		for _, n := range []int{1, chainLength} {
			if n > 1 && (base == "" || name == again) {
				continue
			}
			l := listener(n)
			l.Name = fmt.Sprintf("%s × %d", name, n)
			all = append(all, variant{name, base, n, w, l, module})
		}
	}
	chain := func(config object) func(int) envoy.Listener {
		return func(n int) envoy.Listener {
			return envoy.Listener{Filters: copies(n, config), Routes: []any{direct(nil)}}
		}
	}
	plain := func(int) envoy.Listener { return envoy.Listener{Routes: []any{direct(nil)}} }
	lua := envoy.Typed("filters.http.lua.v3.Lua", object{"default_source_code": object{"inline_string": luaScript}})
	add(none, "", nothing, "", plain)
	add(again, none, nothing, "", plain)
	add(nativeBase, "", nothing, "", func(int) envoy.Listener { return nativeListener(0) })
	add(native, nativeBase, allows, "", nativeListener)
	add(script, none, varies, "", chain(lua))
	add(empty, none, nothing, "", chain(wasm(f.empty, "")))
	add(floor, none, varies, "", chain(wasm(f.equal, "")))
	add(ours, none, varies, f.cors, chain(wasm(f.cors, policy)))
	add(routed, none, varies, "", func(n int) envoy.Listener { return headerRoute(n, wasm(f.cors, policy)) })
	add(matched, none, varies, "", chain(headerMatcher(wasm(f.cors, policy))))
	for _, m := range f.peers() {
		add(m.name, none, varies, m.path, chain(wasm(m.path, m.configuration)))
	}
	return all
}

// nativeListener has Envoy's own CORS filter. It ignores direct responses, so that
// its route goes to a cluster, and a fault filter behind it answers.
func nativeListener(n int) envoy.Listener {
	fields := object{}
	if n > 0 {
		fields = perCopy(n, envoy.Typed("filters.http.cors.v3.CorsPolicy", object{
			"allow_origin_string_match": []any{object{"exact": origin}},
			"allow_methods":             "GET, POST",
			"allow_headers":             "x-pingother",
			"max_age":                   "86400",
		}))
	}
	fields["match"], fields["route"] = object{"prefix": "/"}, object{"cluster": "nobody"}
	fault := envoy.Typed("filters.http.fault.v3.HTTPFault", object{
		"abort": object{"http_status": 200, "percentage": object{"numerator": 100}},
	})
	return envoy.Listener{
		Filters: append(copies(n, envoy.Typed("filters.http.cors.v3.Cors", nil)), envoy.Filter("fault", fault)),
		Routes:  []any{fields},
	}
}

// headerRoute has a filter that is disabled, but on the route of requests with an
// Origin. The route of the others adds their Vary.
func headerRoute(n int, config object) envoy.Listener {
	filters := copies(n, config)
	for _, f := range filters {
		f.(object)["disabled"] = true
	}
	enabled := perCopy(n, object{"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": object{}})
	enabled["match"] = object{"prefix": "/", "headers": []any{object{"name": "origin", "present_match": true}}}
	vary := object{"response_headers_to_add": []any{object{"header": object{"key": "vary", "value": "Origin"}}}}
	return envoy.Listener{Filters: filters, Routes: []any{direct(enabled), direct(vary)}}
}

// headerMatcher is a composite filter that runs a filter for requests with an Origin. For
// the others it adds Vary, but to answers that have it: what deploy/envoy-matcher has.
func headerMatcher(config object) object {
	first := func(message, header, regex string, action object) object {
		input := object{"@type": "type.googleapis.com/envoy.type.matcher.v3." + message, "header_name": header}
		return object{"matchers": []any{object{
			"predicate": object{"single_predicate": object{
				"input":       envoy.Filter(header, input),
				"value_match": object{"safe_regex": object{"google_re2": object{}, "regex": regex}},
			}},
			"on_match": object{"action": envoy.Filter("action", action)},
		}}}
	}
	match := func(config, list object) object {
		return envoy.Typed("common.matching.v3.ExtensionWithMatcher", object{
			"extension_config": envoy.Filter("matched", config), "xds_matcher": list,
		})
	}
	execute := func(config object) object {
		return envoy.Typed("filters.http.composite.v3.ExecuteFilterAction",
			object{"typed_config": envoy.Filter("executed", config)})
	}
	vary := envoy.Typed("filters.http.header_mutation.v3.HeaderMutation", object{"mutations": object{
		"response_mutations": []any{object{"append": object{"header": object{"key": "vary", "value": "Origin"}}}},
	}})
	unlessThere := match(vary, object{"matcher_list": first("HttpResponseHeaderMatchInput", "vary",
		`(?i)(\C*,)?[ \t]*(origin|\*)[ \t]*(,\C*)?`, envoy.Typed("filters.common.matcher.action.v3.SkipFilter", nil))})
	return match(envoy.Typed("filters.http.composite.v3.Composite", nil), object{
		"matcher_list": first("HttpRequestHeaderMatchInput", "origin", `\C*`, execute(config)),
		"on_no_match":  object{"action": envoy.Filter("vary", execute(unlessThere))},
	})
}

// A module is a further Wasm module to measure.
type module struct{ name, path, configuration string }

// peers are the further modules.
func (f *files) peers() []module {
	if f.rust == nil {
		return f.more
	}
	return append([]module{*f.rust}, f.more...)
}

// modules are those of the flag -more.
type modules []module

// String implements flag.Value.
func (m *modules) String() string { return "" }

// Set implements flag.Value. It reads name=file or name=file=configuration.
func (m *modules) Set(s string) error {
	parts := append(strings.SplitN(s, "=", 3), "", "")
	if parts[0] == "" || parts[1] == "" {
		return fmt.Errorf("%q isn't name=file or name=file=configuration", s)
	}
	*m = append(*m, module{parts[0], parts[1], parts[2]})
	return nil
}

package convert

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// A level is what a route, a virtual host or a route configuration says of CORS.
type level struct {
	// given tells that the level has an entry for the filter, which says whether the
	// filter runs: the most specific one counts.
	given, disabled bool
	// typed is the policy of typed_per_filter_config, or nil.
	typed *document.Node
	// legacy is the policy of the deprecated field cors. Envoy looks at it only if no
	// level has a typed one.
	legacy *document.Node
}

// level reads what an object says.
func (e *envoyReader) level(n, legacy *document.Node) level {
	l := level{}
	if legacy != nil && legacy.Kind == document.Object {
		l.legacy = legacy
		e.found(legacy, "a policy of Envoy's own filter")
	}
	for _, m := range members(n.Get("typed_per_filter_config")) {
		if !e.names[m.Name] {
			continue
		}
		config, disabled := m.Value, false
		if strings.HasSuffix(typeOf(config), ".FilterConfig") {
			disabled = isTrue(config.Get("disabled"))
			config = config.Get("config")
		}
		value, message := unwrapStruct(config)
		if config != nil && !isCorsPolicy(message) && message != "" {
			continue // of another filter
		}
		e.object(value)
		e.found(m.Value, "a policy of Envoy's own filter")
		if l.given && l.typed != nil && value != nil {
			e.warn(value, "is the policy of a second CORS filter",
				"left out; convert the policies of one filter at a time")
			continue
		}
		l.given, l.disabled = true, disabled
		if !disabled && value != nil && value.Kind == document.Object {
			l.typed = value
		}
	}
	return l
}

// off reports whether the level switches CORS off.
func (l level) off() bool {
	enabled, _, _ := fraction(cmp.Or(l.typed, l.legacy).Get("filter_enabled"), 1)
	return l.disabled || enabled <= 0
}

// lenient reports whether one policy, or nil, lets somebody act as the visitor who may not
// by the other.
func lenient(d, other *draft) bool {
	switch {
	case d == nil || !d.AllowCredentials || d.Shadow:
		return false
	case other == nil || !other.AllowCredentials || other.Shadow:
		return true
	}
	return slices.ContainsFunc(d.AllowOrigins, func(entry cors.OriginEntry) bool {
		return !slices.Contains(other.AllowOrigins, entry)
	})
}

// policy is what applies by several levels, the most specific one first. A policy sets
// some fields, and those that it doesn't set come from the next; only whether it is
// enabled the most specific policy says alone.
func (e *envoyReader) policy(levels ...level) *draft {
	var layers []*document.Node
	for _, l := range levels {
		if l.typed != nil {
			layers = append(layers, l.typed)
		}
	}
	typed := len(layers) > 0
	for _, l := range levels {
		switch {
		case l.legacy == nil:
		case typed:
			e.warn(l.legacy, "Envoy ignores this policy, because another one is in typed_per_filter_config", "left out")
		default:
			layers = append(layers, l.legacy)
		}
	}
	i := slices.IndexFunc(levels, func(l level) bool { return l.given })
	if i >= 0 && levels[i].disabled || len(layers) == 0 {
		return nil
	}
	key := ""
	for _, layer := range layers {
		key += fmt.Sprintf("%p ", layer)
	}
	if p, known := e.policies[key]; known {
		return p
	}
	e.policies[key] = e.merge(layers)
	return e.policies[key]
}

// leafPolicy is the policy of what nothing else adds to: then one that allows nobody is
// worth a warning.
func (e *envoyReader) leafPolicy(levels ...level) *draft {
	p := e.policy(levels...)
	own := cmp.Or(levels[0].typed, levels[0].legacy)
	listed := slices.ContainsFunc(levels, func(l level) bool { return hasOrigins(l.typed) || hasOrigins(l.legacy) })
	if p == nil && own != nil && !listed {
		e.warn(own, "the policy has no origins, so it allows nobody", "left out; list the origins")
	}
	return p
}

func hasOrigins(policy *document.Node) bool {
	return len(policy.Get("allow_origin_string_match").List()) > 0
}

// merge makes a policy of its layers.
func (e *envoyReader) merge(layers []*document.Node) *draft {
	d := &draft{from: layers[0]}
	for _, layer := range layers {
		e.unknown(layer, "Envoy's CorsPolicy", policyFields...)
	}
	if !slices.ContainsFunc(layers, hasOrigins) || !e.mode(d, layers[0]) {
		return nil // it leaves everything alone, or as good as that
	}
	// get is a field's value in the first layer that sets it, as Envoy has it: an empty
	// text and an empty list are not set.
	get := func(name string) *document.Node {
		for _, layer := range layers {
			if n := layer.Get(name); isSet(n) && (n.Kind != document.String || n.Text != "") {
				return n
			}
		}
		return nil
	}
	d.AllowCredentials = e.boolean(get("allow_credentials"), false)
	d.AllowPrivateNetwork = e.boolean(get("allow_private_network_access"), false)
	d.ForwardUnmatchedPreflights = e.boolean(get("forward_not_matching_preflights"), true)
	for _, m := range e.objects(get("allow_origin_string_match")) {
		e.origin(d, m)
	}
	for _, field := range []string{"allow_methods", "allow_headers", "expose_headers"} {
		e.list(d, field, get(field))
	}
	e.maxAge(d, get("max_age"))
	return d
}

// policyFields are the fields of Envoy's CorsPolicy, with those that only the
// deprecated message has.
var policyFields = []string{"@type", "allow_origin_string_match", "allow_methods", "allow_headers", "expose_headers",
	"max_age", "allow_credentials", "filter_enabled", "shadow_enabled", "allow_private_network_access",
	"forward_not_matching_preflights"}

// mode reads to how many requests the policy applies, and reports whether it applies
// to any. Between none and all it only watches: a part of the requests can't be had.
func (e *envoyReader) mode(d *draft, policy *document.Node) bool {
	for _, field := range []string{"filter_enabled", "shadow_enabled"} {
		if n := policy.Get(field); given(n) && (n.Kind != document.Object || !n.Has("default_value", "runtime_key")) {
			e.warn(n, "is no RuntimeFractionalPercent, so Envoy refuses it", "carried over as it is without")
		}
	}
	enabled, key, share := fraction(policy.Get("filter_enabled"), 1)
	if key != nil {
		e.warn(key, "the runtime key "+quote(key.Text)+" can switch the policy on and off there",
			"carried over by its default; set mode instead")
	}
	switch {
	case enabled >= 1:
		return true
	case enabled > 0:
		e.warn(share, "applies to a part of the requests, and a policy here applies to all or none",
			`carried over with "mode": "shadow", which changes nothing; leave out mode to apply it to all`)
	default:
		if watched, _, _ := fraction(policy.Get("shadow_enabled"), 0); watched <= 0 {
			return false
		}
	}
	d.Shadow = true
	return true
}

// fraction reads a RuntimeFractionalPercent: the fraction, its runtime key if there is
// one, and where it stands.
func fraction(n *document.Node, otherwise float64) (f float64, key, at *document.Node) {
	if !given(n) || !n.Has("default_value", "runtime_key") {
		return otherwise, nil, nil
	}
	value := n.Get("default_value")
	numerator, err := strconv.ParseFloat(value.Get("numerator").Scalar(), 64)
	if err != nil {
		numerator = 0
	}
	unit := map[string]float64{"TEN_THOUSAND": 1e4, "1": 1e4, "MILLION": 1e6, "2": 1e6}
	denominator := cmp.Or(unit[value.Get("denominator").Scalar()], 100)
	if key = n.Get("runtime_key"); key.String() == "" {
		key = nil
	}
	return numerator / denominator, key, n
}

// origin adds what a StringMatcher matches.
func (e *envoyReader) origin(d *draft, n *document.Node) {
	e.unknown(n, "a StringMatcher", "exact", "prefix", "suffix", "contains", "safe_regex", "regex", "ignore_case",
		"custom")
	m := originMatcher{ignoreCase: isTrue(n.Get("ignore_case"))}
	for _, kind := range []matcherKind{exactMatcher, prefixMatcher, suffixMatcher, containsMatcher} {
		if value := n.Get(string(kind)); value != nil {
			m.kind, m.text = kind, value.String()
		}
	}
	for _, regex := range []*document.Node{n.Get("safe_regex", "regex"), n.Get("regex")} {
		if regex != nil {
			m.kind, m.text = regexMatcher, regex.String()
		}
	}
	if m.kind == "" || m.text == "" {
		what := "is no matcher that is known here"
		if m.kind != "" {
			what = "is empty"
		}
		e.warn(n, what, "left out; list the origins that it allows")
		return
	}
	e.matchOrigin(d, n, m)
}

// members are the fields of an object, none of anything else.
func members(n *document.Node) []document.Member {
	if n == nil {
		return nil
	}
	return n.Members
}

// isTrue reports whether a value is true.
func isTrue(n *document.Node) bool { return n != nil && n.Kind == document.Bool && n.Text == "true" }

// list reads the value of a header as a list of names.
func (e *envoyReader) list(d *draft, field string, n *document.Node) {
	switch canBeStar := field != "expose_headers"; {
	case given(n) && n.Kind != document.String:
		e.warn(n, "is not a string", "left out; write the names in one string, with commas between")
	case canBeStar && n.String() == "*":
		// Envoy repeats what the preflight asks for, so this covers Authorization too.
		d.set(field, e.star(d, field, []*document.Node{n}))
	default:
		d.set(field, slices.DeleteFunc(e.joined(n), func(name *document.Node) bool {
			literal := canBeStar && isStar(name) && d.AllowCredentials
			if literal {
				e.warn(name, `"*" in a list means a name "*" when the request has credentials`,
					`left out; list the names, or write "*" alone`)
			}
			return literal
		}))
	}
}

// maxAge reads the value of a header as a number of seconds.
func (e *envoyReader) maxAge(r *draft, n *document.Node) {
	if n == nil {
		return
	}
	text := strings.TrimSpace(n.Scalar())
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		instead := "left out; write a number of seconds"
		d, err := time.ParseDuration(text)
		if err == nil && d >= 0 && d <= cors.MaxMaxAge*time.Second && d%time.Second == 0 {
			instead = `left out; add "max_age": ` + strconv.Itoa(min(int(d/time.Second), longestAge)) + " to have it"
		}
		e.warn(n,
			quote(text)+" is not a number of seconds, so browsers ignore it, and remember a preflight for 5 seconds",
			instead)
		return
	}
	seconds, err := strconv.Atoi(text)
	if err != nil {
		seconds = math.MaxInt32 // and then as much as there may be
	}
	r.age(n, seconds)
}

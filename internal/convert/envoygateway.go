package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

const envoyGatewayGroup = "gateway.envoyproxy.io"

// fromEnvoyGateway reads the CORS policies of SecurityPolicies, with the routes and
// Gateways of the same file that they are attached to.
func fromEnvoyGateway(c *conversion, documents []*document.Node) {
	e := &envoyGateway{conversion: c, table: newRouting(c, "Envoy Gateway", gatewayRemedy, bySpecificity)}
	e.table.unnamed = nil
	e.find(resources(documents))
	for _, r := range e.routes {
		for _, p := range parentsOf(r, e.sections) {
			e.table.httpRoute(r, p, func(rule *document.Node) *draft { return e.policyOf(r, rule, p) }, routeName(r))
		}
	}
	for _, p := range e.policies {
		e.addGateways(p)
	}
	e.table.addDrafts()
	// Last, because the first policy for a request counts, and of these less is known.
	for _, p := range e.policies {
		e.addUnknownTargets(p)
	}
	for _, p := range e.policies {
		if n := p.Get("spec", "cors"); given(n) && n.Kind == document.Object && !p.used {
			c.warn(n, "is attached to nothing that is in the file, or to what has another policy already",
				"left out; check the targets of the SecurityPolicy")
		}
	}
}

// find finds the resources that matter, and the listeners that are told apart.
func (e *envoyGateway) find(all []*resource) {
	for _, r := range all {
		switch {
		case r.is("SecurityPolicy", envoyGatewayGroup):
			if n := r.Get("spec", "cors"); e.object(n) {
				e.found(n, "of the SecurityPolicy "+quote(r.name))
			}
			p := &securityPolicy{resource: r, targets: e.targets(r), made: map[*document.Node]*draft{}}
			e.policies = append(e.policies, p)
		case r.is("HTTPRoute", gatewayGroup), r.is("GRPCRoute", gatewayGroup):
			e.routes = append(e.routes, r)
		case r.is("Gateway", gatewayGroup):
			e.gateways = append(e.gateways, r)
		}
	}
	e.sections = sectionsOf(e.routes)
	for _, p := range e.policies {
		for _, t := range p.targets {
			if t.kind == "Gateway" && t.section != "" {
				e.sections.learn(parent{p.namespace, t.name, t.section})
			}
		}
	}
	for _, gateway := range e.gateways {
		of := parent{namespace: gateway.namespace, name: gateway.name}
		if len(e.sections[of]) == 0 {
			continue // None of its listeners is told apart.
		}
		for _, listener := range gateway.Get("spec", "listeners").List() {
			e.sections.learn(parent{of.namespace, of.name, listener.Get("name").String()})
		}
	}
}

type envoyGateway struct {
	*conversion
	table            *routing
	policies         []*securityPolicy
	routes, gateways []*resource
	sections         sections
}

// routeName tells what Envoy Gateway calls the matches of a route in Envoy; "" if that
// can't be known.
func routeName(r *resource) func(rule, match int, host string) string {
	if r.namespace == "" || r.kind != "HTTPRoute" {
		return unnamed
	}
	return func(rule, match int, host string) string {
		if strings.Contains(host, "*") {
			return "" // the listener may have a host that is narrower
		}
		return fmt.Sprintf("httproute/%s/%s/rule/%d/match/%d/%s", r.namespace, r.name, rule, match,
			strings.ReplaceAll(host, ".", "_"))
	}
}

// A securityPolicy is a SecurityPolicy, with or without cors.
type securityPolicy struct {
	*resource
	targets []target
	made    map[*document.Node]*draft // by the parent's policy that it is merged into
	used    bool                      // it is attached to something in the file
}

// A target is what a policy is attached to.
type target struct {
	at                  *document.Node
	kind, name, section string
	labels              *document.Node // of a selector, which has no name
}

// targets are the targets of a policy.
func (c *conversion) targets(r *resource) (targets []target) {
	spec := r.Get("spec")
	refs := spec.Get("target_refs").List()
	if ref := spec.Get("target_ref"); given(ref) {
		refs = append(refs, ref)
	}
	for _, n := range refs {
		targets = append(targets, target{at: n, kind: n.Get("kind").String(), name: n.Get("name").String(),
			section: n.Get("section_name").String()})
	}
	for _, n := range spec.Get("target_selectors").List() {
		if expressions := n.Get("match_expressions"); given(expressions) && given(spec.Get("cors")) {
			c.warn(expressions, "expressions of labels aren't evaluated",
				"the policy is carried over without what they select; name the targets")
			continue
		}
		targets = append(targets, target{at: n, kind: n.Get("kind").String(), labels: n})
	}
	return targets
}

// selects reports whether a target is a resource.
func (p *securityPolicy) selects(t target, r *resource) bool {
	if t.kind != r.kind || !p.sameNamespace(r) {
		return false
	}
	if t.labels == nil {
		return t.name == r.name
	}
	for _, m := range members(t.labels.Get("match_labels")) {
		if r.Get("metadata", "labels", m.Name).String() != m.Value.String() {
			return false
		}
	}
	return true
}

// attached is the policy for a route, a rule of it (by its name), or a Gateway; it is
// nil if there is none. The first counts, as the older one does.
func (e *envoyGateway) attached(r *resource, section string) *securityPolicy {
	for _, p := range e.policies {
		for _, t := range p.targets {
			if t.section == section && p.selects(t, r) {
				return p
			}
		}
	}
	return nil
}

// policyOf is the policy of a rule of a route: the one for the rule, for the route, or
// for its Gateway.
func (e *envoyGateway) policyOf(r *resource, rule *document.Node, of parent) *draft {
	p, above := cmp.Or(e.attached(r, rule.Get("name").String()), e.attached(r, "")), e.policyAbove(of)
	if p == nil {
		p, above = above, nil
	}
	if p != nil {
		p.used = true
	}
	return e.policy(p, above)
}

// policyAbove is the policy of a listener, or of its Gateway; nil if there is none.
func (e *envoyGateway) policyAbove(of parent) *securityPolicy {
	gateway := &resource{Node: &document.Node{}, kind: "Gateway", name: of.name, namespace: of.namespace}
	for _, known := range e.gateways {
		if known.name == of.name && known.sameNamespace(gateway) {
			gateway = known
		}
	}
	return cmp.Or(e.attached(gateway, of.section), e.attached(gateway, ""))
}

// policy is a policy, merged into the one above if it says so; it is nil if there is no
// cors in it, which then is off.
func (e *envoyGateway) policy(p, above *securityPolicy) *draft {
	if p == nil {
		return nil
	}
	own := p.Get("spec", "cors")
	var inherited *document.Node
	if given(p.Get("spec", "merge_type")) && above != nil {
		inherited = above.Get("spec", "cors")
	}
	n := own
	if !given(n) {
		n = inherited
	}
	if !given(n) || n.Kind != document.Object {
		return nil
	}
	if p.made[inherited] == nil {
		p.made[inherited] = e.read(p, n, func(field string) *document.Node {
			if value := own.Get(field); given(value) {
				return value
			}
			return inherited.Get(field)
		})
	}
	return p.made[inherited]
}

// read reads a CORS policy.
func (e *envoyGateway) read(p *securityPolicy, n *document.Node, get func(field string) *document.Node) *draft {
	d := newDraft(n, p.name, "")
	e.unknown(n, "cors", "allow_origins", "allow_methods", "allow_headers", "expose_headers", "max_age",
		"allow_credentials")
	e.commonFields(d, get)
	for _, origin := range e.texts(get("allow_origins")) {
		d.addOrigin(wildcardOrigin(origin.Text, ".+"), origin)
	}
	e.setDuration(d, get("max_age"))
	return d
}

// addGateways adds a policy for all of a Gateway, or of one of its listeners.
func (e *envoyGateway) addGateways(p *securityPolicy) {
	for _, t := range p.targets {
		if t.kind != "Gateway" {
			continue
		}
		known := false
		for _, gateway := range e.gateways {
			if p.selects(t, gateway) {
				known = true
				e.addListeners(p, t, gateway)
			}
		}
		if known {
			continue
		}
		policy := e.policy(p, nil)
		if t.section != "" && policy != nil {
			e.warn(t.at, "the Gateway with the listener "+quote(t.section)+
				" isn't in the file, so its host isn't known",
				"carried over for every host; add match.hosts, or convert with the Gateway in the file")
		}
		e.otherwise(p, parent{p.namespace, t.name, t.section}, everyHost(t.at), policy)
	}
}

// otherwise makes a policy the one of hosts for which no route says anything. The
// filter is in one Gateway's Envoy, and so every host there is one of the Gateway.
func (e *envoyGateway) otherwise(p *securityPolicy, of parent, hosts []routedHost, policy *draft) {
	for _, listener := range of.listeners(e.sections) {
		if e.policyAbove(listener) != p {
			continue
		}
		p.used = true
		for _, host := range hosts {
			if v := e.table.host(listener.key(), p.resource, host); v.policy == nil {
				v.policy = policy
			}
		}
	}
}

// addListeners adds a policy for the hosts of a Gateway's listeners.
func (e *envoyGateway) addListeners(p *securityPolicy, t target, gateway *resource) {
	policy := e.policy(p, nil)
	for _, listener := range gateway.Get("spec", "listeners").List() {
		name, host := listener.Get("name").String(), listener.Get("hostname")
		if t.section != "" && name != t.section {
			continue
		}
		hosts := everyHost(t.at)
		if host.String() != "" {
			hosts = []routedHost{oneHost(host)}
		}
		of := parent{gateway.namespace, gateway.name, ""}
		if slices.Contains(e.sections[of], name) {
			of.section = name
		}
		e.otherwise(p, of, hosts, policy)
	}
}

// addUnknownTargets adds the policy for what isn't in the file.
func (e *envoyGateway) addUnknownTargets(p *securityPolicy) {
	policy := e.policy(p, nil)
	if policy == nil {
		return
	}
	if merge := p.Get("spec", "merge_type"); given(merge) && !e.isMerged(p) {
		e.warn(merge, "the Gateway's policy that this one is merged into isn't in the file",
			"carried over with the fields that are here; convert with the other policy in the file")
	}
	for _, t := range p.targets {
		if t.kind == "Gateway" || slices.ContainsFunc(e.routes, func(r *resource) bool { return p.selects(t, r) }) {
			continue
		}
		what := "the " + t.kind + " " + quote(t.name) + " isn't in the file, so its hosts and paths aren't known"
		if t.labels != nil {
			what = "no " + t.kind + " in the file has the labels, so the hosts and paths aren't known"
		}
		e.warn(t.at, what, "carried over for every host and path; add a match, or convert with the "+t.kind+
			" in the file")
		p.used = true
		e.add(policy.copyFor(match.Match{}, p.name))
	}
}

// isMerged reports whether there is a policy above a route that a policy is for.
func (e *envoyGateway) isMerged(p *securityPolicy) bool {
	return slices.ContainsFunc(e.routes, func(r *resource) bool {
		return slices.ContainsFunc(p.targets, func(t target) bool { return p.selects(t, r) }) &&
			slices.ContainsFunc(parentsOf(r, e.sections), func(of parent) bool { return e.policyAbove(of) != nil })
	})
}

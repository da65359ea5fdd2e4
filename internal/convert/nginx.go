package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

var ingressGroups = []string{"networking.k8s.io", "extensions"}

// fromNginxIngress reads the CORS annotations of Ingresses.
func fromNginxIngress(c *conversion, documents []*document.Node) {
	t := newRouting(c, "ingress-nginx", ingressRemedy, bySpecificity)
	for _, r := range resources(documents) {
		if r.is("Ingress", ingressGroups...) {
			t.ingress(r, nginxAnnotations)
		}
	}
	t.addDrafts()
}

const ingressRemedy = "add policies for paths that the filter can tell apart, or give all of them the same annotations"

// A dialect is how a controller understands CORS annotations.
type dialect struct {
	// headers are the default of cors-allow-headers.
	headers []string
	// wildcards tells that methods and headers may be "*".
	wildcards bool
	// origins reads cors-allow-origin.
	origins func(c *conversion, r *draft, n *document.Node, parts []*document.Node)
	// starForCredentials tells that the origin "*" is for requests with credentials, too.
	starForCredentials bool
}

// Browsers never ask for the other headers of the defaults, DNT and Keep-Alive.
var (
	nginxAnnotations = dialect{
		headers: []string{"User-Agent", "X-Requested-With", "If-Modified-Since", "Cache-Control", "Content-Type",
			"Range", "Authorization"},
		origins: (*conversion).nginxOrigins,
	}
	higressAnnotations = dialect{
		headers:            higressHeaders,
		wildcards:          true,
		origins:            (*conversion).higressAnnotation,
		starForCredentials: true,
	}
)

// ingressMethods are the default of cors-allow-methods.
var ingressMethods = []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"}

// annotation is the value of an annotation, whatever its prefix, which a controller may
// be told; nil if there is none. APISIX' own are for it alone.
func (r *resource) annotation(name string) (value *document.Node) {
	for _, m := range members(r.Get("metadata", "annotations")) {
		if strings.HasSuffix(m.Name, "/"+name) && !strings.HasPrefix(m.Name, apisixAnnotations) {
			value = m.Value
		}
	}
	return value
}

// ingress adds the paths of an Ingress.
func (t *routing) ingress(r *resource, d dialect) {
	c := t.reader.conversion
	enable := r.annotation("enable-cors")
	enabled, err := strconv.ParseBool(text(enable))
	if err != nil && text(enable) != "" {
		c.warn(enable, quote(text(enable))+" isn't true or false, and means false there",
			`left out; write "true" if that is meant`)
	}
	if canary, _ := strconv.ParseBool(text(r.annotation("canary"))); canary {
		if enabled {
			c.warn(enable, "is an annotation of a canary, which has those of the main Ingress", "left out")
		}
		return
	}
	c.warnSnippets(r)
	c.checkAnnotations(r, enable)
	var others []*document.Node
	for _, name := range corsAnnotations {
		if n := r.annotation(name); n != nil {
			others = append(others, n)
		}
	}
	var policy *draft
	if enabled {
		for _, n := range append(others, enable) {
			c.found(n, "an annotation of the Ingress "+quote(r.name))
		}
		policy = c.ingressPolicy(r, enable, d)
	} else if others != nil {
		c.warn(others[0], `has no effect without enable-cors: "true"`, "left out")
	}
	t.ingressRoutes(r, policy)
}

// text is a value as text: annotations are strings, but written without quotes they
// look otherwise.
func text(n *document.Node) string { return strings.TrimSpace(n.Scalar()) }

// corsAnnotations are the annotations beside enable-cors.
var corsAnnotations = []string{"cors-allow-origin", "cors-allow-methods", "cors-allow-headers", "cors-expose-headers",
	"cors-allow-credentials", "cors-max-age"}

// checkAnnotations says which CORS annotations are none, or have values that are no text.
func (c *conversion) checkAnnotations(r *resource, enable *document.Node) {
	prefix := ""
	for _, m := range members(r.Get("metadata", "annotations")) {
		if m.Value == enable {
			prefix = strings.TrimSuffix(m.Name, "enable-cors")
		}
	}
	for _, m := range members(r.Get("metadata", "annotations")) {
		name, ofController := strings.CutPrefix(m.Name, prefix)
		known := name == "enable-cors" || slices.Contains(corsAnnotations, name)
		switch {
		case !ofController || prefix == "":
		case (known || name == "server-alias") && (m.Value.Kind == document.List || m.Value.Kind == document.Object):
			c.warn(m.Value, "is not a string, so the API server refuses it", "left out")
		case strings.HasPrefix(name, "cors-") && !known:
			c.warn(m.Value, quote(m.Name)+" is no annotation of the controller",
				"left out; there are "+strings.Join(corsAnnotations, ", "))
		}
	}
}

// corsHeader is the beginning of a response header that browsers take for CORS.
var corsHeader = regexp.MustCompile(`(?i)access-control-(allow|expose|max)-`)

// warnSnippets warns of CORS headers in what is written in nginx's own language.
func (c *conversion) warnSnippets(r *resource) {
	for _, name := range []string{"configuration-snippet", "server-snippet", "location-snippet"} {
		n := r.annotation(name)
		if found := corsHeader.FindStringIndex(text(n)); found != nil {
			c.found(n, "the CORS headers in a snippet of the Ingress "+quote(r.name))
			at := corsHeader.FindStringIndex(n.Text)
			c.warn(c.as(n, n.TextMap().Offset(at[0]), n.Text[at[0]:at[1]]),
				"sets CORS headers in nginx's own language, which isn't read",
				"left out; write a policy for what it does")
		}
	}
}

// ingressPolicy reads the annotations.
func (c *conversion) ingressPolicy(r *resource, enable *document.Node, d dialect) *draft {
	one := newDraft(enable, r.name, "")
	credentials := r.annotation("cors-allow-credentials")
	one.AllowCredentials = true
	if allow, err := strconv.ParseBool(text(credentials)); err == nil {
		one.AllowCredentials = allow
	} else if text(credentials) != "" {
		c.warn(credentials, quote(text(credentials))+" isn't true or false, and means the default there",
			"carried over as true")
	}
	c.ingressNames(one, r, "allow_methods", "cors-allow-methods", ingressMethods, d)
	c.ingressNames(one, r, "allow_headers", "cors-allow-headers", d.headers, d)
	if n := r.annotation("cors-expose-headers"); text(n) != "" {
		one.set("expose_headers", c.joined(n))
	}
	one.age(enable, longestAge) // the default is 20 days, which no browser remembers
	if n := r.annotation("cors-max-age"); text(n) != "" {
		if _, err := strconv.Atoi(text(n)); err != nil {
			c.warn(n, quote(n.Text)+" isn't a number of seconds, and means the default there",
				"carried over as "+strconv.Itoa(longestAge))
		} else {
			c.setMaxAge(one, n)
		}
	}
	c.ingressOrigins(one, r, enable, credentials, d)
	return one
}

// ingressNames reads a list of names, or sets its default.
func (c *conversion) ingressNames(one *draft, r *resource, field, annotation string, otherwise []string, d dialect) {
	n := r.annotation(annotation)
	if text(n) == "" {
		one.setNames(field, otherwise, nil)
		return
	}
	if strings.Contains(n.Text, "*") && !d.wildcards {
		c.warn(n, quote(n.Text)+" isn't accepted, and means the default there", "carried over as the default")
		one.setNames(field, otherwise, slices.Repeat([]*document.Node{n}, len(otherwise)))
		return
	}
	one.set(field, c.starAlone(one, field, c.joined(n)))
}

// ingressOrigins reads cors-allow-origin.
func (c *conversion) ingressOrigins(one *draft, r *resource, enable, credentials *document.Node, d dialect) {
	n := r.annotation("cors-allow-origin")
	var parts []*document.Node
	if text(n) != "" {
		parts = c.split(n)
	} else if n != nil {
		c.warn(n, "is empty, which means every origin there", `carried over as "*"`)
	}
	i := slices.IndexFunc(parts, isStar)
	if i < 0 && parts != nil {
		one.ForwardUnmatchedPreflights = true // they pass, as requests of other origins do
		d.origins(c, one, n, parts)
		return
	}
	at := cmp.Or(n, enable)
	if i >= 0 {
		at = parts[i]
	}
	one.addOrigin(cors.OriginEntry{Text: "*"}, at)
	if one.AllowCredentials && !d.starForCredentials {
		// nginx answers with "*", and browsers don't take that for requests with credentials.
		one.AllowCredentials = false
		c.warn(cmp.Or(credentials, enable), `credentials, which are allowed unless cors-allow-credentials is "false", `+
			`have no effect with the origin "*": browsers refuse the two together`,
			"carried over without allow_credentials; list the origins that need them")
	}
}

// nginxList is the form of cors-allow-origin that controllers accept that validate
// annotations.
var nginxList = regexp.MustCompile(`^((([a-z]+://)?(\*\.)?[A-Za-z0-9.-]*(:[0-9]+)?,?)|null,?)+$`)

// nginxOrigins reads a list of origins.
func (c *conversion) nginxOrigins(d *draft, n *document.Node, parts []*document.Node) {
	if !nginxList.MatchString(strings.ReplaceAll(strings.Join(words(parts), ","), " ", "")) {
		c.warn(n, "isn't a list of origins to a controller that validates annotations, which then allows every origin",
			"carried over for the origins in it")
	}
	if parts[len(parts)-1].Text == "" {
		c.warn(n, "ends with a comma, so that every origin matches there", "carried over for the origins in it")
	}
	// The policy loses its credentials if no origin may have them, and then is right without.
	credentials := d.AllowCredentials && slices.ContainsFunc(parts, func(part *document.Node) bool {
		entry, _ := mendedOrigin(cors.OriginEntry{Text: strings.ToLower(part.Text)})
		return refusal(entry, true) == nil
	})
	for _, part := range parts {
		if part.Text != "" {
			d.addOrigin(nginxOrigin(strings.ToLower(part.Text), credentials), part)
		}
	}
}

// nginxOrigin is an origin, in which a star stands for one label.
func nginxOrigin(text string, credentials bool) cors.OriginEntry {
	pattern := cors.OriginEntry{Text: text}
	scheme, domain, wildcard := strings.Cut(text, "://*.")
	if !wildcard || refusal(pattern, credentials) != nil {
		return pattern
	}
	return cors.OriginEntry{Text: scheme + `://[a-z0-9-]+\.` + regexp.QuoteMeta(domain), Regex: true}
}

// higressAnnotation reads a list of origins as Higress does: a star before a domain
// stands for its subdomains in every scheme, and a star elsewhere for nothing.
func (c *conversion) higressAnnotation(d *draft, _ *document.Node, parts []*document.Node) {
	for _, part := range parts {
		_, domain, wildcard := strings.Cut(part.Text, "://*.")
		switch {
		case part.Text == "":
		case wildcard:
			c.matchOrigin(d, part, originMatcher{kind: regexMatcher, text: `.*\.` + regexp.QuoteMeta(domain)})
		default:
			c.matchOrigin(d, part, originMatcher{kind: exactMatcher, text: part.Text})
		}
	}
}

// ingressRoutes adds the paths of an Ingress.
func (t *routing) ingressRoutes(r *resource, policy *draft) {
	isRegex, _ := strconv.ParseBool(text(r.annotation("use-regex")))
	isRegex = isRegex || text(r.annotation("rewrite-target")) != ""
	aliases, spec := t.reader.serverAliases(r), r.Get("spec")
	if spec == nil {
		return
	}
	for _, rule := range orEverything(spec.Get("rules").List()) {
		from := cmp.Or(rule, spec)
		hosts := everyHost(from)
		if host := rule.Get("host"); text(host) != "" {
			hosts = append([]routedHost{{at: host, names: []string{text(host)}}}, aliases...)
		}
		for _, path := range orEverything(rule.Get("http", "paths").List()) {
			one := &envoyRoute{from: cmp.Or(path, from), policy: policy, path: ingressPath(path, isRegex)}
			t.route("", r, hosts, one)
		}
	}
}

// serverAliases are further hosts of an Ingress.
func (c *conversion) serverAliases(r *resource) (hosts []routedHost) {
	n := r.annotation("server-alias")
	if text(n) == "" {
		return nil
	}
	for _, part := range c.split(n) {
		switch {
		case strings.HasPrefix(part.Text, "~"):
			c.warn(part, "the filter can't match hosts by a regex", "left out; add the hosts to match.hosts")
		case part.Text != "":
			hosts = append(hosts, oneHost(part))
		}
	}
	return hosts
}

// ingressPath reads a path.
func ingressPath(n *document.Node, isRegex bool) envoyPath {
	path, kind := text(n.Get("path")), n.Get("path_type").String()
	switch _, literal := literalPath(path); {
	case path == "" || path == "/" && (kind != "Exact" || isRegex):
		return envoyPath{kind: everyPath}
	case isRegex && literal:
		return envoyPath{kind: textPrefix, text: path}
	case isRegex:
		return ingressRegex(path)
	case kind == "Exact":
		return envoyPath{kind: exactPath, text: path}
	case kind == "Prefix":
		return envoyPath{kind: segmentPrefix, text: path}
	}
	return envoyPath{kind: textPrefix, text: path} // as nginx has it
}

// ingressRegex is a regex that a path must begin with.
func ingressRegex(expr string) envoyPath {
	if p := pathRegex(expr); strings.HasSuffix(expr, "$") || p.kind != regexPath && p.kind != exactPath {
		return p
	}
	p := pathRegex(expr + ".*")
	if p.kind == regexPath {
		p.text = expr
	}
	return p
}

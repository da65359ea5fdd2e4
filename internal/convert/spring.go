package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// fromSpring reads the CORS configuration of Spring Cloud Gateway in application.yaml: its
// globalcors, and the metadata of its routes.
func fromSpring(c *conversion, documents []*document.Node) {
	var files []*springFile
	for _, d := range documents {
		file := &springFile{conversion: c, globals: map[string][]*springCORS{}, known: map[*document.Node]bool{}}
		for _, p := range properties(d, nil) {
			file.read(p)
		}
		files = append(files, file)
	}
	t := newRouting(c, "Spring Cloud Gateway", "write policies for paths that the filter can tell apart", byRank)
	t.unnamed = nil // policies are called as their routes and paths
	for rank, one := range c.springInForce(files) {
		policy := c.springPolicy(one)
		route := &envoyRoute{from: one.from, rank: rank, policy: policy, path: springPath(one.path)}
		t.route("", &resource{Node: one.from, name: policy.Name}, everyHost(one.from), route)
	}
	t.addDrafts()
}

// A springProperty is a value by its path, in which names may be written in several ways.
type springProperty struct {
	*document.Node
	path []springName
}

// A springName is a name in a path. In brackets it stands for itself.
type springName struct {
	text    string
	bracket bool
}

// is reports whether the name is one, which is given in lower case without hyphens.
func (n springName) is(name string) bool {
	return !n.bracket && strings.EqualFold(hyphens.Replace(n.text), name)
}

var hyphens = strings.NewReplacer("-", "", "_", "")

// below is the rest of the property's path below another one.
func (p springProperty) below(path ...string) (rest []springName, ok bool) {
	if len(p.path) < len(path) {
		return nil, false
	}
	for i, name := range path {
		if !p.path[i].is(name) {
			return nil, false
		}
	}
	return p.path[len(path):], true
}

// properties are the values in an object by their paths; what is in an object follows it.
func properties(n *document.Node, path []springName) (list []springProperty) {
	for _, m := range members(n) {
		at := append(slices.Clone(path), springNames(m.Name)...)
		list = append(list, springProperty{m.Value, at})
		list = append(list, properties(m.Value, at)...)
	}
	return list
}

var springNamePattern = regexp.MustCompile(`\[[^\]]*\]|[^.\[]+`)

// springNames are the names in a key such as "gateway.globalcors" or "[/**].allowed-origins".
func springNames(key string) (names []springName) {
	for _, name := range springNamePattern.FindAllString(key, -1) {
		text, bracket := strings.CutPrefix(name, "[")
		if bracket {
			text = strings.TrimSuffix(text, "]")
		}
		names = append(names, springName{text, bracket})
	}
	return names
}

// A springFile is a document: one of a profile applies only with it.
type springFile struct {
	*conversion
	profile  string
	basePath string
	// globals are the configurations of globalcors, by the path of the version that has it.
	globals map[string][]*springCORS
	routes  []*springCORS
	// hasRoutes tells that the document sets the routes, which replaces those before.
	hasRoutes bool
	// known are the values that have been found.
	known map[*document.Node]bool
}

// A springCORS is a configuration for the requests whose path matches a pattern.
type springCORS struct {
	from    *document.Node
	pattern string
	path    string // the pattern below the application's path
	route   string // the route's id
	order   int
	fields  map[string]springValue
}

// A springValue is the value of a field.
type springValue struct {
	at     *document.Node
	values []*document.Node
	// split tells that the values are the parts of one text.
	split bool
}

// springFields are the fields of a configuration.
var springFields = []string{"allowedOrigins", "allowedOriginPatterns", "allowedMethods", "allowedHeaders",
	"exposedHeaders", "allowCredentials", "allowPrivateNetwork", "maxAge"}

// springPaths are where the properties of the gateway are: as of version 4.3, and before.
var springPaths = []string{"spring cloud gateway server webflux", "spring cloud gateway"}

// read reads a property of the document.
func (f *springFile) read(p springProperty) {
	for _, path := range []string{"spring config activate onprofile", "spring profiles"} {
		rest, ok := p.below(strings.Fields(path)...)
		if ok && len(rest) == 0 && p.Kind != document.Object {
			f.profile = cmp.Or(p.Scalar(), strings.Join(words(f.texts(p.Node)), ","))
		}
	}
	if rest, ok := p.below("spring", "webflux", "basepath"); ok && len(rest) == 0 {
		f.basePath = strings.TrimSuffix(p.String(), "/")
	}
	for _, version := range springPaths {
		path := strings.Fields(version)
		rest, ok := p.below(path...)
		if !ok || len(rest) == 0 {
			continue
		}
		switch name, rest := rest[0], rest[1:]; {
		case name.is("globalcors"):
			f.foundOnce(p.Node, "the CORS configuration of the gateway")
			f.global(version, rest, p.Node)
		case name.is("routes") && len(rest) == 0:
			f.hasRoutes = true
			for _, route := range p.List() {
				f.route(route)
			}
		case name.is("routes") && slices.Contains(rest, springName{text: "cors"}):
			f.foundOnce(p.Node, "the CORS configuration of a route")
			f.warn(p.Node, "is a route by its index, which isn't read", "left out; write the routes as a list")
		case name.is("defaultfilters") && len(rest) == 0:
			f.filters(p.Node)
		}
	}
}

// foundOnce notes a value that is of CORS, but for one in another one that is noted.
func (f *springFile) foundOnce(n *document.Node, what string) {
	if !f.known[n] {
		f.found(n, what)
	}
	n.Walk(func(in *document.Node) bool {
		f.known[in] = true
		return true
	})
}

// global reads a property below globalcors.
func (f *springFile) global(version string, path []springName, n *document.Node) {
	switch {
	case len(path) == 0:
		f.object(n)
		return
	case path[0].is("addtosimpleurlhandlermapping"):
		return
	case !path[0].is("corsconfigurations"):
		f.warn(n, quote(path[0].text)+" is not a property of globalcors",
			"left out; there are cors-configurations and add-to-simple-url-handler-mapping")
		return
	case len(path) == 1:
		f.object(n)
		return
	}
	one := f.configuration(version, path[1], n)
	if len(path) == 2 {
		f.object(n)
		return
	}
	field := ""
	for _, name := range springFields {
		if path[2].is(strings.ToLower(name)) {
			field = name
		}
	}
	f.field(one, field, path[2:], n, true)
}

// plainKey are the characters of a key in a map of Spring Boot that need no brackets.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9-]*$`)

// configuration is the one of globalcors for a pattern.
func (f *springFile) configuration(version string, pattern springName, n *document.Node) *springCORS {
	for _, one := range f.globals[version] {
		if one.pattern == pattern.text {
			return one
		}
	}
	one := &springCORS{from: n, pattern: pattern.text, fields: map[string]springValue{}}
	f.globals[version] = append(f.globals[version], one)
	if !pattern.bracket && !plainKey.MatchString(pattern.text) {
		f.warn(n, "without brackets around it, Spring Boot leaves characters out of "+quote(pattern.text),
			`carried over as it is meant; write "[`+pattern.text+`]" there`)
	}
	return one
}

// field reads a field of a configuration; field is "" if there is none of that name. Where
// Spring Boot binds it, a text with commas is a list.
func (f *springFile) field(one *springCORS, field string, path []springName, n *document.Node, commas bool) {
	switch {
	case field == "":
		if len(path) == 1 {
			f.warn(n, quote(path[0].text)+" is not a field of a CorsConfiguration",
				"left out; the fields are "+strings.Join(springFields, ", "))
		}
	case len(path) > 1: // an element of a list by its index
		if _, err := strconv.Atoi(path[1].text); err == nil {
			value := one.fields[field]
			one.fields[field] = springValue{at: cmp.Or(value.at, n), values: append(value.values, n)}
		}
	case n.Kind == document.Object:
		f.warn(n, "is an object", "left out but for elements by their index")
	case n.Kind == document.List:
		one.fields[field] = springValue{at: n, values: n.Elements}
	case given(n) && isSpringList(field) && commas && !strings.Contains(n.Text, "${"):
		one.fields[field] = springValue{n, f.splitOrigins(n), true}
		if strings.Contains(n.Text, "[") && strings.Contains(n.Text, ",") {
			f.warn(n, "Spring Boot splits a text at every comma, also at those in brackets",
				"carried over as it is meant; write an element of a list there")
		}
	case given(n):
		one.fields[field] = springValue{at: n, values: []*document.Node{n}}
	}
}

// isSpringList reports whether a field is a list.
func isSpringList(field string) bool {
	return strings.HasSuffix(field, "s") && field != "allowCredentials"
}

// splitOrigins splits a text at the commas that are in no brackets.
func (c *conversion) splitOrigins(n *document.Node) (parts []*document.Node) {
	if n.Kind != document.String {
		return []*document.Node{n}
	}
	var joined *document.Node
	for _, part := range c.split(n) {
		if joined != nil {
			joined.Text += "," + part.Text
		} else {
			joined = part
			parts = append(parts, part)
		}
		if strings.Count(joined.Text, "[") <= strings.Count(joined.Text, "]") {
			joined = nil
		}
	}
	return parts
}

// route reads the configuration in the metadata of a route, which applies to the first
// pattern of its first predicate for paths.
func (f *springFile) route(n *document.Node) {
	one := &springCORS{route: n.Get("id").Scalar(), pattern: "/**", fields: map[string]springValue{}}
	f.filters(n.Get("filters"))
	for _, p := range properties(n, nil) {
		rest, ok := p.below("metadata")
		if !ok || len(rest) == 0 || rest[0].text != "cors" {
			continue
		}
		if rest = rest[1:]; one.from == nil {
			one.from = p.Node
		}
		f.foundOnce(p.Node, "the CORS configuration of the route "+quote(one.route))
		switch {
		case len(rest) == 0:
			f.object(p.Node)
		case rest[0].text != "allowPrivateNetwork" && slices.Contains(springFields, rest[0].text):
			f.field(one, rest[0].text, rest, p.Node, false)
		default:
			f.field(one, "", rest, p.Node, false)
		}
	}
	if one.from == nil {
		return
	}
	one.order, _ = strconv.Atoi(n.Get("order").Scalar())
	for _, predicate := range n.Get("predicates").List() {
		if pattern := springPredicate(predicate); pattern != "" {
			one.pattern = pattern
			break
		}
	}
	f.routes = append(f.routes, one)
}

// springPredicate is the first pattern of a predicate for paths; "" if it isn't one.
func springPredicate(n *document.Node) string {
	if patterns, isPath := strings.CutPrefix(n.String(), "Path="); isPath {
		pattern, _, _ := strings.Cut(patterns, ",")
		return strings.TrimSpace(pattern)
	}
	if n.Get("name").String() != "Path" {
		return ""
	}
	for _, m := range members(n.Get("args")) {
		if list := m.Value.List(); len(list) > 0 {
			return list[0].String()
		}
		if m.Value.Kind == document.String {
			pattern, _, _ := strings.Cut(m.Value.Text, ",")
			return strings.TrimSpace(pattern)
		}
	}
	return ""
}

// filters warns of filters that set CORS headers.
func (f *springFile) filters(list *document.Node) {
	for _, n := range list.List() {
		name, value, _ := strings.Cut(n.String(), "=")
		if (strings.HasPrefix(name, "Add") || strings.HasPrefix(name, "Set")) && corsHeader.MatchString(value) {
			f.foundOnce(n, "sets a CORS header")
			f.warn(n, "sets a CORS header beside the configuration, which isn't read",
				"left out; write a policy for what it does")
		}
	}
}

// all are the configurations in the order in which they are tried. Those of globalcors whose
// pattern a route has are none.
func (f *springFile) all() []*springCORS {
	list := slices.Clone(f.routes)
	slices.SortStableFunc(list, func(a, b *springCORS) int { return a.order - b.order })
	var routes []*springCORS
	for _, one := range list {
		same := func(other *springCORS) bool { return other.pattern == one.pattern }
		if i := slices.IndexFunc(routes, same); i >= 0 {
			routes[i] = one // the last of them is kept, in the place of the first
			continue
		}
		routes = append(routes, one)
	}
	newer, older := f.globals[springPaths[0]], f.globals[springPaths[1]]
	if len(newer) > 0 && len(older) > 0 {
		f.warn(older[0].from, "has no effect where spring.cloud.gateway.server.webflux.globalcors is known, in line "+
			line(newer[0].from), "left out")
	} else {
		newer = append(newer, older...)
	}
	list = routes
	for _, one := range newer {
		if !slices.ContainsFunc(routes, func(route *springCORS) bool { return route.pattern == one.pattern }) {
			list = append(list, one)
		}
	}
	return list
}

// override puts what another document sets in the place of what this one does.
func (f *springFile) override(other *springFile) {
	f.basePath = cmp.Or(other.basePath, f.basePath)
	if other.hasRoutes {
		f.routes = other.routes
	}
	for version, list := range other.globals {
		for _, one := range list {
			i := slices.IndexFunc(f.globals[version], func(own *springCORS) bool { return own.pattern == one.pattern })
			if i < 0 {
				f.globals[version] = append(f.globals[version], one)
				continue
			}
			for field, value := range one.fields {
				f.globals[version][i].fields[field] = value
			}
		}
	}
}

// springInForce are the configurations that apply: those of the documents without a
// profile, or, if there are none, of the only profile that has any.
func (c *conversion) springInForce(files []*springFile) []*springCORS {
	always := &springFile{conversion: c, globals: map[string][]*springCORS{}}
	var profiles []*springFile
	for _, f := range files {
		same := func(other *springFile) bool { return other.profile == f.profile }
		switch i := slices.IndexFunc(profiles, same); {
		case f.profile == "":
			always.override(f)
		case i >= 0:
			profiles[i].override(f)
		case len(f.routes)+len(f.globals) > 0:
			profiles = append(profiles, f)
		}
	}
	switch inForce := always.all(); {
	case len(inForce) > 0:
		for _, f := range profiles {
			c.warn(f.all()[0].from, "applies with the profile "+quote(f.profile)+", in place of what applies otherwise",
				"left out; convert it on its own for where that profile is active")
		}
	case len(profiles) == 1:
		inForce = profiles[0].all()
		c.warn(inForce[0].from, "applies only with the profile "+quote(profiles[0].profile), "carried over")
		always.basePath = cmp.Or(profiles[0].basePath, always.basePath)
		return withBasePath(inForce, always.basePath)
	case len(profiles) > 1:
		c.fail("has CORS for several profiles, and none that always applies",
			"give a file with the documents of one profile alone")
	default:
		return nil
	}
	return withBasePath(always.all(), always.basePath)
}

// withBasePath puts the path of the application before the patterns, which are for what
// follows it.
func withBasePath(list []*springCORS, base string) []*springCORS {
	for _, one := range list {
		one.path = base + "/" + strings.TrimPrefix(one.pattern, "/")
	}
	return list
}

var springSegment = regexp.MustCompile(`^/([A-Za-z0-9_.-]+)`)

// springPolicy reads a configuration.
func (c *conversion) springPolicy(one *springCORS) *draft {
	name := cmp.Or(one.route, "cors")
	if found := springSegment.FindStringSubmatch(one.pattern); one.route == "" && found != nil {
		name += "-" + found[1]
	}
	d := newDraft(one.from, name, "")
	d.AllowCredentials = c.springBoolean(one.fields["allowCredentials"].at)
	d.AllowPrivateNetwork = c.springBoolean(one.fields["allowPrivateNetwork"].at)
	d.set("allow_methods", c.springStar(c.springTexts(one, "allowedMethods")))
	if len(one.fields["allowedMethods"].values) == 0 {
		d.setNames("allow_methods", []string{"GET", "HEAD"}, nil)
	}
	headers := c.springStar(c.springTexts(one, "allowedHeaders"))
	if len(headers) == 1 && isStar(headers[0]) {
		headers = append(headers, c.as(headers[0], headers[0].Offset, "Authorization")) // it repeats what is asked for
	}
	d.set("allow_headers", headers)
	d.set("expose_headers", c.star(d, "expose_headers", c.springTexts(one, "exposedHeaders")))
	if n := one.fields["maxAge"].at; n != nil && !c.placeholder(n) {
		c.setMaxAge(d, n)
	}
	for _, origin := range c.springTexts(one, "allowedOrigins") {
		if isStar(origin) {
			d.addOrigin(cors.OriginEntry{Text: "*"}, origin)
			continue
		}
		// They are compared without regard to case.
		text := strings.TrimSuffix(strings.ToLower(origin.Text), "/")
		c.matchOrigin(d, origin, originMatcher{kind: exactMatcher, text: text})
	}
	for _, pattern := range c.springTexts(one, "allowedOriginPatterns") {
		c.springPattern(d, pattern)
	}
	return d
}

// placeholder reports whether a value has one, and says so.
func (c *conversion) placeholder(n *document.Node) bool {
	if !strings.Contains(n.Text, "${") {
		return false
	}
	c.warnOf(problem.Placeholder, n, quote(n.Text)+" is filled in when the application starts, and not in the file",
		"left out; write the value itself and convert again, or add it to the configuration")
	return true
}

// springTexts are the texts of a field, without placeholders.
func (c *conversion) springTexts(one *springCORS, field string) (list []*document.Node) {
	for _, n := range c.ofKind(document.String, one.fields[field].values, "is not a string") {
		switch {
		case c.placeholder(n):
		case strings.TrimSpace(n.Text) == "":
			c.warn(n, "is empty", "left out")
		case strings.HasPrefix(field, "allowedOrigin") && !one.fields[field].split: // Spring itself does that
			list = append(list, c.splitOrigins(n)...)
		default:
			list = append(list, n)
		}
	}
	return list
}

// springStar is a list in which "*" makes the others superfluous.
func (c *conversion) springStar(names []*document.Node) []*document.Node {
	if i := slices.IndexFunc(names, isStar); i >= 0 {
		return []*document.Node{names[i]}
	}
	return names
}

// springBoolean is the value of true or false, which may be a text.
func (c *conversion) springBoolean(n *document.Node) bool {
	if n == nil || c.placeholder(n) {
		return false
	}
	if value, err := strconv.ParseBool(n.String()); err == nil {
		return value
	}
	return c.boolean(n, false)
}

// springPattern adds what a pattern allows: a star stands for any text, and ports in
// brackets for any of them.
func (c *conversion) springPattern(d *draft, at *document.Node) {
	pattern := strings.TrimSuffix(strings.TrimSpace(at.Text), "/")
	if pattern == "*" {
		d.addOrigin(cors.OriginEntry{Text: "*"}, at)
		return
	}
	origin, ports := pattern, []string{""}
	if found := higressPorts.FindStringSubmatch(pattern); found != nil {
		origin, ports = found[1], strings.Split(":"+strings.ReplaceAll(found[2], ",", ",:"), ",")
	}
	for _, port := range ports {
		if !strings.Contains(origin, "*") {
			d.addOrigin(cors.OriginEntry{Text: origin + port}, at)
			continue
		}
		expr := strings.ReplaceAll(regexp.QuoteMeta(origin), `\*`, ".*") + strings.ReplaceAll(port, ":*", "(:[0-9]+)?")
		c.matchOrigin(d, at, originMatcher{kind: regexMatcher, text: expr})
	}
}

var springPathPart = regexp.MustCompile(`/\*\*|/?\{\*[^}]*\}|\{[^{}:]+:[^{}]+\}|\{[^{}]*\}|\*\*|\*|\?|[^{*?/]+|/`)

// springPath is the path of a PathPattern.
func springPath(pattern string) envoyPath {
	pattern = "/" + strings.TrimPrefix(pattern, "/")
	expr := springPathPart.ReplaceAllStringFunc(pattern, func(part string) string {
		switch {
		case part == "/**", strings.Contains(part, "{*"):
			return "(/.*)?"
		case part == "**":
			return ".*"
		case part == "*":
			return "[^/]*"
		case part == "?":
			return "[^/]"
		case part[0] == '{' && strings.Contains(part, ":"):
			_, re, _ := strings.Cut(part[1:len(part)-1], ":")
			return "(?:" + re + ")"
		case part[0] == '{':
			return "[^/]+"
		}
		return regexp.QuoteMeta(part)
	})
	p := pathRegex(expr)
	if p.kind == regexPath {
		p.text = pattern
	}
	return p
}

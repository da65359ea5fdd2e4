package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// fromAWSAPIGateway reads the CORS configuration of APIs of Amazon's API Gateway: of HTTP
// APIs, and of REST APIs, which have a method OPTIONS for each path; in OpenAPI, and in
// templates of SAM and CloudFormation.
func fromAWSAPIGateway(c *conversion, documents []*document.Node) {
	c.ownHeaders = true
	a := &awsAPIs{c, newRouting(c, "API Gateway", "write policies for paths that the filter can tell apart", bySpecificity)}
	a.t.unnamed = nil // policies are called as their API
	for _, d := range documents {
		a.openAPI("api", d, false)
		if n := d.Get("CorsConfiguration"); given(n) && d.Has("ApiId", "ProtocolType") { // as the CLI prints it
			a.found(n, "the CORS configuration of the API")
			a.httpAPI(cmp.Or(d.Get("Name").String(), "api"), awsCORS{at: n, in: []*document.Node{n}, pascal: true})
		}
		a.template(d)
	}
	a.t.addDrafts()
}

// awsAPIs collects the APIs of a file.
type awsAPIs struct {
	*conversion
	t *routing
}

// An awsCORS is a CORS configuration: a field is in the first of some objects that has it.
type awsCORS struct {
	at *document.Node
	in []*document.Node
	// pascal tells that fields are written as CloudFormation does: AllowOrigins.
	pascal bool
}

// name is the name of a field as the configuration writes it.
func (s awsCORS) name(field string) string {
	if !s.pascal {
		return field
	}
	camel := spelling.Camel(field)
	return strings.ToUpper(camel[:1]) + camel[1:]
}

func (s awsCORS) get(field string) *document.Node {
	for _, n := range s.in {
		if value := n.Get(s.name(field)); value != nil {
			return value
		}
	}
	return nil
}

// unknown says which fields of the configuration are none of those that there are.
func (a *awsAPIs) unknownFields(s awsCORS, fields ...string) {
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = s.name(field)
	}
	for _, n := range s.in {
		a.unknown(n, "the CORS configuration", names...)
	}
}

// awsKinds are the resources that are APIs: the field with the CORS configuration, that with
// the definition in OpenAPI, and what the kind is called in the Globals of SAM.
var awsKinds = map[string]struct{ cors, body, globals string }{
	"AWS::Serverless::Api":     {"Cors", "DefinitionBody", "Api"},
	"AWS::Serverless::HttpApi": {"CorsConfiguration", "DefinitionBody", "HttpApi"},
	"AWS::ApiGatewayV2::Api":   {"CorsConfiguration", "Body", ""},
	"AWS::ApiGateway::RestApi": {"", "Body", ""},
}

// template reads the APIs of a template. What Globals says is for each of its kind, or for
// the one that SAM makes of the events of functions.
func (a *awsAPIs) template(d *document.Node) {
	globals := map[string]*document.Node{}
	for _, kind := range []string{"AWS::Serverless::Api", "AWS::Serverless::HttpApi"} {
		globals[kind] = d.Get("Globals", awsKinds[kind].globals, awsKinds[kind].cors)
	}
	known := map[string]bool{}
	for _, r := range stackResources([]*document.Node{d}) {
		if kind, ok := awsKinds[r.kind]; ok {
			known[r.kind] = true
			whole := a.api(r.name, r.kind, r.properties.Get(kind.cors), globals[r.kind])
			a.openAPI(r.name, r.properties.Get(kind.body), whole)
		}
		a.piece(r)
	}
	for _, kind := range []string{"AWS::Serverless::Api", "AWS::Serverless::HttpApi"} {
		if !known[kind] {
			a.api("api", kind, nil, globals[kind])
		}
	}
}

// api adds the policy of a resource by its own configuration, and by that of Globals. It
// reports whether there is one, which is for all paths that have none of their own.
func (a *awsAPIs) api(name, kind string, own, global *document.Node) bool {
	s := awsCORS{pascal: true}
	for _, n := range []*document.Node{own, global} {
		if !given(n) || isFalse(n) {
			continue
		}
		a.found(n, "the CORS configuration of the API "+quote(name))
		if n = a.resolved(n); n != nil {
			s.in = append(s.in, n)
		}
	}
	if len(s.in) == 0 {
		return false
	}
	if s.at = s.in[0]; s.at.Kind != document.Object {
		s.in = s.in[:1] // which replaces that of Globals
	}
	if kind == "AWS::Serverless::Api" {
		a.restAPI(name, s)
	} else {
		a.httpAPI(name, s)
	}
	return true
}

// piece looks for CORS in what CloudFormation has for a method or for the gateway's own
// answers.
func (a *awsAPIs) piece(r stackResource) {
	switch {
	case r.kind == "AWS::Serverless::Api":
		a.gatewayResponses(r.properties.Get("GatewayResponses"), "ResponseParameters", "Headers")
	case r.kind == "AWS::ApiGateway::GatewayResponse" && hasCORSHeader(r.properties.Get("ResponseParameters")):
		a.found(r.Node, "the CORS headers of the gateway's own answers")
	case r.kind == "AWS::ApiGateway::Method" && r.properties.Get("HttpMethod").String() == "OPTIONS":
		for _, response := range r.properties.Get("Integration", "IntegrationResponses").List() {
			if n := response.Get("ResponseParameters"); hasCORSHeader(n) {
				a.found(r.Node, "the answer to preflights for a path")
				a.warn(n, "belongs to a method of CloudFormation, whose path isn't read",
					"left out; export the API as OpenAPI with the extensions of API Gateway, and convert that")
			}
		}
	}
}

// gatewayResponses notes the CORS headers that answers of the gateway itself have.
func (a *awsAPIs) gatewayResponses(n *document.Node, path ...string) {
	for _, m := range members(n) {
		if headers := m.Value.Get(path...); hasCORSHeader(headers) {
			a.found(headers, "the CORS headers of the gateway's own answers")
		}
	}
}

// hasCORSHeader reports whether an object has a field for a CORS header.
func hasCORSHeader(n *document.Node) bool {
	return slices.ContainsFunc(members(n), func(m document.Member) bool { return corsHeader.MatchString(m.Name) })
}

// every adds a policy for all of an API.
func (a *awsAPIs) every(name string, d *draft) {
	route := &envoyRoute{from: d.from, policy: d, path: envoyPath{kind: everyPath}}
	a.t.route(name, &resource{Node: d.from, name: name}, everyHost(d.from), route)
}

// httpAPI adds the policy of an HTTP API.
func (a *awsAPIs) httpAPI(name string, s awsCORS) {
	d := newDraft(s.at, name, "")
	if isTrue(s.at) { // of SAM
		d.addOrigin(cors.OriginEntry{Text: "*"}, s.at)
		a.every(name, d)
		return
	}
	if !a.object(s.at) {
		return
	}
	a.unknownFields(s, "allow_origins", "allow_methods", "allow_headers", "expose_headers", "max_age", "allow_credentials")
	d.AllowCredentials = a.boolean(a.resolved(s.get("allow_credentials")), false)
	for _, field := range []string{"allow_methods", "allow_headers", "expose_headers"} {
		d.set(field, a.star(d, field, a.awsNames(s.get(field))))
	}
	a.setMaxAge(d, a.resolved(s.get("max_age")))
	for _, origin := range a.awsNames(s.get("allow_origins")) {
		switch scheme, host, _ := strings.Cut(origin.Text, "://"); {
		case origin.Text == "*":
			d.addOrigin(cors.OriginEntry{Text: "*"}, origin)
		case host == "*" && slices.Contains(bothSchemes, scheme):
			a.matchOrigin(d, origin, originMatcher{kind: regexMatcher, text: scheme + "://.*"})
		case strings.Contains(origin.Text, "*"):
			a.warn(origin, quote(origin.Text)+` has a star where API Gateway refuses it: there are "*", "https://*" and "http://*"`,
				"left out; to allow what it means, add it to allow_origins")
		default:
			d.addOrigin(cors.OriginEntry{Text: origin.Text}, origin)
		}
	}
	a.every(name, d)
}

// awsNames are the texts of a list, which some write as one with commas, or in the quotes that
// REST APIs need.
func (a *awsAPIs) awsNames(n *document.Node) (names []*document.Node) {
	for _, text := range a.resolvedTexts(n) {
		if len(text.Text) > 1 && strings.HasPrefix(text.Text, "'") && strings.HasSuffix(text.Text, "'") {
			a.warn(text, "has quotes in it, which HTTP APIs don't take off", "carried over without them")
			text = a.as(text, text.Offset, strings.Trim(text.Text, "'"))
		}
		if strings.Contains(text.Text, ",") {
			a.warn(text, "is a list in one string", "carried over as a list")
		}
		names = append(names, a.joined(text)...)
	}
	return names
}

// restAPI adds the policy of a REST API of SAM, which makes a method OPTIONS of it for each
// path.
func (a *awsAPIs) restAPI(name string, s awsCORS) {
	d := newDraft(s.at, name, "")
	if s.at.Kind == document.String {
		a.restOrigin(d, s.at)
		d.setNames("allow_methods", []string{"*"}, nil)
		a.every(name, d)
		return
	}
	if !a.object(s.at) {
		return
	}
	a.unknownFields(s, "allow_origin", "allow_methods", "allow_headers", "max_age", "allow_credentials")
	d.AllowCredentials = a.boolean(a.resolved(s.get("allow_credentials")), false)
	a.restFields(d, s.get)
	if !given(s.get("allow_methods")) {
		d.setNames("allow_methods", []string{"*"}, nil) // the methods of each path: others get no answer
	}
	if origin := s.get("allow_origin"); given(origin) {
		a.restOrigin(d, origin)
	} else {
		d.addOrigin(cors.OriginEntry{Text: "*"}, s.at)
	}
	a.every(name, d)
}

// restFields reads the values of headers.
func (a *awsAPIs) restFields(d *draft, get func(field string) *document.Node) {
	for _, field := range []string{"allow_methods", "allow_headers", "expose_headers"} {
		if n := a.literal(get(field)); n != nil {
			d.set(field, a.star(d, field, a.joined(n)))
		}
	}
	if n := get("max_age"); given(n) && n.Kind == document.Number {
		a.setMaxAge(d, n)
	} else if n := a.literal(n); n != nil {
		a.setMaxAge(d, n)
	}
}

// restOrigin reads the value of Access-Control-Allow-Origin, which is sent as it stands.
func (a *awsAPIs) restOrigin(d *draft, n *document.Node) {
	if n = a.literal(n); n == nil {
		return
	}
	if n.Text == "*" {
		d.addOrigin(cors.OriginEntry{Text: "*"}, n)
		return
	}
	a.matchOrigin(d, n, originMatcher{kind: exactMatcher, text: n.Text})
}

// awsExpression begins what is no text in quotes, but taken from elsewhere.
var awsExpression = regexp.MustCompile(`^(integration|method|stageVariables|context)\.`)

// literal is a text in single quotes, without them; nil of anything else, which is said.
func (a *awsAPIs) literal(n *document.Node) *document.Node {
	n = a.resolved(n)
	if !given(n) {
		return nil
	}
	text, quoted := n.Text, false
	if len(text) > 1 && strings.HasPrefix(text, "'") && strings.HasSuffix(text, "'") {
		text, quoted = text[1:len(text)-1], true
	}
	switch {
	case n.Kind != document.String:
		a.warn(n, "is not a string", "left out")
		return nil
	case awsExpression.MatchString(text):
		a.warnOf(problem.Placeholder, n, quote(text)+" is filled in when a request comes, and not in the file",
			"left out; add the value to the configuration")
		return nil
	case !quoted:
		a.warn(n, quote(text)+" has no single quotes around it, so API Gateway refuses it", "carried over as it is")
	case text == "":
		a.warn(n, "is empty", "left out")
		return nil
	}
	return a.as(n, n.TextMap().Offset(len(n.Text)-len(strings.TrimPrefix(n.Text, "'"))), text)
}

// openAPI reads a definition in OpenAPI. An API with a policy as a whole has it for the paths
// that have none of their own.
func (a *awsAPIs) openAPI(name string, d *document.Node, whole bool) {
	if !d.Has("openapi", "swagger") {
		return
	}
	if n := d.Get("x-amazon-apigateway-cors"); given(n) {
		a.found(n, "the CORS configuration of the API")
		if n = a.resolved(n); n != nil && !whole {
			whole = true
			a.httpAPI(name, awsCORS{at: n, in: []*document.Node{n}})
		}
	}
	a.gatewayResponses(d.Get("x-amazon-apigateway-gateway-responses"), "responseParameters")
	var routes []*envoyRoute
	for _, m := range members(d.Get("paths")) {
		policy := a.pathPolicy(name, awsSegment.FindString(m.Name), m.Value)
		if path := a.as(m.Value, m.Offset, m.Name); strings.HasPrefix(m.Name, "/") && (policy != nil || !whole) {
			routes = append(routes, &envoyRoute{from: path, policy: policy, path: awsPath(m.Name)})
		}
	}
	if !whole {
		widenTemplates(routes)
	}
	for _, route := range routes {
		a.t.route(name, &resource{Node: route.from, name: name}, everyHost(d), route)
	}
}

// headersOf are the CORS headers that an operation's integration sets, without the beginning
// of their names.
func headersOf(operation *document.Node) map[string]*document.Node {
	headers := map[string]*document.Node{}
	for _, response := range members(operation.Get("x-amazon-apigateway-integration", "responses")) {
		for _, m := range members(response.Value.Get("responseParameters")) {
			name, isHeader := strings.CutPrefix(strings.ToLower(m.Name), "method.response.header.access-control-")
			if isHeader && headers[name] == nil {
				headers[name] = m.Value
			}
		}
	}
	return headers
}

// awsSegment is the first segment of a path that is no variable.
var awsSegment = regexp.MustCompile(`[A-Za-z0-9_.-]+`)

// pathPolicy is the policy of a path by its method OPTIONS; nil if that sets no CORS headers.
func (a *awsAPIs) pathPolicy(name, section string, path *document.Node) *draft {
	options := path.Get("options")
	a.templates(options)
	headers := headersOf(options)
	if len(headers) > 0 {
		a.found(options, "the answer to preflights for a path")
	}
	origin := headers["allow-origin"]
	var d *draft
	if origin != nil {
		d = newDraft(options, name, section)
		if n := headers["allow-credentials"]; n != nil {
			literal := a.literal(n)
			d.AllowCredentials = literal != nil && literal.Text == "true"
			if literal != nil && !d.AllowCredentials {
				a.warn(n, quote(literal.Text)+` isn't "true", which is all that browsers know`, "carried over as false")
			}
		}
		a.restFields(d, func(field string) *document.Node { return headers[strings.ReplaceAll(field, "_", "-")] })
		a.restOrigin(d, origin)
	}
	for _, m := range members(path) {
		actual := headersOf(m.Value)
		if m.Value == options || len(actual) == 0 {
			continue
		}
		a.found(m.Value, "sets CORS headers")
		if n := actual["allow-origin"]; n != nil && (origin == nil || n.Text != origin.Text) {
			a.warn(n, "is another origin than that of the method OPTIONS, if there is one, and a policy has one list for both",
				"left out; add it to allow_origins if its pages may read the answers")
		}
	}
	return d
}

// templates warns of headers that templates of an operation set.
func (a *awsAPIs) templates(operation *document.Node) {
	operation.Get("x-amazon-apigateway-integration", "responses").Walk(func(n *document.Node) bool {
		if n.Kind == document.String && strings.Contains(n.Text, "responseOverride") && corsHeader.MatchString(n.Text) {
			a.found(n, "sets CORS headers by a template")
			a.warn(n, "sets CORS headers by a template, which isn't read", "left out; add what it allows to the configuration")
		}
		return true
	})
}

// awsPath is a path of a REST API: {name} is a segment, and {name+} is all that follows.
func awsPath(path string) envoyPath {
	head, variable, found := strings.Cut(path, "{")
	switch {
	case !found:
		return envoyPath{kind: exactPath, text: path}
	case strings.HasSuffix(variable, "+}") && head == "/":
		return envoyPath{kind: everyPath}
	case strings.HasSuffix(variable, "+}") && !strings.Contains(variable, "{"):
		return envoyPath{kind: textPrefix, text: head}
	}
	p := pathTemplate(strings.ReplaceAll(path, "+}", "=**}"))
	p.text = path
	return p
}

// widenTemplates makes prefixes of paths with variables where no other path of the API is
// below that has another policy: a path that the API doesn't have gets no answer.
func widenTemplates(routes []*envoyRoute) {
	if !slices.ContainsFunc(routes, func(r *envoyRoute) bool { return r.policy.key() != routes[0].policy.key() }) {
		for _, r := range routes {
			r.path = envoyPath{kind: everyPath}
		}
		return
	}
	for _, r := range routes {
		if r.path.kind != regexPath {
			continue
		}
		head, _, _ := strings.Cut(r.path.text, "/{")
		prefix := envoyPath{kind: segmentPrefix, text: head}
		if head == "" {
			prefix = envoyPath{kind: everyPath}
		}
		if !slices.ContainsFunc(routes, func(other *envoyRoute) bool {
			return other.policy.key() != r.policy.key() && (other.path.kind == everyPath || prefix.kind == everyPath ||
				other.path.text == head || strings.HasPrefix(other.path.text, head+"/"))
		}) {
			r.path = prefix
		}
	}
}

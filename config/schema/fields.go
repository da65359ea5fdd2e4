package schema

import "strconv"

// A Field is a field of the configuration format. Its description serves the
// schema and the documentation alike.
type Field struct {
	// Name is the field's name in snake_case. Its lowerCamelCase spelling is
	// accepted too.
	Name string
	// Types are the JSON types that its value may have. Null un-sets a field, so what is
	// required may not be null where it is required.
	Types []string
	// Required says, in Markdown, when the field must be there; empty if never.
	Required string
	// Default is what a field that is left out stands for, as JSON; empty if no
	// value does.
	Default string
	// Otherwise says, in Markdown, what goes without the field where no Default does.
	Otherwise string
	// Description says what the field is for, in Markdown.
	Description string
	// Examples are values, as JSON. An editor offers them.
	Examples []string

	// rules are the schema's keywords beside the type.
	rules object
	// inDefs says that the schema has the field in $defs, because it occurs more than
	// once, be it in its two spellings.
	inDefs bool
}

func inDefs(fields ...Field) []Field {
	for i := range fields {
		fields[i].inDefs = true
	}
	return fields
}

// An Entry is a form that an entry of allow_origins may have.
type Entry struct {
	// Example is such an entry, as JSON.
	Example string
	// Allows says, in Markdown, which origins it allows.
	Allows string
}

// Top are the fields at the top, unless those of one policy are there.
var Top = []Field{
	{
		Name: "policies", Types: []string{"array"}, Required: "yes, unless there is a `policy_source`",
		Description: "the list of policies, at least one",
		Examples:    []string{`[{"name": "shop", "match": {"hosts": ["shop.example.com"]}, "allow_origins": ["https://shop.example"]}]`},
		rules:       join(object{{"minItems", 1}}, list("policy")),
	},
	{
		Name: "defaults", Types: []string{"object"},
		Description: "a policy without `name` and `match`: each policy inherits what it doesn't set itself; `null`, `[]` and `false` un-set",
		Examples:    []string{`{"allow_methods": ["PUT", "DELETE"], "max_age": "10m"}`},
		rules:       fieldsOf(Inherited, "allow_origins"),
	},
	policySource,
}

var policySource = Field{
	Name: "policy_source", Types: []string{"object", "null"},
	inDefs:      true,
	Description: "where to fetch policies while the filter runs",
	Examples:    []string{`{"cluster": "policies", "path": "/cors.json"}`},
	rules:       join(fieldsOf(Source), object{{"required", []string{"cluster"}}}),
}

// Policy are the fields of a policy.
var Policy = append(inDefs(
	Field{
		Name: "name", Types: []string{"string", "null"}, Required: "in `policies`",
		Description: "1 to 64 letters, digits, `_`, `.` and `-`; unique",
		Examples:    []string{`"shop"`},
		rules: matches(`[a-zA-Z0-9_.-]{1,64}`,
			"is not a name; write 1 to 64 letters, digits, dots, hyphens and underscores"),
	},
	Field{
		Name: "match", Types: []string{"object", "null"},
		Otherwise:   "every request",
		Description: "which requests the policy is for: those of its hosts and paths, and those of its routes",
		Examples:    []string{`{"hosts": ["api.example.com"], "paths": [{"prefix": "/v1"}]}`},
		rules:       fieldsOf(Match),
	},
), Inherited...)

// Inherited are the fields of a policy that it may inherit from the defaults.
var Inherited = inDefs(
	Field{
		Name: "allow_origins", Types: []string{"array", "null"}, Required: "yes, unless there is an `origin_lookup`, or `mode` is `off`",
		Description: "the origins whose pages may read answers, at least one",
		Examples:    []string{`["https://app.example"]`},
		rules:       list("origin"),
	},
	Field{
		Name: "allow_methods", Types: []string{"array", "null"}, Default: `[]`,
		Description: "methods beside GET, HEAD and POST, or `\"*\"`; they compare by case, so `patch` isn't `PATCH`",
		Examples:    []string{`["PUT", "PATCH", "DELETE"]`, `["*"]`},
		rules:       namesOf("method"),
	},
	Field{
		Name: "allow_headers", Types: []string{"array", "null"}, Default: `[]`,
		Description: "request headers, or `\"*\"`, which doesn't cover `Authorization`: list it beside",
		Examples:    []string{`["Content-Type"]`, `["*"]`, `["*", "Authorization"]`},
		rules:       namesOf("request_header"),
	},
	Field{
		Name: "expose_headers", Types: []string{"array", "null"}, Default: `[]`,
		Description: "response headers that pages may read, or `\"*\"`",
		Examples:    []string{`["X-Request-Id"]`, `["*"]`},
		rules:       namesOf("response_header"),
	},
	Field{
		Name: "allow_credentials", Types: []string{"boolean", "null"}, Default: `false`,
		Description: "allows cookies, HTTP authentication and client certificates",
		Examples:    []string{`true`},
	},
	Field{
		Name: "max_age", Types: []string{"integer", "string", "null"}, Otherwise: "no header",
		Description: "how long browsers remember a preflight: seconds or a duration (`\"10m\"`), at most a day; Chromium caps it at two hours",
		Examples:    []string{`"10m"`, `600`},
		rules: join(between(0, 86400),
			matches(`\+?`+duration+`|-`+noTime,
				`is not a duration; write seconds, such as 600, or a duration, such as "10m"`)),
	},
	Field{
		Name: "allow_private_network", Types: []string{"boolean", "null"}, Default: `false`,
		Description: "answers `Access-Control-Request-Private-Network`",
		Examples:    []string{`true`},
	},
	Field{
		Name: "unmatched_preflights", Types: []string{"string", "null"}, Default: `"reject"`,
		Description: "`reject` (403) or `forward`, for preflights that aren't allowed; Istio's `IGNORE` and `FORWARD` mean the same",
		Examples:    []string{`"reject"`, `"forward"`},
		rules: matches(anyCase("reject", "ignore", "forward"),
			`is not one of reject, forward; write "reject" or "forward"`),
	},
	Field{
		Name: "preflight_status", Types: []string{"integer", "null"}, Default: `204`,
		Description: "200 or 204",
		Examples:    []string{`200`},
		rules:       oneOf(200, 204),
	},
	Field{
		Name: "upstream_cors_headers", Types: []string{"string", "null"}, Default: `"replace"`,
		Description: "`keep` leaves an answer alone if the upstream sent an `Access-Control-Allow-Origin`",
		Examples:    []string{`"keep"`},
		rules:       oneOf("replace", "keep"),
	},
	Field{
		Name: "origin_lookup", Types: []string{"object", "null"},
		Description: "where to look up, while a request runs, an origin that `allow_origins` lacks",
		Examples:    []string{`{"cluster": "policies"}`},
		rules:       join(fieldsOf(Lookup), object{{"required", []string{"cluster"}}}),
	},
	Field{
		Name: "debug", Types: []string{"boolean", "null"}, Default: `false`,
		Description: "a preflight that is rejected for its method or a header gets the policy's lists and the reason in `x-cors-reason`, rather than 403, so that the browser's console names what is missing; no browser gets more by it",
		Examples:    []string{`true`},
	},
	Field{
		Name: "mode", Types: []string{"string", "null"}, Default: `"enforce"`,
		Description: "`shadow` decides, counts and compares with the answers, and changes nothing; `off` leaves what the policy is for untouched, and allows no other field than `name` and `match`",
		Examples:    []string{`"shadow"`},
		rules:       oneOf("enforce", "shadow", "off"),
	},
)

// Match are the fields of a policy's match.
var Match = []Field{
	{
		Name: "hosts", Types: []string{"array", "null"}, Otherwise: "every host",
		Description: "`api.example.com`, or `*.example.com` for its subdomains at any depth; without regard to case, to one dot at the end, and to the port unless the entry has one",
		Examples:    []string{`["api.example.com"]`, `["*.example.com", "localhost:8080"]`},
		rules:       list("host"),
	},
	{
		Name: "paths", Types: []string{"array", "null"}, Otherwise: "every path",
		Description: "`{\"exact\": \"/v1\"}` or `{\"prefix\": \"/v1\"}`; a prefix ends at a segment: `/v1` covers `/v1/x` and not `/v12`, and a slash at its end makes no difference",
		Examples:    []string{`[{"prefix": "/v1"}]`},
		rules:       list("path"),
	},
	{
		Name: "routes", Types: []string{"array", "null"},
		Description: "names of Envoy routes",
		Examples:    []string{`["checkout"]`},
		rules:       object{{"items", object{{"type", "string"}, {"minLength", 1}}}},
	},
}

// Path are the fields of an entry of match.paths, which has one of them.
var Path = []Field{
	{
		Name: "exact", Types: []string{"string"},
		Description: "the path, without a query",
		Examples:    []string{`"/v1/users"`},
		rules:       path(),
	},
	{
		Name: "prefix", Types: []string{"string"},
		Description: "the path and all below it: `/v1` covers `/v1/x` and not `/v12`",
		Examples:    []string{`"/v1"`},
		rules:       path(),
	},
}

// Regex are the fields of an entry of allow_origins that is an object.
var Regex = []Field{
	{
		Name: "regex", Types: []string{"string"}, Required: "yes",
		Description: "a regular expression (RE2) that the whole origin must match",
		Examples:    []string{`"https://app-[0-9]+\\.example"`},
		rules:       object{{"minLength", 1}},
	},
}

// Entries are the forms of an entry of allow_origins.
var Entries = []Entry{
	{`"https://app.example"`, "this origin"},
	{`"https://*.example.com"`, "the subdomains at any depth, not the domain itself"},
	{`"http://localhost:*"`, "any port, and none"},
	{`"https://*.example.com:*"`, "both"},
	{`{"regex": "https://app-[0-9]+\\.example"}`, "what matches as a whole (RE2)"},
	{`"capacitor://localhost"`,
		"pages of an app or an extension, which have schemes of their own: `app://.`, `file://`, `safari-web-extension://140BB581-…`; their hosts keep their case"},
	{`"null"`, "pages without an origin: sandboxed frames, files"},
	{`"*"`, "every origin, whatever the header says"},
}

// Source are the fields of policy_source.
var Source = append(endpoint("/", "/cors.json"), []Field{
	{
		Name: "interval", Types: []string{"number", "string", "null"}, Default: `"10s"`,
		Description: "from one fetch to the next, 10 % more or less; from 100 ms to a day",
		Examples:    []string{`"10s"`, `"1m"`},
		rules:       seconds(0.1, 86400, "10s"),
	},
	{
		Name: "timeout", Types: []string{"number", "string", "null"}, Default: `"2s"`,
		Description: "how long a fetch may take, from 10 ms to a minute",
		Examples:    []string{`"2s"`, `"500ms"`},
		rules:       seconds(0.01, 60, "2s"),
	},
	{
		Name: "wait", Types: []string{"number", "string", "null"}, Otherwise: "off",
		Description: "how long the source may hold a fetch until it has a new document, from 1 s to 5 minutes; " +
			"`timeout` comes on top",
		Examples: []string{`"30s"`},
		rules:    seconds(1, 300, "30s"),
	},
}...)

// Lookup are the fields of origin_lookup.
var Lookup = append(endpoint("/v1/lookup", "/v1/lookup"), []Field{
	{
		Name: "timeout", Types: []string{"number", "string", "null"}, Default: `"500ms"`,
		Description: "how long an answer may take, from 10 ms to a minute",
		Examples:    []string{`"500ms"`},
		rules:       seconds(0.01, 60, "500ms"),
	},
	{
		Name: "ttl", Types: []string{"number", "string", "null"}, Default: `"1m"`,
		Description: "how long an answer is remembered whose `Cache-Control` has no `max-age`, up to a day",
		Examples:    []string{`"1m"`},
		rules:       seconds(0, 86400, "1m"),
	},
	{
		Name: "stale", Types: []string{"number", "string", "null"}, Default: `"1h"`,
		Description: "how long a remembered answer serves beyond that, while it is asked for again or that fails; " +
			"up to a week",
		Examples: []string{`"1h"`},
		rules:    seconds(0, 604800, "1h"),
	},
	{
		Name: "max_entries", Types: []string{"integer", "null"}, Default: `10000`,
		Description: "how many answers a worker remembers, from 1 to 100000; those of policies that ask the same are " +
			"remembered together",
		Examples: []string{`100000`},
		rules:    between(1, 100000),
	},
}...)

// endpoint are the fields that say what to ask, with the default of its path and an example.
func endpoint(path, example string) []Field {
	return []Field{
		{
			Name: "cluster", Types: []string{"string"}, Required: "yes",
			Description: "the cluster to ask",
			Examples:    []string{`"policies"`},
			rules:       join(object{{"minLength", 1}}, atMost(4096)),
		},
		{
			Name: "path", Types: []string{"string", "null"}, Default: strconv.Quote(path),
			Description: "the path, with a query if need be",
			Examples:    []string{strconv.Quote(example)},
			rules: join(matches(`/[!-~]*`, "is not a path; write a path such as "+strconv.Quote(example)),
				atMost(4096)),
		},
		{
			Name: "authority", Types: []string{"string", "null"}, Otherwise: "the cluster's name",
			Description: "the Host header",
			Examples:    []string{`"policies.internal"`},
			rules: join(matches(`[!"$-.0->A-~]+`, `is not a host; write a host such as "policies.internal"`),
				atMost(4096)),
		},
	}
}

package cors

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Config is what an operator writes down as a CORS policy. The zero value
// allows nothing, and isn't valid.
type Config struct {
	// Name identifies the policy in messages; it may be empty.
	Name string
	// AllowOrigins are the origins whose pages may read answers. At least one.
	//
	// Permitted: "https://app.example", "http://localhost:8080", "http://[::1]:8080",
	// "https://*.example.com" (subdomains at any depth, not the domain itself),
	// "http://localhost:*" (any port, and none), both wildcards together,
	// "chrome-extension://…", "null", "*" (every origin).
	//
	// Prohibited: "app.example" (no scheme), "https://app.example/" (a path),
	// "https://App.example", "https://app.example:443" (what browsers never send),
	// "https://app-*.example" (a wildcard within a label).
	AllowOrigins []OriginEntry
	// AllowOriginsOf is a policy whose origins are to be used in place of
	// AllowOrigins, which must be empty then. It must have been compiled with the
	// same AllowCredentials. Policies that share thousands of origins so share
	// their memory.
	AllowOriginsOf *Policy
	// AllowMethods are the methods that pages may use beside GET, HEAD and POST,
	// or "*". Methods compare by case.
	AllowMethods []string
	// AllowHeaders are the names of the request headers that pages may set, or
	// "*", which covers all but Authorization, or "*" and "Authorization".
	AllowHeaders []string
	// ExposeHeaders are the names of the response headers that pages may read, or "*".
	ExposeHeaders []string
	// AllowCredentials lets pages send cookies, HTTP authentication and client
	// certificates, and read the answers.
	AllowCredentials bool
	// MaxAge is how many seconds browsers may remember a preflight's answer, from
	// 0 (not at all) to MaxMaxAge. Nil leaves it to the browser (5 seconds).
	MaxAge *int
	// AllowPrivateNetwork lets pages of public sites reach this private network.
	AllowPrivateNetwork bool
	// ForwardUnmatchedPreflights forwards preflights that the policy doesn't allow
	// to the upstream, rather than answering them with 403.
	ForwardUnmatchedPreflights bool
	// PreflightStatus is the status of an allowed preflight's answer, 200 or 204.
	// Zero means 204.
	PreflightStatus int
	// KeepUpstreamHeaders leaves an upstream's answer alone if it has an
	// Access-Control-Allow-Origin of its own.
	KeepUpstreamHeaders bool
	// Shadow makes the policy decide without changing anything.
	Shadow bool
}

// An OriginEntry is an entry of Config.AllowOrigins.
type OriginEntry struct {
	// Text is an origin or a pattern, or the regex if Regex is set.
	Text string
	// Regex makes Text a regular expression (RE2) that the whole origin must match.
	Regex bool
}

// Limits of a Config.
const (
	MaxMaxAge = 86400 // seconds, Firefox's cap on how long a preflight is remembered
	// ChromiumMaxAge is how many seconds Chromium remembers a preflight at the most.
	ChromiumMaxAge = 7200
)

// A Policy is a compiled Config. It is immutable, and safe for concurrent use.
type Policy struct {
	name    string
	origins origins

	anyMethod bool
	methods   map[string]struct{}

	anyHeader     bool
	authorization bool                // listed beside "*"
	headers       map[string]struct{} // in lower case
	longestHeader int

	credentials    bool
	privateNetwork bool
	forward        bool
	keep           bool
	shadow         bool
	status         int

	// The values of the answers' headers, built once; "" for no such header, or,
	// with "*" and credentials, for one that repeats what the preflight asks for.
	allowMethods  string
	allowHeaders  string
	exposeHeaders string
	maxAge        string

	withoutOrigin Decision // on every request without an origin
	allowed       []Header // after the origin, of an allowed request's answer
}

// Name is the policy's name, or "".
func (p *Policy) Name() string { return p.name }

// Compile checks a Config and compiles it. It reports everything that is wrong at
// once, in the order of the fields; the policy is nil if any of it is more than a
// warning.
func Compile(c Config) (*Policy, []Problem) {
	b := &builder{policy: &Policy{
		name:           c.Name,
		credentials:    c.AllowCredentials,
		privateNetwork: c.AllowPrivateNetwork,
		forward:        c.ForwardUnmatchedPreflights,
		keep:           c.KeepUpstreamHeaders,
		shadow:         c.Shadow,
		status:         c.PreflightStatus,
	}}
	if c.AllowOriginsOf != nil {
		b.policy.origins = c.AllowOriginsOf.origins
	} else {
		b.origins(c.AllowOrigins)
	}
	b.methods(c.AllowMethods)
	b.allowHeaders(c.AllowHeaders)
	b.exposeHeaders(c.ExposeHeaders)
	b.maxAge(c.MaxAge)
	switch c.PreflightStatus {
	case 0:
		b.policy.status = 204
	case 200, 204:
	default:
		b.fail("preflight_status", -1, strconv.Itoa(c.PreflightStatus)+" is out of range", "write 200 or 204")
	}
	for _, p := range b.problems {
		if !p.Warning {
			return nil, b.problems
		}
	}
	b.policy.prepare()
	return b.policy, b.problems
}

// prepare builds what depends on the policy alone.
func (p *Policy) prepare() {
	p.withoutOrigin = Decision{policy: p, Reason: NoOrigin}
	if p.origins.any {
		p.withoutOrigin.origin = "*"
	}
	if p.credentials {
		p.allowed = append(p.allowed, Header{responseHeaderNames[allowCredentials], "true"})
	}
	if p.exposeHeaders != "" {
		p.allowed = append(p.allowed, Header{responseHeaderNames[exposeHeaders], p.exposeHeaders})
	}
}

// A builder collects the problems of a Config on the way to a Policy.
type builder struct {
	policy   *Policy
	problems []Problem
}

func (b *builder) fail(field string, index int, what, instead string) {
	b.problems = append(b.problems, Problem{Field: field, Index: index, What: what, Instead: instead})
}

func (b *builder) warn(field string, index int, what, instead string) {
	b.problems = append(b.problems, Problem{Field: field, Index: index, What: what, Instead: instead, Warning: true})
}

func (b *builder) origins(entries []OriginEntry) {
	const field = "allow_origins"
	if len(entries) == 0 {
		b.fail(field, -1, "is required, and has no entry", `write the origins of the pages that may read answers, such as ["https://app.example"]`)
		return
	}
	set := &b.policy.origins
	set.exact = make(map[string]string, len(entries))
	patterns := make([]pattern, len(entries))
	usable := make([]bool, len(entries))
	first := make(map[OriginEntry]int, len(entries))
	for i, entry := range entries {
		if j, twice := first[entry]; twice {
			b.warn(field, i, quote(entry.Text)+" is already "+field+"["+strconv.Itoa(j)+"]", "leave one out")
			continue
		}
		first[entry] = i
		if entry.Regex {
			if re := b.regex(i, entry.Text); re != nil {
				set.regexps = append(set.regexps, re)
			}
			continue
		}
		p, what, instead := parsePattern(entry.Text)
		if what == "" {
			what, instead = b.insecure(p, entry.Text)
		}
		if what != "" {
			b.fail(field, i, what, instead)
			continue
		}
		patterns[i], usable[i] = p, true
		switch {
		case p.kind == anyPattern:
			set.any = true
		case p.kind == nullPattern:
			set.null = true
			if b.policy.credentials {
				b.warn(field, i, `"null" is the origin of every sandboxed frame, so with allow_credentials any site can read answers`,
					"serve the pages from an origin of their own")
			}
		case p.subdomains || p.origin.port == anyPort:
			set.addPattern(p)
		default:
			set.exact[entry.Text] = entry.Text
		}
	}
	if len(set.exact) <= fewOrigins {
		for _, entry := range entries {
			if kept, ok := set.exact[entry.Text]; ok && !slices.Contains(set.few, kept) {
				set.few = append(set.few, kept)
			}
		}
		set.exact = nil
	}
	for i, entry := range entries {
		switch p := patterns[i]; {
		case set.any && (usable[i] && p.kind != anyPattern || entry.Regex) && first[entry] == i:
			b.warn(field, i, quote(entry.Text)+` adds nothing beside "*"`, `leave it out, or leave out "*"`)
		case usable[i] && p.kind == tuplePattern && set.subsumed(p, entry.Text):
			b.warn(field, i, quote(entry.Text)+" is covered by another entry", "leave it out")
		}
	}
}

// insecure says what is wrong with a pattern if the policy allows credentials.
func (b *builder) insecure(p pattern, text string) (what, instead string) {
	switch {
	case !b.policy.credentials || p.kind == nullPattern:
		return "", ""
	case p.kind == anyPattern:
		return `"*" with allow_credentials would let every site act as the visitor`,
			"list the origins, or leave out allow_credentials"
	case p.overPublicSuffix():
		return quote(text) + " with allow_credentials trusts sites of different owners, because " + p.origin.host +
			" is a public suffix", "list the origins, or the wildcard of a domain of your own"
	case p.insecure():
		return quote(text) + " with allow_credentials trusts whoever is on the network between, because plain http can be forged",
			"have the pages served over https, or leave out allow_credentials"
	}
	return "", ""
}

func (b *builder) regex(i int, expr string) *regexp.Regexp {
	const field = "allow_origins"
	re, err := compileRegex(expr)
	switch {
	case expr == "":
		b.fail(field, i, "the regex is empty", `write a regex such as "https://[a-z]+\\.example\\.com", or leave it out`)
	case err != nil:
		b.fail(field, i, "the regex "+quote(expr)+" is invalid: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "),
			"write it in RE2 syntax")
	case b.policy.credentials && matchesEverything(re):
		b.fail(field, i, "the regex "+quote(expr)+" matches every site, and with allow_credentials all could act as the visitor",
			"name the domain in the regex, or leave out allow_credentials")
	case b.policy.credentials && insecureRegex(re):
		b.fail(field, i, "the regex "+quote(expr)+" matches plain-http origins, and with allow_credentials that trusts whoever is on the network between",
			`begin it with "https://", or leave out allow_credentials`)
	default:
		if re.MatchString("null") && !re.MatchString("https://any.invalid") {
			b.warn(field, i, "the regex "+quote(expr)+` matches "null", and a regex never allows that`, `add the entry "null"`)
		}
		return re
	}
	return nil
}

// list checks a list of names and returns it without what is superfluous: the
// names that are valid, or "*" with what check lets stand beside it.
func (b *builder) list(field string, names []string, check func(i int, name string) (key string, ok bool), beside string) (kept, keys []string) {
	wildcard := slices.Contains(names, "*")
	seen := make(map[string]struct{}, len(names))
	for i, name := range names {
		key := "*"
		if name != "*" {
			var ok bool
			if key, ok = check(i, name); !ok {
				continue
			}
		}
		if _, twice := seen[key]; twice {
			b.warn(field, i, quote(name)+" is listed twice", "leave one out")
			continue
		}
		seen[key] = struct{}{}
		if wildcard && key != "*" && key != beside {
			b.warn(field, i, quote(name)+` adds nothing beside "*"`, `leave it out, or leave out "*"`)
			continue
		}
		kept, keys = append(kept, name), append(keys, key)
	}
	return kept, keys
}

func (b *builder) methods(names []string) {
	const field = "allow_methods"
	p := b.policy
	_, methods := b.list(field, names, func(i int, name string) (string, bool) {
		switch {
		case !validToken(name):
			b.fail(field, i, quote(name)+" is not a method", `write a method such as "PUT", or "*"`)
			return "", false
		case forbiddenMethod(name):
			b.fail(field, i, name+" is a method that browsers never send", "leave it out")
			return "", false
		}
		if name == "patch" {
			b.warn(field, i, `"patch" is not PATCH: methods compare by case, and browsers send what the page wrote`,
				`write "PATCH" if the pages do`)
		}
		return normalizeMethod(name), true
	}, "")
	p.methods = make(map[string]struct{}, len(methods))
	for _, method := range methods {
		p.methods[method] = struct{}{}
	}
	_, p.anyMethod = p.methods["*"]
	if !p.anyMethod || !p.credentials {
		p.allowMethods = strings.Join(methods, ", ")
	}
}

func (b *builder) allowHeaders(names []string) {
	const field = "allow_headers"
	p := b.policy
	kept, keys := b.list(field, names, func(i int, name string) (string, bool) {
		key := strings.ToLower(name)
		switch {
		case !validToken(name):
			b.fail(field, i, quote(name)+" is not a header name", `write a name such as "Content-Type", or "*"`)
			return "", false
		case corsResponseHeader(key):
			b.fail(field, i, quote(name)+" is a response header, and allow_headers are request headers", "leave it out: the filter sets it")
			return "", false
		case forbiddenRequestHeader(key):
			b.fail(field, i, quote(name)+" is a header that pages can't set, so no preflight asks for it", "leave it out")
			return "", false
		}
		return key, true
	}, "authorization")
	p.headers = make(map[string]struct{}, len(keys))
	for _, key := range keys {
		p.headers[key] = struct{}{}
		p.longestHeader = max(p.longestHeader, len(key))
	}
	_, p.anyHeader = p.headers["*"]
	_, p.authorization = p.headers["authorization"]
	if !p.anyHeader || !p.credentials {
		p.allowHeaders = strings.Join(kept, ", ")
	}
}

func (b *builder) exposeHeaders(names []string) {
	const field = "expose_headers"
	kept, _ := b.list(field, names, func(i int, name string) (string, bool) {
		key := strings.ToLower(name)
		switch {
		case !validToken(name):
			b.fail(field, i, quote(name)+" is not a header name", `write a name such as "X-Request-Id", or "*"`)
			return "", false
		case forbiddenResponseHeader(key):
			b.fail(field, i, quote(name)+" can't be exposed: browsers hide it from pages", "leave it out")
			return "", false
		}
		return key, true
	}, "")
	if i := slices.Index(names, "*"); i >= 0 && b.policy.credentials {
		b.fail(field, i, `"*" means a header named "*" when allow_credentials is set`, "list the names")
	}
	b.policy.exposeHeaders = strings.Join(kept, ", ")
}

func (b *builder) maxAge(seconds *int) {
	const field = "max_age"
	if seconds == nil {
		return
	}
	switch n := *seconds; {
	case n < 0 || n > MaxMaxAge:
		b.fail(field, -1, strconv.Itoa(n)+" seconds are out of range", "write 0 to "+strconv.Itoa(MaxMaxAge)+", or leave it out")
	case n > ChromiumMaxAge:
		b.warn(field, -1, strconv.Itoa(n)+" seconds are more than Chromium remembers", "write at most "+strconv.Itoa(ChromiumMaxAge)+" to have the same in all browsers")
	}
	b.policy.maxAge = strconv.Itoa(*seconds)
}

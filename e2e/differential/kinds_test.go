package differential_test

import (
	"regexp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A kind is a kind of difference.
type kind struct {
	who string
	// what differs, and who is right by the standard and why; both as docs/differences.md has them.
	what, right string
	// is tells whether a difference is of this kind.
	is func(o *observation) bool
}

// kinds are all differences that there may be. The first one counts that a difference is of.
var kinds = []kind{
	// jub0bs/cors.
	{jub0bsCORS, "A policy that allows `null` is refused there",
		"Either: the standard compares `null` as any other origin. Here it is a warning.",
		func(o *observation) bool { return o.configuration("", `prohibited origin pattern "null"`) }},
	{jub0bsCORS, "A wildcard over a public suffix with credentials is refused here, also where it is tolerated there",
		"Either: no matter of the standard. There is a switch for it there, which this test sets, and none here.",
		func(o *observation) bool { return o.configuration("other_owners", "") }},
	{jub0bsCORS, "Plain http with credentials is refused here, also where it is tolerated there",
		"Either: no matter of the standard. There is a switch for it there, which this test sets, and none here.",
		func(o *observation) bool { return o.configuration("plain_http", "") }},
	{jub0bsCORS, "A preflight's answer, and that to any other OPTIONS, has no Vary there",
		"Both: caches don't keep answers to OPTIONS (RFC 9110, section 9.3.7). Here it has one for caches that do.",
		func(o *observation) bool { return o.vary() && o.options() && o.ours > o.theirs }},
	{jub0bsCORS, "CORS headers of the upstream stay there, beside those of the policy or without them",
		"Here: two lines fail the CORS check, and an upstream's line alone allows what the policy doesn't.",
		(*observation).ofUpstream},
	{jub0bsCORS, "`Access-Control-Request-Private-Network` is not answered there",
		"Either: Private Network Access is no part of the Fetch standard, and browsers have given it up.",
		func(o *observation) bool { return o.preflights("true", "false") && o.PrivateNetwork }},
	{jub0bsCORS, "`*` for headers covers Authorization with credentials there",
		"Both: the answer has the name itself, which the standard takes. Here `*` means the same with and without credentials.",
		func(o *observation) bool { return o.preflights("false", "true") && o.authorizationByStar() }},
	{jub0bsCORS, "An Origin that no browser sends is allowed there by a wildcard",
		"Here, though no browser is concerned: `https://u@a.example.com` is the origin of no page.",
		func(o *observation) bool { return o.ours == "false" && o.theirs == "true" && o.strange() }},
	{jub0bsCORS, "Requested headers that aren't sorted, in lower case and each once are refused there",
		"Both: browsers send them so (Fetch, CORS-unsafe request-header names). Here proxies may have changed the list.",
		func(o *observation) bool { return o.preflights("true", "false") && o.unsorted() }},
	{jub0bsCORS, "A method that is requested and forbidden is allowed there by `*`",
		"Both: browsers refuse TRACE, CONNECT and TRACK before they ask.",
		func(o *observation) bool { return o.preflights("false", "true") && o.asksFor("TRACE") }},
	{jub0bsCORS, "A requested method or header that is no name is allowed there by `*`",
		"Both: browsers ask for names only.",
		func(o *observation) bool {
			return o.preflights("false", "true") && (o.malformedNames() || o.asksFor("A B"))
		}},
	{jub0bsCORS, "A policy without methods and headers allows no preflight at all there",
		"Here: a page that listens to its upload asks before a POST that needs nothing else (use-CORS-preflight flag).",
		func(o *observation) bool { return o.preflights("true", "false") && len(o.methods)+len(o.headers) == 0 }},

	// rs/cors.
	{rsCORS, "`*` for origins, with credentials, is accepted there, and sent so",
		"Here: browsers refuse such an answer to a request with credentials, so that the policy can't do what it says.",
		func(o *observation) bool { return o.configuration("every_site", "") }},
	{rsCORS, "`*` for exposed headers, with credentials, is accepted there, and exposes a header named `*`",
		"Here: with credentials the standard takes it literally.",
		func(o *observation) bool { return o.configuration("literal", "") }},
	{rsCORS, "A wildcard over a public suffix with credentials is accepted there",
		"Either: no matter of the standard.",
		func(o *observation) bool { return o.configuration("other_owners", "") }},
	{rsCORS, "Plain http with credentials is accepted there",
		"Either: no matter of the standard.",
		func(o *observation) bool { return o.configuration("plain_http", "") }},
	{rsCORS, "CORS headers of the upstream stay there, beside those of the policy or without them",
		"Here: two lines fail the CORS check, and an upstream's line alone allows what the policy doesn't.",
		(*observation).ofUpstream},
	{rsCORS, "An answer varies by Origin there, though every origin gets the same",
		"Both: it costs caches entries and is no mistake.",
		func(o *observation) bool { return o.vary() && o.any() && o.ours < o.theirs }},
	{rsCORS, "A request without an Origin gets no `Access-Control-Allow-Origin: *` there",
		"Here: a cache may give the answer to a page (Fetch, CORS protocol and HTTP caches); there it varies instead, which does too.",
		func(o *observation) bool { return o.aspect == withoutOrigin+"Allow-Origin" && o.any() }},
	{rsCORS, "An OPTIONS with Access-Control-Request-Method and without Origin is answered there as a preflight",
		"Here: a preflight has an Origin, and without one the request is the upstream's.",
		func(o *observation) bool { return strings.HasPrefix(o.aspect, withoutOrigin) && o.options() }},
	{rsCORS, "A request by a method that isn't listed gets no CORS headers there",
		"Here: the methods are for preflights alone; the CORS check of an answer doesn't look at them.",
		func(o *observation) bool { return o.aspect == "readable" && o.ours == "true" && !o.lists(o.Method) }},
	{rsCORS, "`put` and other methods that the standard normalises are listed there as they are written",
		"Here: a page's `put` is sent and asked for as PUT, so that the entry allows nothing there.",
		func(o *observation) bool {
			return strings.Contains(o.aspect, "preflight allowed") && slices.Contains(o.methods, "put")
		}},
	{rsCORS, "A policy without headers allows Content-Type there",
		"Both: it is the server's to say; Accept, Content-Type and X-Requested-With are its default.",
		func(o *observation) bool {
			return o.preflights("false", "true") && len(o.headers) == 0 && o.asksForType()
		}},
	{rsCORS, "OPTIONS as the method of a page's request is always allowed there",
		"Both: it is the server's to say. Here it is allowed where it is listed.",
		func(o *observation) bool {
			return o.preflights("false", "true") && o.Method == "OPTIONS" && o.raw == nil
		}},
	{rsCORS, "An empty Origin is none there, also where every origin is allowed",
		"Both: no browser sends one.",
		func(o *observation) bool { return o.raw != nil && o.Origin == "" }},
	{rsCORS, "`*` for headers covers Authorization there",
		"Here without credentials: the standard has it listed beside `*`. With credentials both, as the answer has the name.",
		func(o *observation) bool { return o.preflights("false", "true") && o.authorizationByStar() }},
	{rsCORS, "An Origin that no browser sends is allowed there, in another case or by a wildcard",
		"Here, though no browser is concerned: origins compare by case, and `https://u@a.example.com` is none.",
		func(o *observation) bool { return o.ours == "false" && o.theirs == "true" && o.strange() }},
	{rsCORS, "Requested headers that aren't sorted and in lower case are refused there",
		"Both: browsers send them so (Fetch, CORS-unsafe request-header names). Here proxies may have changed the list.",
		func(o *observation) bool { return o.preflights("true", "false") && o.unsorted() }},

	// Envoy's own filter.
	{nativeEnvoy, "Answers don't vary by Origin there",
		"Here: a cache gives an answer for one origin to another, or to none (Fetch, CORS protocol and HTTP caches).",
		func(o *observation) bool { return o.vary() && o.ours > o.theirs }},
	{nativeEnvoy, "CORS headers of the upstream stay there where the policy has none of its own",
		"Here: an upstream's Allow-Credentials lets pages have answers with credentials that the policy doesn't give them.",
		func(o *observation) bool { return o.upstreamCORS && o.ours == "false" && o.aspect == "readable" }},
	{nativeEnvoy, "A request without an Origin gets no `Access-Control-Allow-Origin: *` there",
		"Here: a cache may give the answer to a page (Fetch, CORS protocol and HTTP caches).",
		func(o *observation) bool { return o.aspect == withoutOrigin+"Allow-Origin" && o.any() }},
	{nativeEnvoy, "An empty Origin is none there",
		"Both: no browser sends one.",
		func(o *observation) bool { return o.raw != nil && o.Origin == "" }},
	{nativeEnvoy, "An Origin that no browser sends is allowed there by a regex for subdomains",
		"Here, though no browser is concerned: `https://u@a.example.com` is the origin of no page.",
		func(o *observation) bool { return o.ours == "false" && o.theirs == "true" && o.strange() }},
	{nativeEnvoy, "`*` beside Authorization, with credentials, is sent as it is there",
		"Here: with credentials the standard takes it literally, so that it allows nothing; here the names are repeated.",
		func(o *observation) bool {
			return o.preflights("true", "false") && o.credentials && o.withCredentials() &&
				slices.Contains(o.headers, "*") && len(o.headers) > 1
		}},
	{nativeEnvoy, "`*` for headers covers Authorization there",
		"Both: the answer has the name itself, which the standard takes. Here `*` doesn't cover it, as in the standard.",
		func(o *observation) bool { return o.preflights("false", "true") && o.authorizationByStar() }},
	{nativeEnvoy, "A requested method that is forbidden, and a method or header that is no name, are allowed there by `*`",
		"Both: browsers refuse TRACE, CONNECT and TRACK before they ask, and ask for names only.",
		func(o *observation) bool {
			return o.preflights("false", "true") && (o.malformedNames() || o.asksFor("TRACE") || o.asksFor("A B"))
		}},
	{nativeEnvoy, "Without methods in the policy, a preflight that the page has forced allows every method there",
		"Here: without Access-Control-Allow-Methods the standard takes the request's for allowed (CORS-preflight fetch).",
		func(o *observation) bool {
			return o.preflights("false", "true") && len(o.methods) == 0 && o.UseCORSPreflight
		}},
	{nativeEnvoy, "`put` and other methods that the standard normalises are listed there as they are written",
		"Here: a page's `put` is sent and asked for as PUT, so that the entry allows nothing there.",
		func(o *observation) bool {
			return strings.Contains(o.aspect, "preflight allowed") && slices.Contains(o.methods, "put")
		}},
}

const (
	jub0bsCORS  = "jub0bs/cors 0.11.0"
	rsCORS      = "rs/cors 1.11.1"
	nativeEnvoy = "Envoy 1.40"

	withoutOrigin = "without an Origin: "
)

// configuration reports whether one of them refuses the policy, with these words among what it says.
func (o *observation) configuration(ours, theirs string) bool {
	return o.aspect == "configuration" && o.ours == ours && (theirs == "" && o.theirs == "" ||
		theirs != "" && strings.Contains(o.theirs, theirs))
}

func (o *observation) vary() bool { return strings.Contains(o.aspect, "varies") }

// options reports whether what differs is the answer to an OPTIONS request.
func (o *observation) options() bool {
	return o.Method == "OPTIONS" || strings.HasPrefix(o.aspect, "preflight")
}

// ofUpstream reports whether the upstream's headers, alone or beside others, make the difference.
func (o *observation) ofUpstream() bool {
	if !o.upstreamCORS || o.aspect == "configuration" {
		return false
	}
	switch {
	case o.aspect == "readable" && o.Origin == "https://evil.test", strings.HasPrefix(o.aspect, withoutOrigin+"Allow-Origin"),
		o.aspect == "exposed" && o.Origin == "https://evil.test":
		return true
	}
	return o.aspect == "readable" && o.ours == "true"
}

// preflights reports whether a preflight is allowed by one of them alone.
func (o *observation) preflights(ours, theirs string) bool {
	return strings.Contains(o.aspect, "preflight allowed") && o.ours == ours && o.theirs == theirs
}

// withCredentials reports whether the browser that judges the answer has sent credentials, or would.
func (o *observation) withCredentials() bool {
	if o.raw != nil {
		return strings.HasSuffix(o.aspect, "credentials true")
	}
	return o.CredentialsInclude
}

func (o *observation) authorizationByStar() bool {
	return slices.Equal(o.headers, []string{"*"}) && (strings.Contains(strings.ToLower(strings.Join(
		o.header("Access-Control-Request-Headers"), ",")), "authorization") ||
		slices.ContainsFunc(o.Headers, func(h [2]string) bool { return h[0] == "Authorization" }))
}

// strange reports whether the Origin is one that no browser sends, or not for a host that there can be.
func (o *observation) strange() bool {
	return !browser.SerializedOrigin(o.Origin) || slices.Contains(strangeOrigins, o.Origin)
}

// asListed is the form in which browsers ask for headers.
var asListed = regexp.MustCompile(`^[a-z-]+(,[a-z-]+)*$`)

func (o *observation) unsorted() bool {
	lines := o.header("Access-Control-Request-Headers")
	names := strings.Split(strings.Join(lines, ","), ",")
	return o.raw != nil && len(lines) > 0 &&
		(len(lines) > 1 || !asListed.MatchString(lines[0]) || !slices.IsSorted(names))
}

// malformedNames reports whether the request asks for a header that has no name.
func (o *observation) malformedNames() bool {
	return slices.Contains(o.header("Access-Control-Request-Headers"), "x custom")
}

// asksForType reports whether the request has a Content-Type.
func (o *observation) asksForType() bool {
	return slices.ContainsFunc(o.Headers, func(h [2]string) bool { return h[0] == "Content-Type" }) ||
		strings.Contains(strings.Join(o.header("Access-Control-Request-Headers"), ","), "content-type")
}

func (o *observation) asksFor(method string) bool {
	return slices.Contains(o.header("Access-Control-Request-Method"), method)
}

func (o *observation) lists(method string) bool {
	return slices.Contains([]string{"GET", "HEAD", "POST"}, method) || slices.Contains(o.methods, method)
}

package conformance_test

import (
	"slices"
	"strings"
)

// A kind is a way in which this filter's answer differs from what another project expects.
type kind struct {
	name string
	// aspects are what may differ so, with spaces between them: "configuration", "page", "passes", "status",
	// or a header without access-control.
	aspects string
	// what is the difference, and right says who is right, for docs/conformance.md.
	what, right string
}

// kinds are those that a page or the upstream may notice, and after them those in the letter.
var kinds = []kind{
	{
		name: "every site with credentials", aspects: "configuration page allow-origin allow-credentials",
		what: "`*`, or a regex that matches every site, with credentials",
		right: "Here, though both follow the standard where the origin is repeated: every site could act as the visitor. " +
			"`*` itself never works with credentials ([CORS check](https://fetch.spec.whatwg.org/#concept-cors-check), " +
			"step 4). It is refused here, and converted without credentials.",
	},
	{
		name:    "plain http with credentials",
		aspects: "configuration page allow-origin allow-credentials expose-headers allow-headers allow-methods max-age",
		what:    "Plain http with credentials is refused here, and left out by the conversion",
		right:   "Either: no matter of the standard. Whoever is on the network between can forge such an origin.",
	},
	{
		name: "null with credentials", aspects: "page allow-origin",
		what:  "`null` with credentials is left out by the conversion",
		right: "Either: the standard compares `null` as any other origin. Every sandboxed frame has it, on any site.",
	},
	{
		name: "null", aspects: "configuration",
		what:  "A policy that allows `null` is refused there, and a warning here",
		right: "Either: the standard compares `null` as any other origin.",
	},
	{
		name: "names of others", aspects: "page allow-origin",
		what: "A prefix, a part of an origin or a regex that also matches what others can own is left out by the " +
			"conversion",
		right: "Either: no matter of the standard. `https://prefix` also begins `https://prefix.evil.example`, a part is " +
			"found in any other name, and `example-aa.org` is free for anyone.",
	},
	{
		name: "origin of no page", aspects: "configuration",
		what:  "`file://example.com`, the port 0 and Punycode that nothing decodes to are refused there",
		right: "Either: no page has such an origin, so that the entry allows nobody.",
	},
	{
		name: "mapped address", aspects: "configuration",
		what:  "An IPv4 address in an IPv6 address is refused there",
		right: "Here: it is how the [URL standard](https://url.spec.whatwg.org/#concept-ipv6-serializer) writes it.",
	},
	{
		name: "long host", aspects: "configuration",
		what:  "A wildcard whose hosts are longer than DNS allows is refused there",
		right: "Either: the URL standard bounds no host, and none that long has an address.",
	},
	{
		name: "no origin", aspects: "page allow-origin",
		what: "An Origin that no browser sends, with a slash at its end, is allowed there",
		right: "Here, though no browser is concerned: a [serialized " +
			"origin](https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin) has no path.",
	},
	{
		name: "no origin left", aspects: "passes allow-origin allow-methods",
		what: "A policy none of whose origins a browser sends, such as `foo.test`, is left out by the conversion, " +
			"with a warning",
		right: "Both: no page gets an answer by it.",
	},
	{
		name: "refused request", aspects: "passes status",
		what: "A request of an origin that isn't allowed is refused there with 403, and goes to the upstream here",
		right: "Both: the [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check) is the browser's, and the page " +
			"gets neither. CORS protects visitors: what isn't a browser sends any Origin.",
	},
	{
		name: "method of a request", aspects: "passes page allow-origin vary",
		what: "A request by a method that isn't listed gets no CORS headers there",
		right: "Here: the methods are for preflights alone; the [CORS " +
			"check](https://fetch.spec.whatwg.org/#concept-cors-check) of an answer doesn't look at them.",
	},
	{
		name: "no preflight", aspects: "passes status",
		what: "An OPTIONS without an Origin, or without a requested method, is answered there as a preflight",
		right: "Here: a [CORS-preflight request](https://fetch.spec.whatwg.org/#cors-preflight-request) has both. Without " +
			"them the request is the upstream's.",
	},
	{
		name: "forwarded preflight", aspects: "passes allow-headers allow-methods allow-origin max-age",
		what: "A preflight for a method that isn't listed is answered there with the lists, and goes to the upstream " +
			"here where others do",
		right: "Both: the browser blocks the request by the list, or because the upstream's answer gets no CORS headers " +
			"([CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch), step 7).",
	},
	{
		name: "upstream", aspects: "page allow-credentials",
		what: "CORS headers of the upstream stay there where the policy has none of its own",
		right: "Here: an upstream's Allow-Credentials lets pages have answers with credentials that the policy doesn't " +
			"give them.",
	},
	{
		name: "POST", aspects: "page",
		what: "A preflight for POST is refused there where POST isn't listed",
		right: "Either: POST is a [CORS-safelisted method](https://fetch.spec.whatwg.org/#cors-safelisted-method), which " +
			"needs no entry; a server may refuse it all the same.",
	},
	{
		name: "bounded list", aspects: "status page allow-credentials allow-headers allow-methods allow-origin max-age",
		what: "More than 16 empty elements or lines in Access-Control-Request-Headers are refused there",
		right: "Both: browsers send the names alone ([CORS-preflight " +
			"fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch), step 5). The work is bounded here too, by " +
			"the length.",
	},
	{
		name: "needless preflight", aspects: "status page allow-origin",
		what: "A policy without methods and headers allows no preflight at all there",
		right: "Here: a page that listens to its upload asks before a POST that needs nothing else ([use-CORS-preflight " +
			"flag](https://fetch.spec.whatwg.org/#use-cors-preflight-flag)).",
	},
	{
		name: "two methods", aspects: "page status allow-credentials allow-headers allow-methods allow-origin max-age vary",
		what: "Two lines of Access-Control-Request-Method are answered there, whatever they say",
		right: "Here, though no browser is concerned: it is [one " +
			"method](https://fetch.spec.whatwg.org/#http-new-header-syntax), and neither list has two.",
	},
	{
		name: "private network and any origin", aspects: "configuration",
		what:  "A policy that allows private networks to every origin is refused there",
		right: "Either: Private Network Access is no part of the Fetch standard, and browsers have given it up.",
	},
	{
		name: "exposed request header", aspects: "configuration",
		what:  "Exposing a header that is for requests is refused there, and taken here",
		right: "Either: no answer has such a header, so that it does nothing.",
	},
	{
		name: "unknown method", aspects: "configuration",
		what:  "A method that HTTP doesn't define is refused there",
		right: "Here: a [method](https://fetch.spec.whatwg.org/#concept-method) is any token.",
	},
	{
		name: "forbidden method", aspects: "configuration",
		what: "TRACE and CONNECT are listed there",
		right: "Here: they are [forbidden methods](https://fetch.spec.whatwg.org/#forbidden-method), which no page " +
			"can send.",
	},
	{
		name: "any name with credentials", aspects: "configuration",
		what:  "`*` for methods or headers, with credentials, is refused there",
		right: "Both: with credentials the standard takes it literally. Here the names are repeated then.",
	},
	{
		name: "invalid annotation", aspects: "configuration page allow-headers allow-methods expose-headers",
		what:  "For an annotation that isn't valid the default counts there; here what is valid of it, or nothing",
		right: "Either: no matter of the standard. Here nothing is allowed that nobody has written.",
	},
	{
		name: "204", aspects: "status",
		what: "A preflight is answered with 200 there, and 204 here",
		right: "Both: any [ok status](https://fetch.spec.whatwg.org/#ok-status) will do. `preflight_status: 200` says " +
			"200.",
	},
	{
		name: "403", aspects: "status",
		what:  "A preflight that isn't allowed is answered with 400 or 200 there, and 403 here",
		right: "Both: without Access-Control-Allow-Origin no status allows one.",
	},
	{
		name: "any origin", aspects: "allow-origin",
		what: "Where every origin is allowed, it is repeated there, and `*` is sent here",
		right: "Both, without credentials ([CORS check](https://fetch.spec.whatwg.org/#concept-cors-check), step 3). " +
			"Caches need one answer only.",
	},
	{
		name: "the one origin", aspects: "allow-origin allow-methods allow-credentials expose-headers",
		what: "Where one origin is listed, it is sent there to every other, and to none",
		right: "Both: the browser compares it with the page's ([CORS " +
			"check](https://fetch.spec.whatwg.org/#concept-cors-check), step 4).",
	},
	{
		name: "default port", aspects: "allow-origin allow-methods",
		what:  "An Origin with the default port of its scheme is taken there for the one without",
		right: "Both: no browser sends it, or takes the answer for it.",
	},
	{
		name: "without an Origin", aspects: "allow-origin",
		what: "A request without an Origin gets no `Access-Control-Allow-Origin: *` there",
		right: "Here: a cache may give the answer to a page ([CORS protocol and HTTP " +
			"caches](https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches)).",
	},
	{
		name: "any method or header", aspects: "allow-methods allow-headers",
		what: "`*` for methods or headers is answered with the names that are asked for there, and with `*` here",
		right: "Both, without credentials; with them the names are repeated here too ([CORS-preflight " +
			"fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch), step 7).",
	},
	{
		name: "whole list", aspects: "allow-methods allow-headers",
		what: "A preflight is answered with the method and headers that it asks for, or that need it, there, and with " +
			"the whole lists here",
		right: "Both: what is listed besides serves the next requests without a preflight of their own.",
	},
	{
		name: "exposed to preflights", aspects: "expose-headers",
		what: "Access-Control-Expose-Headers is on preflights there",
		right: "Here: it is for [answers that aren't to preflights](https://fetch.spec.whatwg.org/#http-responses), and " +
			"browsers don't read it on others. Gateway API asks for it, as Envoy's own filter sends it.",
	},
	{
		name: "of preflights", aspects: "allow-methods allow-headers max-age",
		what: "Access-Control-Allow-Methods, -Allow-Headers and -Max-Age are on other answers than to preflights " +
			"there",
		right: "Here: they are for [preflights](https://fetch.spec.whatwg.org/#http-responses), and browsers don't " +
			"read them on others.",
	},
	{
		name: "forbidden method list", aspects: "allow-methods",
		what: "TRACE and CONNECT are left out of a default list by the conversion",
		right: "Both: they are [forbidden methods](https://fetch.spec.whatwg.org/#forbidden-method), " +
			"which no page can send.",
	},
	{
		name: "forbidden header", aspects: "allow-headers",
		what: "Names of headers that no page can set are left out of the list by the conversion",
		right: "Both: browsers never ask for [forbidden " +
			"request-headers](https://fetch.spec.whatwg.org/#forbidden-request-header).",
	},
	{
		name: "age", aspects: "max-age",
		what: "A max age above 7200 becomes 7200 in the conversion",
		right: "Both: browsers cap it, Chromium at two hours ([CORS-preflight " +
			"fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch), step 7.10).",
	},
	{
		name: "beside any", aspects: "expose-headers",
		what:  "Names beside `*` are left out of the list by the conversion",
		right: "Both, without credentials: `*` covers them.",
	},
	{
		name: "same origin", aspects: "allow-origin expose-headers",
		what:  "A request of the same origin gets no CORS headers there",
		right: "Both: browsers don't check it. Behind a proxy that ends TLS the own origin is a guess.",
	},
	{
		name: "private network", aspects: "allow-private-network",
		what:  "Access-Control-Allow-Private-Network is on other answers than to preflights there",
		right: "Here: browsers that knew it looked for it on preflights.",
	},
	{
		name: "lists of a refused preflight", aspects: "allow-headers allow-origin",
		what:  "A preflight that isn't allowed has the origin and lists there",
		right: "Both: the browser blocks the request. `debug: true` sends them.",
	},
	{
		name: "debug", aspects: "allow-methods max-age",
		what:  "Debugging answers have the safelisted methods and no max age here",
		right: "Both: what may be sent anyhow can be named, and what isn't allowed isn't remembered.",
	},
	{
		name: "any without credentials", aspects: "allow-credentials",
		what:  "`*` is sent with `Access-Control-Allow-Credentials: true` there",
		right: "Here: with credentials browsers refuse `*`, so that it says nothing.",
	},
	{
		name: "credentials alone", aspects: "allow-credentials",
		what:  "Access-Control-Allow-Credentials is there for origins that aren't allowed, too",
		right: "Both: without Access-Control-Allow-Origin it says nothing.",
	},
	{
		name: "Vary of answers", aspects: "vary",
		what: "Answers that depend on the origin don't vary by it there",
		right: "Here: a cache gives an answer for one origin to another, or to none ([CORS protocol and HTTP " +
			"caches](https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches)).",
	},
	{
		name: "Vary of OPTIONS", aspects: "vary",
		what:  "Preflights' answers, or those to any OPTIONS, have no Vary there, or a shorter one",
		right: "Both: caches don't keep answers to OPTIONS (RFC 9110, section 9.3.7). Here it has one for caches that do.",
	},
	{
		name: "longer Vary", aspects: "vary",
		what:  "Answers vary there by more than what they depend on",
		right: "Both: it costs caches entries and is no mistake.",
	},
}

// covers reports whether an aspect may differ so.
func (k kind) covers(aspect string) bool { return slices.Contains(strings.Fields(k.aspects), aspect) }

// letter reports whether no page and no upstream notices the difference.
func (k kind) letter() bool {
	return !k.covers("configuration") && !k.covers("page") && !k.covers("passes")
}

func kindNamed(name string) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// reasons are why a case can't be told.
var reasons = map[string]string{
	"Inner workings":          "How the project is built, and no answer of it.",
	"Settings merged in code": "Here `defaults` are inherited field by field, by one rule.",
	"Functions that decide":   "Code of the application decides; here `origin_lookup` asks a service.",
	"Every preflight to the upstream": "Here `unmatched_preflights: forward` forwards those that aren't allowed, " +
		"and `mode: off` all, without CORS.",
}

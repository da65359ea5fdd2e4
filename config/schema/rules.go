package schema

import (
	"slices"
	"strings"
	"unicode"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/forbidden"
	lists "github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
)

// Parts of patterns, in what ECMA-262 (with its flag u and without) and RE2 have in
// common: no look-around, no flags, and escapes only of what is syntax.
const (
	nothing = `[^\s\S]`
	token   = "[!#$%&'*+.^_`|~0-9A-Za-z-]+" //nolint:gosec // A token of HTTP, as RFC 9110 calls it, and no secret.

	octet  = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	ipv4   = octet + `(\.` + octet + `){3}`
	domain = `([a-z0-9_-]+\.)*[a-z0-9_-]+\.?`
	port   = `(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	// Whether an IPv6 address is in its shortest form is more than a pattern of
	// sensible size can tell: this one knows the form, without leading zeros.
	piece = `(0|[1-9a-f][0-9a-f]{0,3})`
	ipv6  = `\[(` + piece + `(:` + piece + `){7}|(` + piece + `(:` + piece + `){0,5})?::(` + piece + `(:` + piece +
		`){0,5})?)\]`

	// anyScheme and anyPort stand where the pattern of an origin has seen to it.
	anyScheme = `[^:]+://`
	anyPort   = `(:.*)?`
	// origin is the pattern for every scheme: the host is opaque, and may be empty if
	// nothing stands beside it. A wildcard needs a label after it.
	opaque      = "[A-Za-z0-9._~!$&()+=%-]"
	opaqueLabel = "[A-Za-z0-9_~!$&()+=%-]"
	withPort    = `(:(` + port + `|\*))?`
	origin      = `[a-z][a-z0-9+.-]{0,63}://((` + opaque + `+|\*\.` + opaqueLabel + opaque + `*|` + ipv6 + `)` +
		withPort + `)?|null|\*`
	// special are the schemes whose URLs have hosts of DNS, where one that ends in a
	// number is an IPv4 address (https://url.spec.whatwg.org/#special-scheme).
	special       = `(https?|wss?|ftp)://`
	specialOrigin = special + `((\*\.)?` + domain + `|` + ipv6 + `)` + withPort
	// endsInNumber is https://url.spec.whatwg.org/#ends-in-a-number-checker.
	endsInNumber = `([^:]*\.)?([0-9]+|0x[0-9a-f]*)\.?`
	tooLong      = `[^:*]{255,}`
	tooDeep      = `\*\.([^:.]+\.){63}`
	loopback     = `((\*\.)?([a-z0-9_-]+\.)*localhost|127(\.` + octet + `){3}|\[::1\])`

	requestPath = `/[!"$-)+->@-~]*`

	// duration is what [time.ParseDuration] reads, without a sign; noTime is one of
	// zero, which may be negative.
	unit     = `(ns|us|µs|μs|ms|s|m|h)`
	duration = `(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)` + unit + `)+)`
	noTime   = `(0|((0+(\.0*)?|\.0+)` + unit + `)+)`
)

// bothCases makes a pattern in lower case match upper case too.
var bothCases = strings.NewReplacer("a-f", "a-fA-F", "a-z", "a-zA-Z")

// anyCase is the pattern of the words in any case.
func anyCase(words ...string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteByte('|')
		}
		for _, c := range word {
			if unicode.IsLower(c) {
				b.WriteString("[" + string(unicode.ToUpper(c)) + string(c) + "]")
			} else {
				b.WriteRune(c)
			}
		}
	}
	return "(" + b.String() + ")"
}

// The messages in what follows are for editors (see JSON).

// matches is the rule that a string as a whole has a form.
func matches(whole, message string) object {
	return object{{"pattern", "^(" + whole + ")$"}, {"patternErrorMessage", message}}
}

// ifThen is the rule that a string of one form has another one too. As any pattern,
// it goes for strings only.
func ifThen(whole, then, message string) object {
	return object{{"if", object{{"pattern", "^(" + whole + ")$"}}}, {"then", matches(then, message)}}
}

// never is the rule that a string doesn't have a form. It is written without a "not",
// for which the language service for YAML has no message.
func never(whole, message string) object { return ifThen(whole, nothing, message) }

// all is the rule that all the rules are kept.
func all(rules ...object) object { return object{{"allOf", rules}} }

// list is the rule for a list of what $defs has by a name.
func list(def string) object { return object{{"items", ref(def)}} }

// namesOf is the rule for a list of names, which may have only so many, because it is
// the value of a header.
func namesOf(def string) object { return join(list(def), object{{"maxItems", lists.MaxList / 3}}) }

// atMost is the rule for a string's length.
func atMost(characters int) object { return object{{"maxLength", characters}} }

// between is the rule for numbers.
func between(least, most float64) object { return object{{"minimum", least}, {"maximum", most}} }

// oneOf is the rule for a field that has one of a few values, or null.
func oneOf(values ...any) object { return object{{"enum", append(values, nil)}} }

func join(parts ...object) object { return slices.Concat(parts...) }

const notAnOrigin = `is not an origin as browsers send it; write "scheme://host" or "scheme://host:port" in lower case, ` +
	`without a path or a slash at the end; "*." before the host for its subdomains, ":*" for any port; or "null"; or "*"`

// The entries of the lists.
var (
	originEntry = join(
		object{{"description", "an entry of `allow_origins`:" + entryList()}, {"type", []string{"string", "object"}},
			{"examples", entryExamples()}},
		matches(origin, notAnOrigin),
		all(
			ifThen(special+`.*`, specialOrigin, notAnOrigin),
			never(`(http|ws)://.*:80|(https|wss)://.*:443|ftp://.*:21`,
				"has the default port of its scheme, which browsers leave out; leave it out"),
			ifThen(special+endsInNumber+anyPort, special+`(\*\.)?`+ipv4+anyPort,
				`has an invalid IPv4 address; write four numbers from 0 to 255, such as "http://192.0.2.1"`),
			never(anyScheme+`\*\.`+ipv4+anyPort,
				"has a wildcard before an IP address, which has no subdomains; write the address alone"),
			never(anyScheme+`(\*\.)?`+tooLong+anyPort,
				"has a host of more than the 254 characters that DNS allows; shorten it"),
			never(anyScheme+tooDeep+`.*`, "has more than 63 labels; shorten it"),
		),
		fieldsOf(Regex),
		object{{"required", []string{"regex"}}},
	)
	methodEntry = join(
		object{{"type", "string"}, {"examples", []string{"PUT", "PATCH", "DELETE", "*"}}},
		matches(token, `is not a method; write a method such as "PUT", or "*"`),
		all(never(anyCase(forbidden.Methods...), "is a method that browsers never send; leave it out")),
	)
	requestHeaderEntry = join(
		object{{"type", "string"}, {"examples", []string{"Content-Type", "Authorization", "*"}}},
		matches(token, `is not a header name; write a name such as "Content-Type", or "*"`),
		all(
			never(anyCase(lists.ResponseHeaders[:]...),
				"is a response header, and allow_headers are request headers; leave it out: the filter sets it"),
			never(anyCase(forbidden.RequestHeaders...)+`|`+anyCase(forbidden.RequestHeaderPrefixes...)+`.*`,
				"is a header that pages can't set, so no preflight asks for it; leave it out"),
		),
	)
	responseHeaderEntry = join(
		object{{"type", "string"}, {"examples", []string{"X-Request-Id", "*"}}},
		matches(token, `is not a header name; write a name such as "X-Request-Id", or "*"`),
		all(never(anyCase(forbidden.ResponseHeaders...),
			"can't be exposed: browsers hide it from pages; leave it out")),
	)
	hostEntry = join(
		object{{"type", "string"}, {"examples", []string{"api.example.com", "*.example.com", "localhost:8080"}}},
		matches(`((\*\.)?`+bothCases.Replace(domain)+`|`+bothCases.Replace(ipv6)+`)(:`+port+`)?`,
			`is not a host; write a host such as "api.example.com", or "*.example.com" for its subdomains`),
		all(
			never(`\*\.`+ipv4+`\.?`+anyPort, "has a wildcard before an IP address; write the address alone"),
			never(`(\*\.)?`+tooLong+anyPort, "has more than 254 characters; shorten it"),
			never(tooDeep+`[^:.].*`, "has too many labels; shorten it"), // where a dot at the end makes none
		),
	)
	pathEntry = join(
		object{{"type", "object"}, {"minProperties", 1}, {"maxProperties", 1},
			{"examples", []raw{`{"prefix": "/v1"}`, `{"exact": "/v1/users"}`}}},
		fieldsOf(Path),
	)
)

// path is the rule for a path of a match.
func path() object {
	return matches(requestPath,
		`is not a path; write one that begins with a slash, without a query, a fragment, a wildcard or spaces, such as "/v1"`)
}

// seconds is the rule for a time of policy_source, which may be a number of seconds.
func seconds(least, most float64, example string) object {
	return join(between(least, most), matches(`\+?`+duration,
		`is not a duration; write a duration, such as "`+example+`"`))
}

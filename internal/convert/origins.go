package convert

import (
	"regexp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// An originMatcher tests the text of an Origin header, as Envoy's StringMatcher does,
// and those of the tools that are built on it.
type originMatcher struct {
	kind matcherKind
	text string
	// ignoreCase makes no difference to a regex.
	ignoreCase bool
}

type matcherKind string

const (
	exactMatcher    matcherKind = "exact"
	prefixMatcher   matcherKind = "prefix"
	suffixMatcher   matcherKind = "suffix"
	containsMatcher matcherKind = "contains"
	regexMatcher    matcherKind = "regex" // of the whole text
)

// matchOrigin adds the entries to a policy that allow what a matcher does, as far as
// that is safe, and says what they leave out. Whether the policy allows credentials
// must be known already.
func (c *conversion) matchOrigin(d *draft, at *document.Node, m originMatcher) {
	if m.ignoreCase && m.kind != regexMatcher {
		m.text = strings.ToLower(m.text) // as browsers send origins
	}
	t := &translation{credentials: d.AllowCredentials}
	t.matcher(m)
	for _, remark := range t.remarks {
		c.warn(at, remark.what, remark.instead)
	}
	for _, entry := range t.entries {
		// What a matcher has beside others is added once; two matchers that are the
		// same are worth a warning.
		if len(t.entries) == 1 || !slices.Contains(d.AllowOrigins, entry) {
			d.addOrigin(entry, at)
		}
	}
}

// addOrigin adds an entry that comes from a place.
func (d *draft) addOrigin(entry cors.OriginEntry, at *document.Node) {
	d.AllowOrigins = append(d.AllowOrigins, entry)
	d.mark("allow_origins", append(d.at["allow_origins"], at))
}

// A translation is what a matcher becomes.
type translation struct {
	credentials bool
	entries     []cors.OriginEntry
	remarks     []remark
}

type remark struct{ what, instead string }

func (t *translation) add(texts ...string) {
	for _, text := range texts {
		t.entries = append(t.entries, cors.OriginEntry{Text: text})
	}
}

func (t *translation) addRegex(expr string) {
	t.entries = append(t.entries, cors.OriginEntry{Text: expr, Regex: true})
}

func (t *translation) remark(what, instead string) {
	t.remarks = append(t.remarks, remark{what, instead})
}

func (t *translation) matcher(m originMatcher) {
	if m.matchesStar() {
		t.add("*")
		return
	}
	switch m.kind {
	case exactMatcher:
		t.exact(m.text)
	case regexMatcher:
		t.regex(m.text)
	default:
		t.part(m)
	}
}

// matchesStar reports whether the matcher matches the text "*", which Envoy takes for
// one of every origin: so "*" and `\*` stand for the wildcard, and so does `.*`.
func (m originMatcher) matchesStar() bool {
	if m.kind != regexMatcher {
		return m.text == "*"
	}
	re, err := regexp.Compile(`\A(?:` + m.text + `)\z`)
	return err == nil && re.MatchString("*")
}

// exact translates an origin that is compared as it is: what is a wildcard to the
// filter is text there.
func (t *translation) exact(text string) {
	if strings.Contains(text, "*") {
		t.remark(quote(text)+" is compared as it stands, so no origin matches it",
			"left out; to allow what it means by the wildcard, add it to allow_origins")
		return
	}
	t.add(text)
}

// A shape is a set of origins that share a domain, as a matcher describes it.
type shape struct {
	schemes []string
	sub     subdomains
	host    string // in plain text
	port    string // as in an origin, with the colon; ":*" is any port, and none
	tail    bool   // anything may follow
}

// subdomains says what may stand before the host.
type subdomains uint8

const (
	noSubdomain   subdomains = iota
	ofDomain                 // the domain's subdomains
	andDomain                // the domain and its subdomains
	anyBefore                // any text, so other domains that end alike too
	somethingMore            // any text but none
)

var bothSchemes = []string{"https", "http"}

// loose reports whether the shape also has origins that only happen to look alike.
func (s shape) loose() bool { return s.tail || s.sub == anyBefore || s.sub == somethingMore }

// shape adds a shape's origins, but those that only happen to look alike.
func (t *translation) shape(s shape, matcher string) {
	if s.loose() && !isDomain(s.host) {
		t.remark(matcher+" also matches "+quote(s.impostor())+", and "+quote(s.host)+" is no domain",
			"left out; list the origins")
		return
	}
	if s.tail {
		s.port = ":*"
	}
	var origins, carried []string
	for _, scheme := range t.schemes(s, matcher) {
		if s.sub != ofDomain && s.sub != somethingMore {
			origins = append(origins, scheme+"://"+s.host+s.port)
		}
		if s.sub != noSubdomain {
			origins = append(origins, scheme+"://*."+s.host+s.port)
		}
	}
	t.add(origins...)
	if s.loose() {
		for _, origin := range origins {
			carried = append(carried, quote(origin))
		}
		t.remark(matcher+" also matches "+quote(s.impostor()), "carried over as "+strings.Join(carried, ", "))
	}
}

const (
	plainHTTP = " also matches plain http, which whoever is on the network between can forge, " +
		"and the policy has credentials"
	httpsInstead = "carried over for https; have the pages served over https"
)

// schemes are those of a shape that are safe.
func (t *translation) schemes(s shape, matcher string) []string {
	if !t.credentials || len(s.schemes) == 1 || isLoopback(s.host) {
		return s.schemes
	}
	if s.sub == noSubdomain || acceptable(cors.OriginEntry{Text: "https://*." + s.host}) {
		t.remark(matcher+plainHTTP, httpsInstead)
	}
	return []string{"https"}
}

// impostor is an origin that the shape only happens to match.
func (s shape) impostor() string {
	scheme := s.schemes[0] + "://"
	if s.tail {
		return scheme + s.host + ".evil.example"
	}
	return scheme + "evil" + s.host + strings.ReplaceAll(s.port, ":*", "")
}

// isDomain reports whether a host is a name that nobody else has the beginning or the
// end of: more than one label, or localhost.
func isDomain(host string) bool {
	if isLoopback(host) {
		return true
	}
	return strings.Contains(strings.Trim(host, "."), ".") && validOrigin("https://"+host) &&
		!strings.HasSuffix(host, ".")
}

// isLoopback reports whether plain http is safe for a host, as the engine has it.
func isLoopback(host string) bool {
	return acceptable(cors.OriginEntry{Text: "http://" + host})
}

var (
	portAtEnd   = regexp.MustCompile(`:[0-9]+$`)
	wholePrefix = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://([^:/*]+)(:[0-9]*)?$`)
)

// part translates a prefix, a suffix, or a text anywhere in the origin.
func (t *translation) part(m originMatcher) {
	matcher := "the " + string(m.kind) + " " + quote(m.text)
	if m.kind == containsMatcher {
		matcher = "the text " + quote(m.text) + " anywhere in an origin"
	}
	if strings.ContainsAny(m.text, "*^$\\ ") || m.hasPath() {
		t.remark(matcher+" has characters that no origin has, so none matches", "left out; list the origins")
		return
	}
	if m.kind == prefixMatcher {
		t.prefix(m, matcher)
		return
	}
	if s := m.shape(); s.host == "" || strings.ContainsAny(s.host, ":/") || !validOrigin("https://"+s.host) {
		t.anySite(m, matcher)
	} else {
		t.shape(s, matcher)
	}
}

// prefix translates the beginning of an origin.
func (t *translation) prefix(m originMatcher, matcher string) {
	found := wholePrefix.FindStringSubmatch(m.text)
	switch {
	case found == nil:
		t.anySite(m, matcher)
	case found[3] != "" && validOrigin(found[1]+"://"+found[2]):
		// The beginning of a port, which nothing but digits can follow.
		t.addRegex(regexp.QuoteMeta(m.text) + "[0-9]" + map[bool]string{true: "+", false: "*"}[found[3] == ":"])
	default:
		t.shape(shape{schemes: []string{found[1]}, host: found[2], tail: true}, matcher)
	}
}

// shape is the shape of what has the text at its end, or anywhere.
func (m originMatcher) shape() shape {
	s := shape{schemes: bothSchemes, host: m.text, tail: m.kind == containsMatcher}
	switch scheme, host, found := strings.Cut(m.text, "://"); {
	case found:
		// With the end of a scheme, it is a whole origin, or nearly so.
		s.host = host
		s.schemes = slices.DeleteFunc(slices.Clone(bothSchemes),
			func(one string) bool { return !strings.HasSuffix(one, scheme) })
		if len(s.schemes) == 0 {
			s.schemes = []string{scheme}
		}
	case strings.HasPrefix(s.host, "/"):
		s.host = strings.TrimPrefix(s.host[1:], "/")
	case strings.HasPrefix(s.host, "."):
		s.sub, s.host = ofDomain, s.host[1:]
	default:
		s.sub = anyBefore
	}
	if port := portAtEnd.FindString(s.host); port != "" && !s.tail {
		s.port, s.host = port, strings.TrimSuffix(s.host, port)
	}
	return s
}

// hasPath reports whether the text has a slash where no origin has one.
func (m originMatcher) hasPath() bool {
	rest := m.text
	if _, after, found := strings.Cut(rest, "://"); found {
		rest = after
	} else if m.kind != prefixMatcher {
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "/"), "/")
	}
	return strings.Contains(rest, "/")
}

// everySite reports whether the engine takes a regex for one of every site.
func everySite(expr string) bool {
	p := refusal(cors.OriginEntry{Text: expr, Regex: true}, true)
	return p != nil && p.Kind == problem.EverySite
}

// acceptable reports whether the engine takes an entry of a policy with credentials.
func acceptable(entry cors.OriginEntry) bool { return refusal(entry, true) == nil }

// anySite translates a matcher that tells no domain apart: the engine decides what
// is to be made of it.
func (t *translation) anySite(m originMatcher, matcher string) {
	text := regexp.QuoteMeta(m.text)
	expr := map[matcherKind]string{prefixMatcher: text + ".*", suffixMatcher: ".*" + text,
		containsMatcher: ".*" + text + ".*"}[m.kind]
	if p := refusal(cors.OriginEntry{Text: expr, Regex: true}, true); p != nil && p.Kind != problem.EverySite {
		t.remark(matcher+" can match origins of others", "left out; list the origins")
		return
	}
	t.addRegex(expr)
}

// wholeOrigin is a regex of origins that share a domain: scheme, what may stand before
// the domain, the domain, its port, and what may follow.
var wholeOrigin = regexp.MustCompile(`^(` + anyScheme +
	`|https|http|https\?|http\[s\]\?|http\(s\)\?|http\(s\?\)|\((?:\?:)?https\?\)|\((?:\?:)?https?\|https?\))` +
	`(://)?` +
	`(` + `\.[*+]\\\.|\((?:\?:)?\.[*+]\\\.\)[?*]?|\((?:\?:)?\.[*+]\)\\\.|\.[*+]|\(\.[*+]\)` + `)?` +
	`([a-z0-9_-]+(?:\\\.[a-z0-9_-]+)*)` +
	`(:[0-9]+|\((?:\?:)?:(?:\[0-9\]|\\d)[+*]\)\?|:\.\*|\((?:\?:)?:\.\*\)\?)?` +
	`(\.\*)?$`)

// anyScheme are the ways to begin a regex with anything.
const anyScheme = `\.[*+]|\(\.[*+]\)|`

// regex translates a regex that matches a whole origin.
func (t *translation) regex(expr string) {
	if _, err := regexp.Compile(expr); err != nil || expr == "" {
		t.addRegex(expr) // the engine says what is wrong
		return
	}
	if list := alternatives(expr); len(list) > 1 {
		for _, one := range list {
			t.regex(one)
		}
		return
	}
	if expr == "null" {
		t.add(expr) // which no regex of the filter allows
		return
	}
	matcher, said := "the regex "+quote(expr), len(t.remarks)
	expr = plainSlashes(strings.TrimPrefix(expr, "^"))
	if strings.HasSuffix(expr, "$") && !strings.HasSuffix(expr, `\$`) {
		expr = expr[:len(expr)-1]
	}
	if escaped, domain := escapeDots(expr); escaped != expr {
		t.remark(matcher+" has a dot that matches any character, so other domains than "+quote(domain)+" match",
			`carried over with "\\." for it`)
		expr = escaped
	}
	if s, ok := regexShape(expr); ok {
		t.shape(s, matcher)
		return
	}
	if t.credentials && !everySite(expr) {
		expr = t.httpsOnly(expr, matcher)
	}
	if len(t.remarks) > said && neverCarried(expr) {
		t.remarks = t.remarks[:said] // which say how it is carried over
	}
	t.addRegex(expr)
}

// neverCarried reports whether a regex will be left out, with credentials or without.
func neverCarried(expr string) bool {
	_, problems := cors.Compile(cors.Config{AllowOrigins: []cors.OriginEntry{{Text: expr, Regex: true}}})
	return slices.ContainsFunc(problems, func(p cors.Problem) bool {
		return p.Index >= 0 && p.Kind != problem.RegexNull
	})
}

// alternatives are the parts of a regex that stand beside each other, such as those of
// "a|b" and of "^(a|b)$"; or the regex alone.
func alternatives(expr string) []string {
	if strings.Contains(strings.ReplaceAll(expr, "(?:", ""), "(?") || strings.Contains(expr, `\Q`) {
		return []string{expr} // flags, which are for all that follows
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(expr, "^"), "$")
	if strings.HasPrefix(inner, "(") && closing(inner) == len(inner)-1 {
		if list := split(strings.TrimPrefix(inner[1:len(inner)-1], "?:")); len(list) > 1 {
			return list
		}
	}
	return split(expr)
}

// split splits a regex at the bars that are in no group.
func split(expr string) (list []string) {
	from := 0
	scan(expr, func(i, depth int) bool {
		if expr[i] == '|' && depth == 0 {
			list, from = append(list, expr[from:i]), i+1
		}
		return true
	})
	return append(list, expr[from:])
}

// closing is where the group ends that a regex begins with, or -1.
func closing(expr string) (at int) {
	at = -1
	scan(expr, func(i, depth int) bool {
		if depth == 0 {
			at = i
		}
		return at < 0
	})
	return at
}

// scan visits the characters of a regex that are no part of an escape or a class, as long
// as visit wants more. depth is in how many groups one is, or those behind it are.
func scan(expr string, visit func(i, depth int) bool) {
	class, depth := false, 0
	for i := 0; i < len(expr); i++ {
		switch c := expr[i]; {
		case c == '\\':
			i++
			continue
		case class || c == '[':
			class = c != ']'
			continue
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		if !visit(i, depth) {
			return
		}
	}
}

// regexShape finds the domain in a regex that is written in one of the usual ways.
func regexShape(expr string) (s shape, ok bool) {
	found := wholeOrigin.FindStringSubmatch(expr)
	if found == nil {
		return s, false
	}
	scheme, slashes, sub, host, port, tail := found[1], found[2], found[3], found[4], found[5], found[6]
	s.schemes, s.host, s.tail = bothSchemes, strings.ReplaceAll(host, `\.`, "."), tail != ""
	switch {
	case scheme == "https" || scheme == "http":
		s.schemes = []string{scheme}
	case scheme == "" && slashes == "" && sub == "":
		return s, false // a host without a scheme, which is no origin
	}
	switch {
	case (slashes == "") == (scheme == ""):
	case slashes != "" || sub != "" || !strings.Contains(scheme, "."):
		return s, false // slashes alone, two wildcards, or http without slashes
	default:
		sub = scheme
	}
	switch {
	case sub == "":
	case !strings.Contains(sub, `\.`) && strings.Contains(sub, "+"):
		s.sub = somethingMore
	case !strings.Contains(sub, `\.`):
		s.sub = anyBefore
	case strings.HasSuffix(sub, ")?"), strings.HasSuffix(sub, ")*"):
		s.sub = andDomain
	default:
		s.sub = ofDomain
	}
	switch {
	case strings.HasPrefix(port, "("):
		s.port = ":*"
	case strings.HasPrefix(port, `:.`):
		return s, false // a port that must be there
	default:
		s.port = port
	}
	return s, !s.tail || !strings.HasPrefix(port, ":") // the beginning of a port
}

var beginsWithHTTP = []string{"https?://", "http[s]?://", "http(s)?://", "http(s?)://", "(https?)://", "(?:https?)://",
	"(http|https)://", "(https|http)://", "(?:http|https)://", "(?:https|http)://", "[a-z]+://", "\\w+://", ".*://",
	".+://"}

// httpsOnly is the part of a regex that matches no plain http.
func (t *translation) httpsOnly(expr, matcher string) string {
	for _, begin := range beginsWithHTTP {
		if rest, ok := strings.CutPrefix(expr, begin); ok && !strings.Contains(rest, "|http") {
			t.remark(matcher+plainHTTP, httpsInstead)
			return "https://" + rest
		}
	}
	return expr
}

// escapeDots escapes the dots of a regex that stand between parts of a domain, where
// they are meant as dots. It returns one of the domains, too.
func escapeDots(expr string) (escaped, domain string) {
	if strings.Contains(expr, `\Q`) {
		return expr, ""
	}
	var b strings.Builder
	from := 0
	scan(expr, func(i, _ int) bool {
		if expr[i] != '.' || i == 0 || i+1 == len(expr) || !alphanumeric(expr[i+1]) ||
			!alphanumeric(expr[i-1]) && strings.IndexByte("*+)]?}", expr[i-1]) < 0 {
			return true
		}
		b.WriteString(expr[from:i] + `\`)
		from = i
		if domain == "" {
			domain = domainAround(expr, i)
		}
		return true
	})
	return b.String() + expr[from:], domain
}

// domainAround is the text of letters, digits, hyphens and dots around an offset.
func domainAround(expr string, at int) string {
	inDomain := func(i int) bool {
		return i >= 0 && i < len(expr) && (alphanumeric(expr[i]) || expr[i] == '-' || expr[i] == '.' ||
			expr[i] == '\\' && i+1 < len(expr) && expr[i+1] == '.')
	}
	from, to := at, at
	for inDomain(from - 1) {
		from--
	}
	for inDomain(to + 1) {
		to++
	}
	return strings.ReplaceAll(strings.TrimLeft(expr[from:to+1], ".*"), `\.`, ".")
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

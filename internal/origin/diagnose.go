package origin

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// What is wrong with an entry of allow_origins, and what to write instead. Whatever a
// message tells people to write is tried before: a suggestion that is refused in turn
// costs its reader a round more than none.

// A diagnosis says what is wrong with an entry.
type diagnosis struct {
	kind problem.Kind // [problem.NotOrigin] if it isn't said
	// what follows the entry in a message if it begins with a space, and stands alone
	// otherwise.
	what string
	// mended are entries in place of the one that is wrong, the best first. They may
	// have something else wrong with them.
	mended []string
	// regexes are regexes that might be meant.
	regexes []string
	// all says that every one of mended is to be written, and not one of them.
	all bool
	// instead is what to do if none of them is right.
	instead string
}

const inUpperCase = " has upper-case letters, which browsers never send in an origin"

const anOrigin = `write an origin, such as "https://app.example"`

// Limits of what is mended: how many things in an entry one after the other, and how
// long the entry and what is written instead may be.
const (
	maxMends   = 8
	MaxMended  = 1000
	MaxInstead = 400
)

// A mender finds out what entries of allow_origins are meant to be. What it tells people
// to write is right for a policy that allows credentials, or doesn't.
type mender struct {
	credentials bool
	// regexes is how many more are tried. With credentials that takes much memory.
	regexes int
}

func newMender(credentials bool) *mender { return &mender{credentials, 5} }

// mend says to write what s is meant to be, or otherwise if that isn't clear.
func (m *mender) mend(s, otherwise string) string {
	if instead := m.try(s, maxMends); instead != "" {
		return "write " + instead
	}
	return otherwise
}

// try returns what s is meant to be, as JSON, or "".
func (m *mender) try(s string, depth int) string {
	p, ok := readPattern(s)
	switch {
	case !ok:
		d := diagnose(s)
		return d.try(m, depth-1)
	case p.overAddress():
		return m.try(strings.Replace(s, "*.", "", 1), depth-1)
	case p.tooDeep():
		return ""
	case m.credentials && p.insecure() && !p.overPublicSuffix():
		return m.try("https"+strings.TrimSuffix(strings.TrimPrefix(s, "http"), ":443"), depth-1)
	case m.credentials && p.trustsStrangers():
		return ""
	}
	return problem.InQuotes(s)
}

// meant is the diagnosis of an entry that can be mended. It isn't inlined: the copies would
// add 3 kB to the module.
//
//go:noinline
func meant(what, mended string) diagnosis { return diagnosis{what: what, mended: []string{mended}} }

// neverSent is the diagnosis of an entry that can be mended, and is an origin but for how
// browsers write it.
func neverSent(what, mended string) diagnosis {
	d := meant(what, mended)
	d.kind = problem.NeverSent
	return d
}

// advised is the diagnosis of an entry that can't be mended.
func advised(what, instead string) diagnosis { return diagnosis{what: what, instead: instead} }

// of says in words what is wrong with the entry.
func (d *diagnosis) of(entry string) string {
	if strings.HasPrefix(d.what, " ") {
		return problem.Quote(entry) + d.what
	}
	return d.what
}

func (d *diagnosis) suggest(m *mender, depth int) string {
	if mended := d.try(m, depth); mended != "" {
		return "write " + mended
	}
	return cmp.Or(d.instead, anOrigin)
}

// try returns what is to be written, as JSON, or "".
func (d *diagnosis) try(m *mender, depth int) string {
	if depth <= 0 {
		return ""
	}
	var list []string
	length := 0
	for _, s := range d.mended {
		mended := ""
		if len(s) <= MaxMended {
			mended = m.try(s, depth)
		}
		length += len(mended)
		switch {
		case d.all && (mended == "" || length > MaxInstead):
			return ""
		case mended == "" || slices.Contains(list, mended):
			continue
		case !d.all:
			return mended
		}
		list = append(list, mended)
	}
	if list != nil {
		return strings.Join(list, ", ")
	}
	for _, expr := range d.regexes {
		if m.acceptsRegex(expr) {
			return regexEntry(expr)
		}
	}
	return ""
}

// acceptsRegex reports whether the policy may have a regex. It is one that can be shown
// on a line.
func (m *mender) acceptsRegex(expr string) bool {
	unreadable := func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }
	if len(expr) > MaxInstead || strings.ContainsFunc(expr, unreadable) {
		return false
	}
	if m.regexes--; m.regexes < 0 {
		return false
	}
	v, ok := judge(expr, &RegexBudget{steps: regexSteps / 16})
	return ok && (!m.credentials || v.trusted())
}

// diagnose says what is wrong with an entry of allow_origins that isn't right.
func diagnose(s string) diagnosis {
	if name, ok := Variable(s); ok {
		return diagnoseVariable(name)
	}
	if d := diagnoseText(s); d.what != "" {
		return d
	}
	if LooksLikeRegex(s) {
		return diagnoseRegex(s)
	}
	if list := splitList(s); len(list) > 1 || len(list) == 1 && list[0] != s {
		return diagnosis{
			what: " is a list in one string", mended: list, all: true,
			instead: "write each origin as a string of its own",
		}
	}
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return advised(" contains white space", "write each origin as a string of its own, without spaces")
	}
	scheme, rest, found := strings.Cut(s, "://")
	lower, server := strings.ToLower(scheme), before(rest, "/?#")
	switch {
	case !found, scheme != "" && strings.HasPrefix(s, "blob:"):
		return diagnoseScheme(s)
	case strings.Contains(scheme, "*"):
		d := diagnosis{kind: problem.WildcardMisplaced, what: " has a wildcard in its scheme",
			instead: "write one entry for each scheme"}
		if host := strings.TrimSuffix(server, ":*"); host == "*" {
			d.mended = []string{"*"}
		} else {
			// Whoever trusts a site with credentials doesn't mean its pages over http.
			d.mended, d.all = []string{"https://" + rest, "http://" + rest}, true
		}
		return d
	case !validScheme(lower):
		return advised(" has an invalid scheme", `write a scheme such as "https"`)
	case lower != scheme:
		return neverSent(inUpperCase, lower+"://"+rest)
	case special(scheme) && strings.ToLower(server) != server && IsASCII(s):
		return neverSent(inUpperCase, strings.ToLower(withoutPath(s)))
	case rest == "":
		return meant(" has no host", s+"app.example")
	}
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		part := "a backslash"
		switch {
		case rest[i:] == "/":
			part = "a path (a trailing slash)"
		case rest[i] == '/':
			part = "a path"
		case rest[i] == '?':
			part = "a query"
		case rest[i] == '#':
			part = "a fragment"
		}
		return meant(" has "+part+", and an origin is only scheme, host and port", withoutPath(s))
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		return meant(" has user information, which an origin never has", scheme+"://"+rest[i+1:])
	}
	if inner := strings.TrimSuffix(strings.TrimPrefix(rest, "*."), ":*"); inner == "" || strings.Contains(inner, "*") {
		return diagnoseWildcard(s, scheme, rest)
	}
	return diagnoseHost(scheme, rest)
}

// diagnoseVariable says what is wrong with an entry that has a variable.
func diagnoseVariable(name string) diagnosis {
	if strings.Contains(strings.ToLower(name), "http_origin") {
		return diagnosis{
			kind:    problem.Placeholder,
			what:    " is a variable of nginx, and nothing here fills it in: it would allow every origin",
			mended:  []string{"*"},
			instead: "list the origins of the pages that may read answers",
		}
	}
	return placeholder(" has a variable, and nothing here fills it in")
}

// placeholder is the diagnosis of an entry that stands for others.
func placeholder(what string) diagnosis {
	return diagnosis{kind: problem.Placeholder, what: what, instead: "write the origins themselves"}
}

// diagnoseText finds what is wrong with an entry as a text.
func diagnoseText(s string) diagnosis {
	trimmed := strings.TrimSpace(s)
	visible := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || r < ' ' && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
	unquoted := strings.Trim(s, "\"'`<>“”‘’")
	switch {
	case trimmed == "":
		return advised("is empty", anOrigin)
	case strings.ContainsRune(s, utf8.RuneError):
		return advised(" has U+FFFD, which stands where a character was lost",
			"write it anew, and save the file as UTF-8")
	case trimmed != s:
		return meant(" has white space around it", trimmed)
	case visible != s:
		return meant(" has a character that can't be seen", visible)
	case unquoted != s && ownOrigin(unquoted):
		d := diagnoseScheme(unquoted)
		d.what = d.of(unquoted)
		return d
	case unquoted != s && strings.HasPrefix(s, "<") && strings.ContainsFunc(unquoted, unicode.IsSpace):
		return placeholder(" is a placeholder, and nothing here fills it in")
	case unquoted != s && strings.Trim(s, "<>") == unquoted:
		return meant(" has brackets around it", unquoted)
	case unquoted != s:
		return meant(" has quotes within the string", unquoted)
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && !strings.Contains(s, "://["):
		return diagnosis{what: " is a list in one string", mended: []string{s[1 : len(s)-1]},
			instead: "write each origin as a string of its own"}
	}
	return diagnosis{}
}

// diagnoseScheme says what is wrong with an entry without "://".
func diagnoseScheme(s string) diagnosis {
	head, tail, colon := strings.Cut(s, ":")
	host := strings.TrimLeft(s, "/")
	if colon && (head == "http" || head == "https") {
		host = strings.TrimLeft(tail, "/")
	}
	scheme := "https://"
	if name, _ := RepairHost(host); loopback(beforePort(name)) {
		scheme = "http://" // where no one has a certificate
	}
	switch {
	case strings.EqualFold(s, "null"):
		return meant(" is not an origin", "null")
	case strings.Trim(s, "*") == "" || everyone(s):
		return diagnosis{
			what: " is not an origin", mended: []string{"*"},
			instead: "list the origins, or leave out allow_credentials",
		}
	case head == "blob" && strings.Contains(tail, "://"):
		return meant(" is a blob's URL, whose pages have the origin of the page that made it", withoutPath(tail))
	case ownOrigin(s):
		return advised(" is not an origin", "leave it out: pages of the API's own origin need no CORS")
	case colon && neverOrigin(head):
		return neverSent(` is no page's origin: pages of the scheme `+head+` have the origin "null"`, "null")
	case strings.Contains(s, ":/"):
		return meant(" has one slash where two should stand", strings.Replace(s, ":/", "://", 1))
	case colon && tail == "" && validScheme(head):
		return meant(" is a scheme alone", head+"://")
	case colon && validScheme(head) && !strings.Contains(head, ".") && head != "http" && head != "https" &&
		strings.Trim(tail, "0123456789*") == tail:
		return meant(" has no slashes after its scheme", head+"://"+tail)
	}
	return meant(" has no scheme", withoutPath(scheme+host))
}

// Words for every origin in other tools, and for the origin of the API itself, as in a
// Content-Security-Policy.
var (
	everyoneWords = []string{"all", "any", "every", "everyone", "wildcard"}
	ownWords      = []string{"self", "same-origin", "same-site", "this"}
)

func everyone(s string) bool  { return slices.Contains(everyoneWords, strings.ToLower(s)) }
func ownOrigin(s string) bool { return slices.Contains(ownWords, strings.ToLower(s)) }

func beforePort(s string) string {
	host, _, _ := CutPort(s)
	return host
}

// diagnoseWildcard says what is wrong with an entry that has a wildcard where none can
// stand.
func diagnoseWildcard(s, scheme, rest string) diagnosis {
	d := diagnosis{
		kind:    problem.WildcardMisplaced,
		what:    " has a wildcard where none can stand",
		instead: `write all subdomains as "scheme://*.host", all ports as "scheme://host:*", or {"regex": "…"}`,
	}
	host, port := strings.TrimSuffix(rest, ":*"), ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host, port = host[:i], host[i:]
	}
	port = strings.ReplaceAll(port, "*", "[0-9]*")
	if name, ok := strings.CutPrefix(host, "**."); ok && !strings.Contains(name, "*") && strings.Contains(name, ".") {
		d.mended = []string{scheme + "://*." + name + rest[len(host):]} // any number of labels, as elsewhere
		return d
	}
	switch {
	case len(s) > MaxMended: // for which there is nothing to write, whatever is in it
	case host == "":
		d.kind, d.what, d.mended = problem.NotOrigin, " has no host", []string{scheme + "://"}
	case host == "*" || host == "*.":
		d.what = " would be every origin of the scheme " + scheme
		d.regexes = []string{scheme + "://" + everyHost(scheme) + port}
		d.instead = "list the origins, or leave out allow_credentials"
	case strings.HasPrefix(host, "*") && !strings.HasPrefix(host, "*-") && strings.Count(host, "*") == 1 &&
		strings.Contains(strings.TrimPrefix(host, "*."), "."):
		d.mended = []string{scheme + "://*." + strings.TrimPrefix(host, "*") + strings.TrimPrefix(rest, host)}
		fallthrough
	default:
		letters := "[a-z0-9-]+"
		if !special(scheme) {
			letters = "[A-Za-z0-9.-]*"
		}
		expr := ""
		if name, ok := strings.CutPrefix(host, "*."); ok {
			host, expr = name, "([a-z0-9-]+\\.)+"
		}
		for i, part := range strings.Split(host, "*") {
			if i > 0 && !strings.HasSuffix(expr, letters) {
				expr += letters
			}
			expr += QuoteRegex(part)
		}
		if strings.HasSuffix(rest, ":*") {
			port = "(:[0-9]+)?"
		}
		d.regexes = []string{scheme + "://" + expr + port}
	}
	return d
}

// LooksLikeRegex reports whether an entry was meant to be a regex.
func LooksLikeRegex(s string) bool {
	for _, part := range [...]string{
		`\.`, `\/`, `\d`, `\w`, "(", "^", "+)", "://.*", "://.+", "]+", "]*", "]{", "?://",
		"://[a-z", "://[^", "://[0-9", "://[A-Z", "://[-", `://\`,
	} {
		if strings.Contains(s, part) {
			return true
		}
	}
	return strings.HasPrefix(s, ".*") || strings.HasPrefix(s, ".+") || strings.HasPrefix(s, "~") ||
		strings.HasSuffix(s, "$")
}

// diagnoseRegex says what to write in place of a regex that stands as a string.
func diagnoseRegex(s string) diagnosis {
	expr := s
	for _, prefix := range [...]string{"regex:", "regexp:", "re:", "regex=", "r:"} {
		expr = strings.TrimPrefix(expr, prefix)
	}
	expr = strings.TrimLeft(expr, "~* ")
	if len(expr) > 1 && expr[0] == '/' && strings.HasSuffix(expr, "/") {
		expr = expr[1 : len(expr)-1]
	}
	expr = strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(expr, `\/`, "/"), "^"), "$")
	expr = strings.TrimSuffix(expr, "/")
	d := diagnosis{what: " is a regex, written as an origin", regexes: []string{expr},
		instead: `write {"regex": "…"}, with a regex for your own sites alone`}
	if rest, both := strings.CutPrefix(expr, "https?"); both {
		d.regexes = append(d.regexes, "https"+rest)
	}
	// What has no other escape than that of a dot is literal, and where dots aren't
	// escaped at all, nobody meant them to match anything.
	plain := expr
	for _, escaped := range [...]string{`\.`, `\-`, `\:`} {
		plain = strings.ReplaceAll(plain, escaped, escaped[1:])
	}
	if !strings.Contains(expr, `\`) {
		for _, wildcard := range [...]string{"://.*.", "://.+.", "://(.*.)?", "://(.+.)?"} {
			plain = strings.Replace(plain, wildcard, "://*.", 1)
		}
	}
	if _, ok := readPattern(plain); ok {
		d.mended = []string{plain}
	}
	return d
}

// Variable returns the name of a variable of a shell, a template or a server in s.
func Variable(s string) (name string, ok bool) {
	for _, form := range [...]struct{ open, end string }{
		{"${", "}"}, {"$(", ")"}, {"{{", "}}"}, {"<%", "%>"}, {"%{", "}"}, {"#{", "}"}, {"$[[", "]]"},
	} {
		if _, rest, found := strings.Cut(s, form.open); found && (form.open != "$(" || !strings.Contains(s, "://")) {
			name, _, _ = strings.Cut(rest, form.end)
			return name, true
		}
	}
	if i := strings.IndexByte(s, '$'); i >= 0 && i+1 < len(s) && (isLower(s[i+1]|0x20) || s[i+1] == '_') &&
		(i == 0 || special(before(s, ":"))) {
		return s[i+1:], true
	}
	return "", false
}

// splitList splits a list in one string. Spaces separate only what has schemes, because
// else they may be anything.
func splitList(s string) []string {
	spaces := strings.Count(s, "://") > 1 // found out once, not for each space
	return strings.FieldsFunc(s, func(r rune) bool {
		return r == ',' || r == ';' || r == '|' || unicode.IsSpace(r) && spaces
	})
}

// withoutPath is the part of a URL before its path, query and fragment.
func withoutPath(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	return scheme + "://" + before(rest, `/?#\`)
}

// before is the part of s before the first of the characters.
func before(s, characters string) string {
	if i := strings.IndexAny(s, characters); i >= 0 {
		return s[:i]
	}
	return s
}

// diagnoseHost says what is wrong with host[:port].
func diagnoseHost(scheme, rest string) diagnosis {
	bare := strings.TrimSuffix(rest, ":*")
	everyPort := rest[len(bare):]
	if strings.Count(bare, ":") > 1 || strings.HasPrefix(bare, "[") {
		return diagnoseIPv6(scheme, bare, everyPort)
	}
	host, port, hasPort := strings.Cut(bare, ":")
	if hasPort {
		n, ok := parseUint(port, 65535)
		switch shorter := strings.TrimLeft(port, "0"); {
		case port == "":
			return meant(" has a colon and no port", scheme+"://"+host)
		case !ok && shorter != "" && shorter != port:
			return meant(" has an invalid port", scheme+"://"+host+":"+shorter)
		case !ok:
			return advised(" has an invalid port", `write a number from 0 to 65535, or "*"`)
		case n == defaultPort(scheme):
			return neverSent(" has the default port of its scheme, which browsers leave out",
				scheme+"://"+host+everyPort)
		case everyPort != "":
			return meant(" has two ports", scheme+"://"+host+everyPort)
		}
	}
	tail := rest[len(host):]
	switch {
	case host == "":
		return meant(" has no host", scheme+"://app.example")
	case len(host) > MaxHost:
		return diagnosis{kind: problem.TooLarge, what: "the host is longer than the " + strconv.Itoa(MaxHost) +
			" characters that DNS allows", instead: "shorten it"}
	case !IsASCII(host):
		d := diagnosis{kind: problem.NeverSent, what: " has characters outside ASCII, which browsers send as Punycode",
			instead: `write the host's "xn--" form`}
		if ascii, ok := toASCII(host); ok {
			d.mended = []string{scheme + "://" + ascii + tail}
		}
		return d
	case !special(scheme):
		return advised(" has an invalid host", "write letters, digits, hyphens, dots and underscores")
	case endsInNumber(host):
		return advised(" has an invalid IPv4 address", `write four numbers from 0 to 255, such as "http://192.0.2.1"`)
	case strings.HasPrefix(host, ".") && len(host) > 1:
		return meant(" begins with a dot", scheme+"://*"+host+tail)
	}
	return advised(" has an invalid host", "write letters, digits, hyphens and dots")
}

// diagnoseIPv6 says what is wrong with a host that should be an IPv6 address.
func diagnoseIPv6(scheme, bare, everyPort string) diagnosis {
	address, tail := strings.Trim(bare, "[]"), ""
	i := len(bare) - len("]:")
	for i >= 0 && !strings.HasPrefix(bare[i:], "]:") {
		i--
	}
	if i >= 0 {
		address, tail = strings.Trim(bare[:i], "[]"), bare[i+1:]
	}
	pieces, ok := parseIPv6(address)
	if !ok {
		return advised(" has an invalid IPv6 address", `write it as browsers do, such as "http://[::1]:8080"`)
	}
	short := string(appendIPv6(nil, pieces))
	if strings.TrimPrefix(tail, ":") == strconv.Itoa(defaultPort(scheme)) || everyPort != "" {
		tail = everyPort
	}
	kind, wrong := problem.NotOrigin, " has an IPv6 address without brackets"
	switch {
	case bare[0] == '[' && address == short:
		tail = everyPort
		kind, wrong = problem.NeverSent,
			" has a port that is out of range, or the scheme's default, which browsers leave out"
	case bare[0] == '[':
		kind, wrong = problem.NeverSent,
			" has an IPv6 address that isn't in its shortest form, in which browsers send it"
	}
	return diagnosis{kind: kind, what: wrong, mended: []string{scheme + "://[" + short + "]" + tail}}
}

// MalformedInWords says what is wrong with an Origin header, where it is what people
// write by hand and browsers don't. It repeats only what is an origin but for that, and
// so is short and printable.
func MalformedInWords(s string) string {
	const unknown = "the Origin header is not one serialized origin"
	if s == "" {
		return "the Origin header is empty"
	}
	mended, slash := strings.CutSuffix(s, "/")
	if len(mended) > maxOrigin {
		return unknown
	}
	_, ok := parseOrigin(mended) // whose host may have upper-case letters, if it is opaque
	upper := !ok
	if upper {
		lower := strings.ToLower(mended)
		// What isn't ASCII and becomes so has another length then.
		if _, ok = parseOrigin(lower); !ok || len(lower) != len(mended) {
			return unknown
		}
	}
	switch {
	case upper && slash:
		return "the Origin header " + s + " has upper-case letters and a slash at its end, as browsers never send it"
	case upper:
		return "the Origin header " + s + " has upper-case letters, as browsers never send it"
	case slash:
		return "the Origin header " + s + " has a slash at its end, as browsers never send it"
	}
	return unknown
}

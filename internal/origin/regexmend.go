package origin

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// maxMendedRegex is how long a regex may be that is mended, which takes a dozen times what it
// takes to compile it. A longer one is answered with an example.
const maxMendedRegex = 256

// A mending is a regex that was meant, and what was wrong with the one that was written.
type mending struct {
	expr, because string
	pattern       bool // expr is an entry that isn't a regex
}

func (m mending) instead() string {
	if m.pattern {
		return "write " + problem.InQuotes(m.expr) + ", which is no regex"
	}
	return "write " + regexEntry(m.expr)
}

// wildcard is the pattern that was written as a regex, such as "https://*.example.com";
// ok is false if there is none, or it isn't safe.
func wildcard(expr string, credentials bool) (pattern string, ok bool) {
	if strings.HasPrefix(expr, "*.") {
		expr = "https://" + expr
	}
	p, ok := readPattern(expr)
	return expr, ok && p.fits() && p.kind == tuplePattern && p.subdomains && (!credentials || !p.trustsStrangers())
}

// mendRegex finds the regex that was meant by one that isn't right: it tries the usual
// mistakes until the regex is right, and then regexes of the domain that it was found open for.
func mendRegex(expr string, v verdict, credentials bool, budget *RegexBudget) mending {
	if pattern, ok := wildcard(expr, credentials); ok {
		return mending{expr: pattern, pattern: true}
	}
	var tokens []token
	if len(expr) <= maxMendedRegex {
		tokens = tokenize(expr)
	}
	isRight := func(expr string) bool { return right(expr, credentials, budget) }
	// First each mistake on its own, because what mends one may spoil what is right.
	for i := range mistakes {
		if m := mendMistakes(tokens, mistakes[i:i+1], isRight); m.expr != "" {
			return m
		}
	}
	m := mendMistakes(tokens, mistakes[:], isRight)
	if m.expr != "" {
		return m
	}
	for _, m.expr = range regexesOf(v.strangers) {
		if isRight(m.expr) {
			return m
		}
	}
	m.expr = exampleRegex
	return m
}

// mendMistakes mends mistakes, one after the other, until the regex is right. If it never
// is, the mending has no expr, and what was wrong all the same.
func mendMistakes(tokens []token, mistakes []mistake, right func(expr string) bool) (m mending) {
	for _, mistake := range mistakes {
		mended := mistake.mend(tokens)
		if len(mended) == 0 || slices.Equal(mended, tokens) {
			continue
		}
		tokens = mended
		if m.because == "" && mistake.because != "" {
			m.because = ", because " + mistake.because
		}
		if text := join(tokens); right(text) {
			m.expr = text
			return m
		}
	}
	return m
}

// regexesOf are regexes of the domain of strangers, the better one first. One that the regex
// only counted, such as a.org of [ab]+\.org, belongs to somebody else.
func regexesOf(s strangers) (list []string) {
	const scheme = "https://"
	domain, below := strings.CutPrefix(s.domain, ".")
	name, ok := domain, true
	if !below {
		name, ok = ownName(domain)
		ok = ok && (!s.counted || name != domain)
		_, domain, _ = strings.Cut(domain, ".") // behind the first dot are whole labels
	}
	if ok && validPattern(scheme+"*."+name) && owned(name) {
		list = append(list, scheme+`([a-z0-9-]+\.)*`+QuoteRegex(name))
	}
	if domain != "" {
		list = append(list, scheme+`my-name\.`+QuoteRegex(domain))
	}
	return list
}

// ownName is the domain that is more likely to be meant by the literal end of a host: what
// is behind digits and hyphens. But where others' sites have such names too, as those of a
// deployment (my-app-git-x-my-team), there is none.
func ownName(end string) (domain string, ok bool) {
	domain = strings.TrimLeft(end, "0123456789-_")
	if domain == end {
		return domain, true
	}
	_, suffix, _ := strings.Cut(domain, ".")
	shared := strings.Contains(suffix, ".") && !strings.HasSuffix(strings.TrimSuffix(end, domain), "--")
	return domain, domain != "" && domain[0] != '.' && !shared
}

// right reports whether a regex would be accepted without a warning. Where the budget is
// spent nothing is known of it.
func right(expr string, credentials bool, budget *RegexBudget) bool {
	v, ok := judge(expr, budget)
	return ok && !v.nothing && !v.others && !v.everySite && (!credentials || !v.plain && !v.doubt)
}

// judge finds out what a regex matches; ok is false if it can't be compiled, or takes more
// than the budget.
func judge(expr string, budget *RegexBudget) (v verdict, ok bool) {
	a, _, _, _ := compileRegex(expr, budget)
	if a == nil {
		return v, false
	}
	v = examine(a, budget)
	return v, !budget.spent()
}

// QuoteRegex is a regex that matches the text and nothing else. Package regexp has one
// too, but would add its matchers to the module.
func QuoteRegex(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if strings.IndexByte(`\.+*?()|[]{}^$`, text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// A token is a piece of a regex.
type token struct {
	kind tokenKind
	text string
}

type tokenKind uint8

const (
	literalToken tokenKind = iota // a character, maybe escaped
	anyToken                      // .
	classToken                    // [a-z], \d
	openToken                     // ( and what says what kind of group it is
	closeToken
	timesToken // *, +, ?, {1,2}, lazy ones too
	barToken
	anchorToken // ^, $, \b, …
)

// with is a list with more tokens at its end. It isn't inlined: the copies of append would
// add 8 kB to the module.
//
//go:noinline
func with(list []token, more ...token) []token { return append(list, more...) }

func tokenize(expr string) (list []token) {
	for expr != "" {
		t := firstToken(expr)
		list = with(list, t)
		expr = expr[len(t.text):]
	}
	return list
}

// firstToken is the token that a regex begins with.
func firstToken(expr string) token {
	kind, length := literalToken, 1
	switch expr[0] {
	case '.':
		kind = anyToken
	case '^', '$':
		kind = anchorToken
	case '|':
		kind = barToken
	case ')':
		kind = closeToken
	case '*', '+', '?':
		kind = timesToken
	case '(':
		kind = openToken
		if strings.HasPrefix(expr, "(?") {
			length = max(strings.IndexAny(expr, ":>)")+1, 1)
		}
		if expr[length-1] == ')' {
			kind = anchorToken // flags alone
		}
	case '[':
		kind = classToken
		s := regexScanner{expr: expr, pos: 1}
		s.class()
		length = s.pos
	case '{':
		if _, n := repetition(expr); n > 0 {
			kind, length = timesToken, n
		}
	case '\\':
		s := regexScanner{expr: expr, pos: 1}
		s.escape(&regexGroup{})
		length = s.pos
		switch escaped := expr[1:min(2, len(expr))]; {
		case strings.ContainsAny(escaped, "dDwWsSpP"):
			kind = classToken
		case strings.ContainsAny(escaped, "bBAz"):
			kind = anchorToken
		}
	}
	if kind == timesToken && strings.HasPrefix(expr[length:], "?") {
		length++
	}
	return token{kind, expr[:length]}
}

// join isn't inlined: the copies would add 7 kB to the module.
//
//go:noinline
func join(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// is reports whether the token is the character, escaped or not. It isn't inlined: the
// copies would add 4 kB to the module.
//
//go:noinline
func (t token) is(c byte) bool {
	return t.kind == literalToken && (t.text == string(c) || t.text == `\`+string(c))
}

// ofHost reports whether the token is a letter or digit that stands for itself.
func (t token) ofHost() bool {
	return t.kind == literalToken && len(t.text) == 1 && (isLower(t.text[0]|0x20) || isDigit(t.text[0]))
}

// shape has a letter for each token: h for a letter or digit of a host, d for a dot,
// A and C for any character and a class, x for another one, ? and * for repetitions, or itself.
func shape(tokens []token) string {
	b := make([]byte, len(tokens))
	for i, t := range tokens {
		switch {
		case t.ofHost():
			b[i] = 'h'
		case t.is('.'):
			b[i] = 'd'
		case t.is('/'), t.is(':'), t.text == "?":
			b[i] = t.text[len(t.text)-1]
		default:
			b[i] = "xAC()*|^"[t.kind]
		}
	}
	return string(b)
}

// depth is how many groups a shape opens and doesn't close.
func depth(form string) int { return strings.Count(form, "(") - strings.Count(form, ")") }

// findSlashes is where "://" is, or -1.
func findSlashes(tokens []token) int { return strings.Index(shape(tokens), "://") }

func hasPrefix(tokens []token, text string) bool {
	if len(tokens) < len(text) {
		return false
	}
	for i := range len(text) {
		if !tokens[i].is(text[i]) {
			return false
		}
	}
	return true
}

func hasPort(tokens []token, port string) bool {
	return hasPrefix(tokens, port) &&
		(len(tokens) == len(port) || tokens[len(port)].kind != literalToken && tokens[len(port)].kind != timesToken)
}

// A mistake is mended in a regex. because says what was wrong where nothing matched.
type mistake struct {
	because string
	mend    func([]token) []token
}

// mistakes are those that people make, in the order in which they are looked for.
var mistakes = [...]mistake{
	{"of the quotes or white space around it", withoutQuotes},
	{"of the slashes around it", withoutDelimiters},
	{"its backslashes are doubled once too often", withoutDoubling},
	{"of its upper-case letters, which browsers never send", lowerCase},
	{"of its characters outside ASCII, which browsers send as Punycode", asPunycode},
	{"of the anchors in its middle", withoutAnchors},
	{"of its path, and an origin is only scheme, host and port", withoutPathTokens},
	{"of its port, the scheme's default, which browsers leave out", withoutDefaultPort},
	{"", withDots},
	{"", withBoundary},
	{"", withoutTail},
	{"it must match the whole origin, and that begins with a scheme", withScheme},
	{"", withHTTPS},
}

func withoutQuotes(tokens []token) []token {
	return tokenize(strings.Trim(join(tokens), "\"'` \t\r\n"))
}

// withoutDoubling halves the backslashes, which were escaped for JSON twice.
func withoutDoubling(tokens []token) []token {
	return tokenize(strings.ReplaceAll(join(tokens), `\\`, `\`))
}

// withoutDelimiters removes the slashes that stand around a regex in JavaScript.
func withoutDelimiters(tokens []token) []token {
	if len(tokens) < 3 || tokens[0].text != "/" || strings.HasPrefix(join(tokens), "//") {
		return nil
	}
	end := len(tokens) - 1
	for end > 0 && len(tokens[end].text) == 1 && strings.IndexByte("dgimsuvy", tokens[end].text[0]) >= 0 {
		end--
	}
	if end < 2 || tokens[end].text != "/" {
		return nil
	}
	return tokens[1:end]
}

func lowerCase(tokens []token) []token {
	list := with(nil, tokens...)
	for i, t := range list {
		if t.kind == literalToken && len(t.text) == 1 && t.text[0] < utf8.RuneSelf ||
			t.kind == classToken && !strings.Contains(t.text, `\`) && !strings.Contains(t.text, "[:") {
			list[i].text = strings.ToLower(t.text)
		}
	}
	return list
}

// asPunycode writes labels with letters outside ASCII as browsers send them.
func asPunycode(tokens []token) []token {
	var list []token
	for i := 0; i < len(tokens); {
		end := i
		for end < len(tokens) && (tokens[end].ofHost() || tokens[end].text == "-" ||
			tokens[end].kind == literalToken && tokens[end].text[0] >= utf8.RuneSelf) {
			end++
		}
		label := join(tokens[i:end])
		ascii, ok := toASCII(label)
		switch {
		case end == i:
			list = with(list, tokens[i])
			end++
		case !IsASCII(label) && ok && (end == len(tokens) || tokens[end].kind != timesToken):
			list = with(list, tokenize(ascii)...)
		default:
			list = with(list, tokens[i:end]...)
		}
		i = end
	}
	return list
}

func withoutAnchors(tokens []token) []token {
	if len(tokens) < 3 {
		return nil
	}
	last := len(tokens) - 1
	return with(appendUnanchored(tokens[:1:1], tokens[1:last]), tokens[last])
}

// appendUnanchored appends tokens without their anchors.
func appendUnanchored(list, tokens []token) []token {
	for _, t := range tokens {
		if t.kind != anchorToken {
			list = with(list, t)
		}
	}
	return list
}

// withoutPathTokens removes a path, up to the end of the regex.
func withoutPathTokens(tokens []token) []token {
	form := shape(tokens)
	host := findSlashes(tokens) + len("://")
	if host < len("://") {
		host = len(form) - len(strings.TrimLeft(form, "/^"))
	}
	for i := range form {
		switch {
		case form[i] == '|':
			return nil
		case i >= host && form[i] == '/' && depth(form[:i]) == 0:
			return tokens[:i]
		}
	}
	return nil
}

func withoutDefaultPort(tokens []token) []token {
	var list []token
	for i := 0; i < len(tokens); i++ {
		switch {
		case hasPort(tokens[i:], ":443"):
			i += len(":443") - 1
		case hasPort(tokens[i:], ":80"):
			i += len(":80") - 1
		default:
			list = with(list, tokens[i])
		}
	}
	return list
}

// cutAny cuts the first of the suffixes that s has. It isn't inlined: the copies would add
// 2 kB to the module.
//
//go:noinline
func cutAny(s string, suffixes ...string) (before string, found bool) {
	for _, suffix := range suffixes {
		if before, found = strings.CutSuffix(s, suffix); found {
			return before, true
		}
	}
	return s, false
}

// withDots escapes the dots that stand between the parts of a domain.
func withDots(tokens []token) []token {
	list, form := with(nil, tokens...), shape(tokens)
	for i := 1; i+1 < len(list); i++ {
		if form[i] == 'A' && strings.IndexByte("hC)?*", form[i-1]) >= 0 && strings.IndexByte("hC(", form[i+1]) >= 0 {
			list[i] = token{literalToken, `\.`}
		}
	}
	return list
}

// withBoundary puts a dot between what stands for any name and the domain behind it.
func withBoundary(tokens []token) []token {
	form := shape(tokens)
	for i := range form {
		// What precedes: a repeated wildcard, maybe in a group, maybe with a dot that
		// may be left out.
		rest, optional := cutAny(form[:i], "d?")
		rest, group := cutAny(rest, ")", ")?", ")*")
		rest, _ = cutAny(rest, "d?")
		rest, wild := cutAny(rest, "A?", "A*", "C?", "C*")
		if form[i] != 'h' || !wild {
			continue
		}
		name := join(tokens[len(rest):len(rest)+2]) + `\.`
		opens := !group
		if group {
			rest, opens = cutAny(rest, "(")
		}
		begins := rest == "" || strings.HasSuffix(rest, "/")
		if !opens || optional && !group && !begins {
			continue
		}
		if begins || strings.HasSuffix(rest, "^") {
			name = "(" + name + ")?"
		}
		return with(with(tokens[:len(rest):len(rest)], tokenize(name)...), tokens[i:]...)
	}
	return nil
}

// withoutTail makes a port of what may follow the domain.
func withoutTail(tokens []token) []token {
	list := tokens
	if n := len(list); n > 0 && list[n-1].text == "$" {
		list = list[:n-1]
	}
	form := shape(list)
	n := len(strings.TrimRight(form, "()?*AC"))
	tail := join(list[n:])
	if n == 0 || strings.HasSuffix(form, "C") || !strings.ContainsAny(form[n:], "AC") ||
		strings.Count(tail, "(") != strings.Count(tail, ")") {
		return nil
	}
	rest := "(:[0-9]+)?"
	if form[n-1] == 'd' {
		rest = "com"
		if from := findSlashes(list); from >= 0 {
			// The beginning of an IPv4 address goes on as one.
			begin := strings.ReplaceAll(join(list[from+len("://"):n]), `\`, "")
			if dots := strings.Count(begin, "."); strings.Trim(begin, "0123456789.") == "" && dots < 4 {
				const octets = `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`
				rest = octets[dots*len(`[0-9]+\.`):]
			}
		}
	}
	return with(list[:n:n], tokenize(rest)...)
}

// withScheme puts the scheme before a host.
func withScheme(tokens []token) []token {
	if findSlashes(tokens) >= 0 {
		return nil
	}
	list := tokens
	begins := len(list) > 0 && list[0].text == "^"
	if begins {
		list = list[1:]
	}
	for len(list) > 0 && list[0].is('/') {
		list, begins = list[1:], true
	}
	form := shape(list)
	for i := range form {
		if form[i] == '|' && depth(form[:i]) == 0 {
			return with(appendUnanchored(tokenize(`https://(.*\.)?(`), list), token{closeToken, ")"})
		}
	}
	switch {
	case len(list) == 0:
		return nil
	case list[0].is('.'):
		return with(tokenize("https://.*"), list...)
	case begins || !list[0].ofHost():
		return with(tokenize("https://"), list...)
	}
	return with(tokenize(`https://(.*\.)?`), list...)
}

// withHTTPS replaces what stands before the host.
func withHTTPS(tokens []token) []token {
	i := findSlashes(tokens)
	switch {
	case i < 0:
		return nil
	case findSlashes(tokens[i+1:]) >= 0: // alternatives that begin with a scheme of their own
		var list []token
		for j, t := range tokens {
			if t.is(':') && j >= len("http") && hasPrefix(tokens[j-len("http"):], "http") {
				list = with(list, token{literalToken, "s"})
			}
			list = with(list, t)
		}
		return list
	case depth(shape(tokens[:i])) != 0:
		return nil
	}
	return with(tokenize("https"), tokens[i:]...)
}

package cors

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
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
		return "write " + quoteAll(m.expr) + ", which is no regex"
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
// mistakes, one after the other, until the regex is right.
func mendRegex(expr string, v verdict, credentials bool, budget *RegexBudget) mending {
	if pattern, ok := wildcard(expr, credentials); ok {
		return mending{expr: pattern, pattern: true}
	}
	because := ""
	var tokens []token
	if len(expr) <= maxMendedRegex {
		tokens = tokenize(expr)
	}
	// First each mistake on its own, because what mends one may spoil what is right.
	for _, alone := range [...]bool{true, false} {
		for _, m := range mistakes {
			mended := m.mend(tokens)
			if len(mended) == 0 || slices.Equal(mended, tokens) {
				continue
			}
			reason := because
			if reason == "" && m.because != "" {
				reason = ", because " + m.because
			}
			if text := join(mended); right(text, credentials, budget) {
				return mending{expr: text, because: reason}
			}
			if !alone {
				tokens, because = mended, reason
			}
		}
	}
	domain := strings.TrimPrefix(v.domain, ".")
	var candidates []string
	if domain != "" {
		const scheme = "https://"
		named := true
		if letters := strings.TrimLeft(domain, "0123456789-_"); letters != domain && domain == v.domain {
			// What is behind them is more likely to be the domain; but not where others'
			// sites have such names too, as those of a deployment: my-app-git-x-my-team.
			_, suffix, _ := strings.Cut(letters, ".")
			shared := strings.Contains(suffix, ".") && !strings.HasSuffix(strings.TrimSuffix(domain, letters), "--")
			if named = letters != "" && letters[0] != '.' && !shared; named {
				domain = letters
			}
		}
		if named && owned(domain) && validPattern(scheme+"*."+domain) {
			candidates = append(candidates, scheme+`([a-z0-9-]+\.)*`+QuoteRegex(domain))
		}
		// Behind the first dot are whole labels.
		if !strings.HasPrefix(v.domain, ".") {
			_, domain, _ = strings.Cut(domain, ".")
		}
		if domain != "" {
			candidates = append(candidates, scheme+`my-name\.`+QuoteRegex(domain))
		}
	}
	for _, candidate := range candidates {
		if right(candidate, credentials, budget) {
			return mending{expr: candidate, because: because}
		}
	}
	return mending{expr: exampleRegex, because: because}
}

// right reports whether a regex would be accepted without a warning. Where the budget is
// spent nothing is known of it.
func right(expr string, credentials bool, budget *RegexBudget) bool {
	a, _, _, _ := compileRegex(expr, budget)
	if a == nil {
		return false
	}
	v := examine(a, budget)
	return !budget.spent() && !v.nothing && !v.others && !v.everySite && (!credentials || !v.plain && !v.doubt)
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

// quoteAll quotes text of any length, as JSON does.
func quoteAll(s string) string { return strconv.Quote(s) }

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

func tokenize(expr string) (list []token) {
	for i := 0; i < len(expr); {
		start, kind := i, literalToken
		switch c := expr[i]; c {
		case '.':
			kind = anyToken
			i++
		case '^', '$':
			kind = anchorToken
			i++
		case '|':
			kind = barToken
			i++
		case ')':
			kind = closeToken
			i++
		case '(':
			kind = openToken
			i++
			if strings.HasPrefix(expr[i:], "?") {
				if end := strings.IndexAny(expr[i:], ":>)"); end >= 0 {
					i += end + 1
				}
			}
			if expr[i-1] == ')' {
				kind = anchorToken // flags alone
			}
		case '*', '+', '?':
			kind = timesToken
			i++
		case '[':
			kind = classToken
			s := regexScanner{expr: expr, pos: i}
			s.class()
			i = s.pos
		case '{':
			if _, length := repetition(expr[i:]); length > 0 {
				kind = timesToken
				i += length
			} else {
				i++
			}
		case '\\':
			s := regexScanner{expr: expr, pos: i}
			s.escape(&regexGroup{})
			i = s.pos
			switch {
			case i-start < 2:
			case strings.IndexByte("dDwWsSpP", expr[start+1]) >= 0:
				kind = classToken
			case strings.IndexByte("bBAz", expr[start+1]) >= 0:
				kind = anchorToken
			}
		default:
			i++
		}
		if kind == timesToken && i < len(expr) && expr[i] == '?' {
			i++
		}
		list = append(list, token{kind, expr[start:i]})
	}
	return list
}

func join(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// is reports whether the token is the character, escaped or not.
func (t token) is(c byte) bool {
	return t.kind == literalToken && (t.text == string(c) || t.text == `\`+string(c))
}

// ofHost reports whether the token is a letter or digit that stands for itself.
func (t token) ofHost() bool {
	return t.kind == literalToken && len(t.text) == 1 && (isLower(t.text[0]|0x20) || isDigit(t.text[0]))
}

func (t token) wild() bool { return t.kind == anyToken || t.kind == classToken }

// findSlashes is where "://" is, or -1.
func findSlashes(tokens []token) int {
	for i := range tokens {
		if hasPrefix(tokens[i:], "://") {
			return i
		}
	}
	return -1
}

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
	return hasPrefix(tokens, port) && (len(tokens) == len(port) || tokens[len(port)].kind != literalToken && tokens[len(port)].kind != timesToken)
}

// mistakes are those that people make, in the order in which they are looked for.
// because says what was wrong where nothing matched.
var mistakes = [...]struct {
	because string
	mend    func([]token) []token
}{
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
	list := slices.Clone(tokens)
	for i, t := range list {
		if t.kind == literalToken && len(t.text) == 1 && t.text[0] < utf8.RuneSelf || t.kind == classToken && !strings.Contains(t.text, `\`) && !strings.Contains(t.text, "[:") {
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
		for end < len(tokens) && (tokens[end].ofHost() || tokens[end].text == "-" || tokens[end].kind == literalToken && tokens[end].text[0] >= utf8.RuneSelf) {
			end++
		}
		label := join(tokens[i:end])
		ascii, ok := toASCII(label)
		switch {
		case end == i:
			list = append(list, tokens[i])
			end++
		case !isASCII(label) && ok && (end == len(tokens) || tokens[end].kind != timesToken):
			list = append(list, tokenize(ascii)...)
		default:
			list = append(list, tokens[i:end]...)
		}
		i = end
	}
	return list
}

func withoutAnchors(tokens []token) []token {
	last := len(tokens) - 1
	return keep(tokens, func(i int) bool { return tokens[i].kind != anchorToken || i == 0 || i == last })
}

func keep(tokens []token, kept func(i int) bool) (list []token) {
	for i, t := range tokens {
		if kept(i) {
			list = append(list, t)
		}
	}
	return list
}

// withoutPathTokens removes a path, up to the end of the regex.
func withoutPathTokens(tokens []token) []token {
	from := findSlashes(tokens) + len("://")
	if from < len("://") {
		for from = 0; from < len(tokens) && (tokens[from].is('/') || tokens[from].kind == anchorToken); {
			from++
		}
	}
	depth := 0
	for i, t := range tokens {
		switch {
		case t.kind == openToken:
			depth++
		case t.kind == closeToken:
			depth--
		case t.kind == barToken:
			return nil
		case i >= from && t.is('/') && depth == 0:
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
			list = append(list, tokens[i])
		}
	}
	return list
}

// withDots escapes the dots that stand between the parts of a domain.
func withDots(tokens []token) []token {
	list := slices.Clone(tokens)
	for i := 1; i+1 < len(list); i++ {
		before, t, after := list[i-1], list[i], list[i+1]
		if t.kind == anyToken && (before.ofHost() || before.kind == closeToken || before.kind == timesToken || before.kind == classToken) &&
			(after.ofHost() || after.kind == openToken || after.kind == classToken) {
			list[i] = token{literalToken, `\.`}
		}
	}
	return list
}

// withBoundary puts a dot between what stands for any name and the domain behind it.
func withBoundary(tokens []token) []token {
	dot := token{literalToken, `\.`}
	for i := range tokens {
		if !tokens[i].ofHost() || i == 0 {
			continue
		}
		// What precedes: a repeated wildcard, maybe in a group, maybe with a dot that
		// may be left out.
		start := i
		if start >= 2 && tokens[start-1].text == "?" && tokens[start-2].text == `\.` {
			start -= 2
		}
		end := start
		group := false
		if tokens[start-1].kind == timesToken && start >= 2 && tokens[start-2].kind == closeToken {
			start, group = start-1, true
		}
		if tokens[start-1].kind == closeToken {
			start, group = start-1, true
		}
		if start >= 3 && tokens[start-1].text == "?" && tokens[start-2].text == `\.` {
			start -= 2
		}
		if start < 2 || tokens[start-1].kind != timesToken || !tokens[start-2].wild() {
			continue
		}
		wild := tokens[start-2 : start]
		start -= 2
		if group {
			if start == 0 || tokens[start-1].kind != openToken {
				continue
			}
			start--
		}
		if end != i && !group && start > 0 && !tokens[start-1].is('/') {
			continue
		}
		list := slices.Clone(tokens[:start])
		if start == 0 || tokens[start-1].is('/') || tokens[start-1].kind == anchorToken {
			list = append(list, token{openToken, "("}, wild[0], wild[1], dot, token{closeToken, ")"}, token{timesToken, "?"})
		} else {
			list = append(list, wild[0], wild[1], dot)
		}
		return append(list, tokens[i:]...)
	}
	return nil
}

// withoutTail makes a port of what may follow the domain.
func withoutTail(tokens []token) []token {
	list := slices.Clone(tokens)
	if n := len(list); n > 0 && list[n-1].text == "$" {
		list = list[:n-1]
	}
	n := len(list)
	for n > 0 && (list[n-1].kind == closeToken || list[n-1].kind == timesToken || list[n-1].kind == openToken || list[n-1].kind == anyToken ||
		list[n-1].kind == classToken && n < len(list)) {
		n--
	}
	if n == len(list) || n == 0 || strings.Count(join(list[n:]), "(") != strings.Count(join(list[n:]), ")") || !slices.ContainsFunc(list[n:], token.wild) {
		return nil
	}
	if list[n-1].is('.') {
		rest := "com"
		if from := findSlashes(list); from >= 0 {
			// The beginning of an IPv4 address goes on as one.
			begin := strings.ReplaceAll(join(list[from+len("://"):n]), `\`, "")
			if dots := strings.Count(begin, "."); strings.Trim(begin, "0123456789.") == "" && dots < 4 {
				rest = strings.TrimSuffix(strings.Repeat(`[0-9]+\.`, 4-dots), `\.`)
			}
		}
		return append(list[:n:n], tokenize(rest)...)
	}
	return append(list[:n:n], tokenize("(:[0-9]+)?")...)
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
	depth := 0
	for _, t := range list {
		switch t.kind {
		case openToken:
			depth++
		case closeToken:
			depth--
		case barToken:
			if depth == 0 {
				group := append([]token{{openToken, "("}}, keep(list, func(i int) bool { return list[i].kind != anchorToken })...)
				return append(tokenize(`https://(.*\.)?`), append(group, token{closeToken, ")"})...)
			}
		}
	}
	switch {
	case len(list) == 0:
		return nil
	case list[0].is('.'):
		return append(tokenize("https://.*"), list...)
	case begins || !list[0].ofHost():
		return append(tokenize("https://"), list...)
	}
	return append(tokenize(`https://(.*\.)?`), list...)
}

// withHTTPS replaces what stands before the host.
func withHTTPS(tokens []token) []token {
	i := findSlashes(tokens)
	if i < 0 {
		return nil
	}
	// Alternatives that begin with a scheme of their own.
	if next := findSlashes(tokens[i+1:]); next >= 0 {
		list := slices.Clone(tokens)
		for j := 0; j < len(list); j++ {
			if hasPrefix(list[j:], "http") && !hasPrefix(list[j:], "https") {
				at := j + len("http")
				if at < len(list) && list[at].is(':') {
					list = slices.Insert(list, at, token{literalToken, "s"})
				}
			}
		}
		return list
	}
	depth := 0
	for _, t := range tokens[:i] {
		switch t.kind {
		case openToken:
			depth++
		case closeToken:
			depth--
		}
	}
	if depth != 0 {
		return nil
	}
	return append(tokenize("https"), tokens[i:]...)
}

package cors

import (
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

	"slices"
	"strconv"
	"strings"
	"unicode"
)

// What is wrong with an entry of a list of names that isn't a token, and what to write
// instead.

func diagnoseMethod(name string) (kind problem.Kind, what, instead string) {
	isMethod := func(s string) bool { return strings.ToUpper(s) == s || normalizeMethod(s) != s }
	return diagnoseName(name, " is not a method", `write a method such as "PUT", or "*"`, isMethod, func(s string) bool {
		return !forbiddenMethod(s)
	})
}

func diagnoseRequestHeader(name string) (kind problem.Kind, what, instead string) {
	return diagnoseName(name, " is not a header name", `write a name such as "Content-Type", or "*"`, isHeader, func(s string) bool {
		s = strings.ToLower(s)
		return !corsResponseHeader(s) && !forbiddenRequestHeader(s)
	})
}

func diagnoseExposedHeader(name string, credentials bool) (kind problem.Kind, what, instead string) {
	otherwise := `write a name such as "X-Request-Id"`
	if !credentials {
		otherwise += `, or "*"`
	}
	return diagnoseName(name, " is not a header name", otherwise, isHeader, func(s string) bool {
		return !forbiddenResponseHeader(strings.ToLower(s)) && s != "*" // which credentials forbid, perhaps those of an heir
	})
}

// isHeader reports whether a word looks like the name of a header.
func isHeader(s string) bool {
	return strings.Contains(s, "-") || strings.EqualFold(s, "Authorization") || s == "*"
}

// diagnoseName says what is wrong with what isn't a name. Each name that it tells people
// to write is allowed. Words between spaces are a list only if each looks like a name.
func diagnoseName(s, not, otherwise string, like, allowed func(name string) bool) (kind problem.Kind, what, instead string) {
	if len(s) > maxMended {
		return problem.InvalidName, problem.Quote(s) + not, otherwise
	}
	if _, ok := variable(s); ok {
		return problem.Placeholder, problem.Quote(s) + " has a variable, and nothing here fills it in", "write the names themselves"
	}
	inner := strings.Trim(s, "[]")
	comma := strings.ContainsAny(inner, ",;")
	names := strings.FieldsFunc(inner, func(r rune) bool { return r == ',' || r == ';' || !comma && unicode.IsSpace(r) })
	if header, _, found := strings.Cut(strings.TrimSpace(inner), ":"); found { // with its value, or an empty one
		names = []string{strings.TrimSpace(header)}
	}
	var list []string
	for _, name := range names {
		name = strings.Trim(strings.TrimSpace(name), "\"'`")
		if !comma && len(names) > 1 && !like(name) {
			names, list = nil, nil
			break
		}
		if !validToken(name) || !allowed(name) {
			list = nil
			break
		}
		if quoted := strconv.Quote(name); !slices.Contains(list, quoted) {
			list = append(list, quoted)
		}
	}
	what = problem.Quote(s) + not
	if len(names) > 1 {
		what = problem.Quote(s) + " is a list in one string"
		otherwise = "write each as a string of its own"
	}
	if instead = "write " + strings.Join(list, ", "); list == nil || len(instead) > maxInstead {
		instead = otherwise
	}
	return problem.InvalidName, what, instead
}

// diagnoseHostPattern says what is wrong with an entry of match.hosts, and what to write
// instead.
func diagnoseHostPattern(s string) (what, instead string) {
	_, what, instead = parseHostPattern(s)
	return what, mendHost(s, instead)
}

// diagnosePath says what is wrong with an entry of match.paths, and what to write instead.
func diagnosePath(m PathMatch) (what, instead string) {
	what, instead = checkPath(m)
	return what, mendPath(m, instead)
}

// diagnoseDoubtfulPath says why a path matches other requests than was meant, or none.
func diagnoseDoubtfulPath(m PathMatch) (kind problem.Kind, what, instead string) {
	if i := dotSegment(m.Path); i >= 0 {
		kind, what, instead = problem.NeverSent, "the path "+problem.Quote(m.Path)+" has a dot as a segment, which browsers take out", "write the path that is left then"
		if strings.Contains(m.Path, "%") {
			return kind, what, instead
		}
		var kept []string
		segments := strings.Split(m.Path[1:], "/")
		for i, segment := range segments {
			switch {
			case segment == ".." && len(kept) > 0:
				kept = kept[:len(kept)-1]
			case segment != "." && segment != "..":
				kept = append(kept, segment)
				continue
			}
			if i == len(segments)-1 {
				kept = append(kept, "")
			}
		}
		return kind, what, mendPath(PathMatch{"/" + strings.Join(kept, "/"), m.Prefix}, instead)
	}
	kind, what = problem.Placeholder, "the path "+problem.Quote(m.Path)+" has a placeholder in braces, which stands for nothing else"
	stem := before(m.Path, "{")
	stem = stem[:strings.LastIndexByte(stem, '/')+1]
	if stem = trimSlash(stem); stem == "" || stem == "/" {
		return kind, what, "write the prefix before it"
	}
	return kind, what, mendPath(PathMatch{stem, true}, "write the prefix before it")
}

// mendHost says to write what an entry of match.hosts is meant to be, or otherwise if
// that isn't clear.
func mendHost(s, otherwise string) string {
	if len(s) > maxMended || looksLikeRegex(s) || strings.ContainsAny(s, `\^$()|{}`) {
		return otherwise
	}
	var list []string
	and := ""
	for _, host := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) }) {
		mended, path := repairHost(host)
		if _, what, _ := parseHostPattern(mended); what != "" {
			return otherwise
		}
		if path != "" && path != "/" {
			and = ", and the path in match.paths" // without it the policy is for more
		}
		if quoted := strconv.Quote(mended); !slices.Contains(list, quoted) {
			list = append(list, quoted)
		}
	}
	instead := "write " + strings.Join(list, ", ")
	if list == nil || len(instead) > maxInstead {
		return otherwise
	}
	return instead + and
}

// ipv6Problem says what is wrong with the IPv6 address of an entry of match.hosts; ""
// if it has none, or a right one.
func ipv6Problem(s string) string {
	host := s
	if i := strings.LastIndex(s, "]"); i >= 0 {
		host = s[:i+1]
	}
	pieces, ok := parseIPv6(strings.ToLower(strings.Trim(host, "[]")))
	switch {
	case !strings.Contains(host, ":"):
		return ""
	case strings.HasPrefix(host, "[") && !ok:
		return " has an invalid IPv6 address"
	case !ok:
		return ""
	case !strings.HasPrefix(host, "["):
		return " has an IPv6 address without brackets"
	case "["+string(appendIPv6(nil, pieces))+"]" != strings.ToLower(host):
		return " has an IPv6 address that isn't in its shortest form, in which browsers send it"
	}
	return ""
}

// repairHost makes of what was written for a host what was meant, as far as it can, and
// returns the path that was written with it.
func repairHost(s string) (host, path string) {
	s = strings.Trim(s, "\"'`")
	if !strings.Contains(s, ":") {
		s = strings.Trim(s, "[]")
	}
	scheme, rest, isURL := strings.Cut(s, ":/")
	if !isURL {
		scheme, rest = "", s
	}
	rest = strings.TrimPrefix(rest, "/")
	if !isURL {
		rest = strings.TrimPrefix(rest, "/")
	}
	path = rest
	rest = before(rest, `/?#\`)
	path = path[len(rest):]
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	rest = strings.TrimSuffix(strings.TrimSuffix(rest, ":*"), ":")
	port := ""
	host = rest
	if i := strings.LastIndexByte(rest, ':'); i > strings.IndexByte(rest, ']') && strings.Count(rest[:i], ":") == 0 || i > 0 && rest[i-1] == ']' {
		host, port = rest[:i], strings.TrimLeft(rest[i+1:], "0")
	}
	if pieces, ok := parseIPv6(strings.ToLower(strings.Trim(host, "[]"))); ok {
		host = "[" + string(appendIPv6(nil, pieces)) + "]"
	}
	if ascii, ok := toASCII(host); ok {
		host = ascii
	}
	switch {
	case strings.HasPrefix(host, "."):
		host = "*" + host
	case strings.HasPrefix(host, "*") && !strings.HasPrefix(host, "*.") && !strings.HasPrefix(host, "*-"):
		host = "*." + host[1:]
	}
	if name, found := strings.CutPrefix(host, "*."); found && (canonicalIPv4(name) || strings.HasPrefix(name, "[")) {
		host = name
	}
	if port == "" || port == strconv.Itoa(defaultPort(scheme)) {
		return host, path
	}
	return host + ":" + port, path
}

// mendPath says to write what an entry of match.paths is meant to be, or otherwise if
// that isn't clear.
func mendPath(m PathMatch, otherwise string) string {
	path, and := m.Path, ""
	if _, rest, isURL := strings.Cut(path, "://"); isURL {
		if _, path, _ = strings.Cut(rest, "/"); path == "" {
			return otherwise
		}
		and = ", and the host in match.hosts"
	} else if strings.Contains(before(path, "/"), ":") {
		return otherwise
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	path = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSpace(path), "$"), "^")
	kind := "exact"
	if m.Prefix {
		kind = "prefix"
	}
	for _, wildcard := range [...]string{"/**", "/*", "/.*", "/(.*)", "*"} {
		if rest, found := strings.CutSuffix(path, wildcard); found {
			path, kind = rest, "prefix"
			break
		}
	}
	path = "/" + strings.TrimPrefix(path, "/")
	if len(path) > maxMended || m.Path == "" {
		return otherwise
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if c := path[i]; c <= ' ' || c >= 0x7f {
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&0xf]))
		} else {
			b.WriteByte(c)
		}
	}
	if what, _ := checkPath(PathMatch{b.String(), kind == "prefix"}); what != "" || b.Len() > maxInstead {
		return otherwise
	}
	return `write {"` + kind + `": ` + strconv.Quote(b.String()) + `}` + and
}

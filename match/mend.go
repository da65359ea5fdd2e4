package match

import (
	"slices"
	"strings"
	"unicode"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// What to write instead of an entry that is wrong or doubtful. It is tried before: what
// a message says to write is right.

// diagnoseDoubtfulPath says why a path matches other requests than was meant, or none.
func diagnoseDoubtfulPath(p Path) (kind problem.Kind, what, instead string) {
	what = "the path " + problem.Quote(p.Path)
	if dotSegment(p.Path) >= 0 {
		what, instead = what+" has a dot as a segment, which browsers take out", "write the path that is left then"
		if strings.Contains(p.Path, "%") {
			return problem.NeverSent, what, instead
		}
		return problem.NeverSent, what, mendPath(Path{withoutDots(p.Path), p.Prefix}, instead)
	}
	what, instead = what+" has a placeholder in braces, which stands for nothing else", "write the prefix before it"
	stem, _, _ := strings.Cut(p.Path, "{")
	stem = stem[:strings.LastIndexByte(stem, '/')]
	if stem == "" || stem == "/" {
		return problem.Placeholder, what, instead
	}
	return problem.Placeholder, what, mendPath(Path{stem, true}, instead)
}

// withoutDots is a path as browsers send it, without dots as segments.
func withoutDots(path string) string {
	var kept []string
	segments := strings.Split(path[1:], "/")
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
	return "/" + strings.Join(kept, "/")
}

// mendHost says to write what an entry of match.hosts is meant to be, or otherwise if
// that isn't clear.
func mendHost(s, otherwise string) string {
	if len(s) > origin.MaxMended || origin.LooksLikeRegex(s) || strings.ContainsAny(s, `\^$()|{}`) {
		return otherwise
	}
	var list []string
	and := ""
	separates := func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) }
	for _, host := range strings.FieldsFunc(s, separates) {
		mended, path := origin.RepairHost(host)
		if _, f := parseHost(mended); f != right {
			return otherwise
		}
		if path != "" && path != "/" {
			and = ", and the path in match.paths" // without it the policy is for more
		}
		if quoted := problem.InQuotes(mended); !slices.Contains(list, quoted) {
			list = append(list, quoted)
		}
	}
	instead := "write " + strings.Join(list, ", ")
	if list == nil || len(instead) > origin.MaxInstead {
		return otherwise
	}
	return instead + and
}

// mendPath says to write what an entry of match.paths is meant to be, or otherwise if
// that isn't clear.
func mendPath(p Path, otherwise string) string {
	mended, isURL := repairPath(p)
	if mended.check() != right || len(mended.Path) > origin.MaxInstead {
		return otherwise
	}
	kind, and := "exact", ""
	if mended.Prefix {
		kind = "prefix"
	}
	if isURL {
		and = ", and the host in match.hosts"
	}
	return `write {"` + kind + `": ` + problem.InQuotes(mended.Path) + `}` + and
}

// repairPath makes of what was written for a path what was meant, and reports whether it
// was a URL with a host. It is the zero Path if that isn't clear.
func repairPath(p Path) (mended Path, isURL bool) {
	path := p.Path
	_, rest, isURL := strings.Cut(path, "://")
	if isURL {
		_, path, _ = strings.Cut(rest, "/")
	} else if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ":") {
		return Path{}, false // a host and its port
	}
	if path == "" {
		return Path{}, isURL
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	path = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSpace(path), "$"), "^")
	for _, wildcard := range [...]string{"/**", "/*", "/.*", "/(.*)", "*"} {
		if stem, found := strings.CutSuffix(path, wildcard); found {
			path, p.Prefix = stem, true
			break
		}
	}
	path = "/" + strings.TrimPrefix(path, "/")
	if len(path) > origin.MaxMended {
		return Path{}, isURL
	}
	return Path{percentEncoded(path), p.Prefix}, isURL
}

// percentEncoded is a path in which what no request has is percent-encoded.
func percentEncoded(path string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f {
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&0xf]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

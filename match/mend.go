package match

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// What to write instead of an entry that is wrong or doubtful. It is tried before: what
// a message says to write is right.

// diagnoseDoubtfulPath says why a path matches other requests than was meant, or none.
func diagnoseDoubtfulPath(m Path) (what, instead string) {
	if i := dotSegment(m.Path); i >= 0 {
		what, instead = "the path "+problem.Quote(m.Path)+" has a dot as a segment, which browsers take out", "write the path that is left then"
		if strings.Contains(m.Path, "%") {
			return what, instead
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
		return what, mendPath(Path{"/" + strings.Join(kept, "/"), m.Prefix}, instead)
	}
	what = "the path " + problem.Quote(m.Path) + " has a placeholder in braces, which stands for nothing else"
	stem, _, _ := strings.Cut(m.Path, "{")
	stem = stem[:strings.LastIndexByte(stem, '/')+1]
	if stem = strings.TrimSuffix(stem, "/"); stem == "" || stem == "/" {
		return what, "write the prefix before it"
	}
	return what, mendPath(Path{stem, true}, "write the prefix before it")
}

// mendHost says to write what an entry of match.hosts is meant to be, or otherwise if
// that isn't clear.
func mendHost(s, otherwise string) string {
	if len(s) > origin.MaxMended || origin.LooksLikeRegex(s) || strings.ContainsAny(s, `\^$()|{}`) {
		return otherwise
	}
	var list []string
	and := ""
	for _, host := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) }) {
		mended, path := origin.RepairHost(host)
		if _, f := parseHost(mended); f != right {
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
	if list == nil || len(instead) > origin.MaxInstead {
		return otherwise
	}
	return instead + and
}

// mendPath says to write what an entry of match.paths is meant to be, or otherwise if
// that isn't clear.
func mendPath(m Path, otherwise string) string {
	path, and := m.Path, ""
	if _, rest, isURL := strings.Cut(path, "://"); isURL {
		if _, path, _ = strings.Cut(rest, "/"); path == "" {
			return otherwise
		}
		and = ", and the host in match.hosts"
	} else if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ":") {
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
	if len(path) > origin.MaxMended || m.Path == "" {
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
	if f := (Path{b.String(), kind == "prefix"}).check(); f != right || b.Len() > origin.MaxInstead {
		return otherwise
	}
	return `write {"` + kind + `": ` + strconv.Quote(b.String()) + `}` + and
}

package browser

import (
	"fmt"
	"strings"
)

// Target returns the Host header and the request target with which a browser asks
// for a URL: the host in its normal form with a port that is not the scheme's own,
// and the path without dot segments and the query, both percent-encoded.
//
// See https://url.spec.whatwg.org/#concept-basic-url-parser.
func Target(rawURL string) (host, path string, err error) {
	u, ok := parseURL(rawURL)
	switch {
	case !ok || u.scheme != "http" && u.scheme != "https":
		return "", "", fmt.Errorf("%q is not an http(s) URL; "+
			"write scheme, host and path, such as https://api.example.com/v1", rawURL)
	case !ascii(u.host):
		return "", "", fmt.Errorf("the host of %q is not ASCII; write it as a browser sends it, with xn--", rawURL)
	case u.port != "":
		u.host += ":" + u.port
	}
	rest, _, _ := strings.Cut(u.rest, "#")
	path, query, asks := strings.Cut(rest, "?")
	path = percentEncode(withoutDots(strings.ReplaceAll(path, `\`, "/")), " \"<>^`{}")
	if asks {
		path += "?" + percentEncode(query, " \"<>'")
	}
	return u.host, path, nil
}

// Resolve is a URL reference, such as the Location of a redirect, as a whole URL, which isn't
// checked. The base is one of http or https.
//
// See https://url.spec.whatwg.org/#relative-state.
func Resolve(base, reference string) (string, error) {
	host, whole, err := Target(base)
	if err != nil {
		return "", err
	}
	scheme, _, _ := strings.Cut(base, ":")
	scheme = asciiLower(scheme)
	root := scheme + "://" + host
	path, _, _ := strings.Cut(whole, "?")
	slash := func(s string) bool { return s != "" && (s[0] == '/' || s[0] == '\\') }

	reference = withoutTabs.Replace(strings.TrimFunc(reference, func(r rune) bool { return r <= ' ' }))
	if own, rest, ok := strings.Cut(reference, ":"); ok && validScheme.MatchString(own) {
		if asciiLower(own) != scheme || strings.HasPrefix(rest, "//") {
			return reference, nil
		}
		reference = rest // By special relative or authority state.
	}
	switch {
	case slash(reference) && slash(reference[1:]):
		return scheme + "://" + strings.TrimLeft(reference, `/\`), nil
	case slash(reference):
		return root + reference, nil
	case reference == "", reference[0] == '#':
		return root + whole + reference, nil
	case reference[0] == '?':
		return root + path + reference, nil
	}
	return root + path[:strings.LastIndexByte(path, '/')+1] + reference, nil
}

// withoutDots resolves the dot segments of a path, as the path state does.
//
// See https://url.spec.whatwg.org/#path-state.
func withoutDots(path string) string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	kept := segments[:0]
	for i, segment := range segments {
		last := i == len(segments)-1
		switch dots := strings.ReplaceAll(asciiLower(segment), "%2e", "."); dots {
		case ".", "..":
			if dots == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last { // What a dot segment ends with stays a directory.
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// percentEncode encodes the bytes of a set, and those that are in each: the C0
// control percent-encode set. A percent sign stays, as browsers leave it alone.
//
// See https://url.spec.whatwg.org/#percent-encoded-bytes.
func percentEncode(s, set string) string { return escape(s, set, "%%%02X") }

// escape formats the bytes of a set, and those other than ASCII's printable ones.
func escape(s, set, format string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || strings.IndexByte(set, c) >= 0 {
			fmt.Fprintf(&b, format, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

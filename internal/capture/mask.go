package capture

import (
	"regexp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// mask stands for what may be a secret.
const mask = "***"

// Mask returns a request without the values that CORS doesn't depend on: what explains
// the request is shown to others, and they may be keys, tokens and cookies. Of headers
// only the names count, but for those whose value decides whether a browser asks first.
// The path stays, because policies match on it; MaskURL masks it where it is shown.
func Mask(r browser.Request) browser.Request {
	r.Headers = slices.Clone(r.Headers)
	for i, h := range r.Headers {
		if h[1] != "" && !valueCounts[strings.ToLower(h[0])] {
			r.Headers[i][1] = mask
		}
	}
	r.URL, r.RedirectedFrom = maskURL(r.URL, func(path string) string { return path }), MaskURL(r.RedirectedFrom)
	return r
}

// valueCounts has the headers that are CORS-safelisted depending on their value
// (https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
var valueCounts = set("accept", "accept-language", "content-language", "content-type", "range")

// MaskURL returns a URL, or what is written for one, without what may be a secret in it:
// user name and password, segments of the path that look like tokens, the values of the
// query, and the fragment, which browsers don't send.
func MaskURL(url string) string { return maskURL(url, MaskPath) }

// authority takes a URL apart: what stands before the authority, it, and the path.
var authority = regexp.MustCompile(`(?s)^((?:[^:]*:[/\\])?[/\\]*)([^/\\]*)(.*)$`)

func maskURL(url string, maskPath func(path string) string) string {
	url, _, _ = strings.Cut(url, "#")
	url, query, asks := strings.Cut(url, "?")
	m := authority.FindStringSubmatch(url)
	before, host, path := m[1], m[2], m[3]
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = mask + host[at:]
	}
	url = before + host + maskPath(path)
	if asks {
		url += "?" + maskQuery(query)
	}
	return url
}

// MaskPath masks the segments of a path that nobody would choose for a policy to match:
// tokens, as in links that reset a password and in webhooks, and the values of parameters
// such as ";jsessionid=…".
func MaskPath(path string) string {
	return pathSegment.ReplaceAllStringFunc(path, func(segment string) string {
		segment, parameters, asks := strings.Cut(segment, ";")
		if looksLikeToken(segment) {
			segment = mask
		}
		if asks {
			segment += ";" + maskQuery(parameters)
		}
		return segment
	})
}

var (
	pathSegment    = regexp.MustCompile(`[^/\\]+`)
	queryParameter = regexp.MustCompile(`[^&;]+`)
	twoDigits      = regexp.MustCompile(`(?s)[0-9].*[0-9]`)
	twoLetters     = regexp.MustCompile(`(?s)[A-Za-z].*[A-Za-z]`)
)

// looksLikeToken reports whether a segment of a path looks like a key, a JSON Web Token or
// a random name: long, with letters and digits in one word.
func looksLikeToken(segment string) bool {
	return strings.HasPrefix(segment, "eyJ") || // the beginning of JSON, {", in Base64
		len(segment) >= 20 && twoDigits.MatchString(segment) && twoLetters.MatchString(segment)
}

// Stem is the part of a path before the first segment that MaskPath masks, without a slash
// at its end; "/" if that is nothing.
func Stem(path string) string {
	masked := MaskPath(path)
	if masked == path {
		return path
	}
	n := 0
	for n < min(len(path), len(masked)) && path[n] == masked[n] {
		n++
	}
	if path = path[:strings.LastIndexByte(path[:n], '/')+1]; len(path) > 1 {
		path = strings.TrimRight(path, "/")
	}
	if path == "" {
		return "/"
	}
	return path
}

// maskQuery masks the values of a query, and what isn't a parameter with a name.
func maskQuery(query string) string {
	return queryParameter.ReplaceAllStringFunc(query, func(parameter string) string {
		switch name, value, named := strings.Cut(parameter, "="); {
		case !named:
			return mask
		case value != "":
			return name + "=" + mask
		}
		return parameter
	})
}

// MaskHeader returns the name that a line which is no header begins with: what follows
// may be a secret.
func MaskHeader(line string) string {
	if i := strings.IndexAny(line, " \t=:;,"); i >= 0 {
		return line[:i] + "…"
	}
	return mask
}

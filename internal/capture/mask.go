package capture

import (
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

// slashes are what browsers take for a slash in a URL.
const slashes = `/\`

// atAuthority takes a URL apart: what stands before the authority, it, and the path. It reads
// what nobody has checked, and so does all here without a regular expression, which would take
// hundreds of times as long for a URL of megabytes.
func atAuthority(url string) (before, authority, path string) {
	at := 0
	if colon := strings.IndexByte(url, ':') + 1; colon > 0 && strings.IndexAny(url[colon:], slashes) == 0 {
		at = colon
	}
	at = len(url) - len(strings.TrimLeft(url[at:], slashes))
	end := strings.IndexAny(url[at:], slashes)
	if end < 0 {
		end = len(url) - at
	}
	return url[:at], url[at : at+end], url[at+end:]
}

// eachPart replaces the parts of a text that stand between separators.
func eachPart(text, separators string, replace func(part string) string) string {
	var b strings.Builder
	for text != "" {
		rest := strings.TrimLeft(text, separators)
		b.WriteString(text[:len(text)-len(rest)])
		end := strings.IndexAny(rest, separators)
		if end < 0 {
			end = len(rest)
		}
		if end > 0 {
			b.WriteString(replace(rest[:end]))
		}
		text = rest[end:]
	}
	return b.String()
}

func maskURL(url string, maskPath func(path string) string) string {
	url, _, _ = strings.Cut(url, "#")
	url, query, asks := strings.Cut(url, "?")
	before, host, path := atAuthority(url)
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
	return eachPart(path, slashes, func(segment string) string {
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

// looksLikeToken reports whether a segment of a path looks like a key, a JSON Web Token or
// a random name: long, with letters and digits in one word.
func looksLikeToken(segment string) bool {
	const shortest, some = 20, 2
	digits, letters := 0, 0
	for i := 0; i < len(segment) && (digits < some || letters < some); i++ {
		switch c := segment[i] | 0x20; {
		case '0' <= segment[i] && segment[i] <= '9':
			digits++
		case 'a' <= c && c <= 'z':
			letters++
		}
	}
	return strings.HasPrefix(segment, "eyJ") || // the beginning of JSON, {", in Base64
		len(segment) >= shortest && digits >= some && letters >= some
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
	return eachPart(query, "&;", func(parameter string) string {
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

package capture

import (
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/fetch"
)

// mask stands for what may be a secret.
const mask = "***"

// Mask returns a request without the values that CORS doesn't depend on: what explains
// the request is shown to others, and they may be keys, tokens and cookies. Of headers
// only the names count, but for those whose value decides whether a browser asks first.
// The path stays, because policies match on it; MaskURL masks it where it is shown.
func Mask(r fetch.Request) fetch.Request {
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

func maskURL(url string, maskPath func(path string) string) string {
	url, _, _ = strings.Cut(url, "#")
	url, query, asks := strings.Cut(url, "?")
	start := 0
	if i := strings.Index(url, ":"); i >= 0 && (strings.HasPrefix(url[i+1:], "/") || strings.HasPrefix(url[i+1:], `\`)) {
		start = i + 1
	}
	for start < len(url) && (url[start] == '/' || url[start] == '\\') {
		start++
	}
	end := len(url)
	if i := strings.IndexAny(url[start:], `/\`); i >= 0 {
		end = start + i
	}
	path := maskPath(url[end:])
	if at := strings.LastIndexByte(url[start:end], '@'); at >= 0 {
		url = url[:start] + mask + url[start+at:end]
	} else {
		url = url[:end]
	}
	url += path
	if asks {
		url += "?" + maskQuery(query)
	}
	return url
}

// MaskPath masks the segments of a path that nobody would choose for a policy to match:
// tokens, as in links that reset a password and in webhooks, and the values of parameters
// such as ";jsessionid=…".
func MaskPath(path string) string {
	return eachPart(path, `/\`, func(segment string) string {
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

// eachPart is a text with what change makes of its parts, between separators.
func eachPart(text, separators string, change func(part string) string) string {
	var b strings.Builder
	for {
		end := strings.IndexAny(text, separators)
		if end < 0 {
			return b.String() + change(text)
		}
		b.WriteString(change(text[:end]) + text[end:end+1])
		text = text[end+1:]
	}
}

// looksLikeToken reports whether a segment of a path looks like a key, a JSON Web Token or
// a random name: long, with letters and digits in one word.
func looksLikeToken(segment string) bool {
	if strings.HasPrefix(segment, "eyJ") {
		return true // the beginning of JSON, {", in Base64
	}
	if len(segment) < 20 {
		return false
	}
	var digits, letters int
	for i := range len(segment) {
		switch c := segment[i]; {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			letters++
		}
	}
	return digits >= 2 && letters >= 2
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
		case named && value != "":
			return name + "=" + mask
		case named:
			return name + "="
		case name != "":
			return mask
		}
		return ""
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

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
func Mask(r fetch.Request) fetch.Request {
	r.Headers = slices.Clone(r.Headers)
	for i, h := range r.Headers {
		if h[1] != "" && !valueCounts[strings.ToLower(h[0])] {
			r.Headers[i][1] = mask
		}
	}
	r.URL, r.RedirectedFrom = MaskURL(r.URL), MaskURL(r.RedirectedFrom)
	return r
}

// valueCounts has the headers that are CORS-safelisted depending on their value
// (https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
var valueCounts = set("accept", "accept-language", "content-language", "content-type", "range")

// MaskURL returns a URL, or what is written for one, without what may be a secret in it:
// user name and password, the values of the query, and the fragment, which browsers
// don't send.
func MaskURL(url string) string {
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
	if at := strings.LastIndexByte(url[start:end], '@'); at >= 0 {
		url = url[:start] + mask + url[start+at:]
	}
	if asks {
		url += "?" + maskQuery(query)
	}
	return url
}

// maskQuery masks the values of a query, and what isn't a parameter with a name.
func maskQuery(query string) string {
	var b strings.Builder
	for query != "" {
		end := strings.IndexAny(query, "&;")
		if end < 0 {
			end = len(query)
		}
		name, value, named := strings.Cut(query[:end], "=")
		switch {
		case named && value != "":
			b.WriteString(name + "=" + mask)
		case named:
			b.WriteString(name + "=")
		case name != "":
			b.WriteString(mask)
		}
		if end < len(query) {
			b.WriteByte(query[end])
			end++
		}
		query = query[end:]
	}
	return b.String()
}

// MaskHeader returns the name that a line which is no header begins with: what follows
// may be a secret.
func MaskHeader(line string) string {
	if i := strings.IndexAny(line, " \t=:;,"); i >= 0 {
		return line[:i] + "…"
	}
	return mask
}

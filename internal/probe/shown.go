package probe

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
)

// shown is a request without secrets.
func shown(req browser.Request) browser.Request {
	req = capture.Mask(req)
	req.URL = capture.MaskURL(req.URL)
	return req
}

func shownURL(rawURL string) string { return capture.MaskURL(rawURL) }

// shownRequest are a request's header lines without secrets.
func shownRequest(lines [][2]string) [][2]string {
	masked := capture.Mask(browser.Request{Headers: lines}).Headers
	for i, h := range lines {
		name := strings.ToLower(h[0])
		if name == "origin" || strings.HasPrefix(name, "access-control-") {
			masked[i][1] = h[1]
		}
	}
	return masked
}

// Shown are the lines of an answer that say something about CORS, or about who answered.
// Secrets are masked, and long values cut.
func (a *Answer) Shown() [][2]string {
	shown := [][2]string{}
	for _, h := range a.Headers {
		name, value := h[0], h[1]
		switch name {
		case "vary", "cache-control", "age", "allow", "server", "via":
		case "location":
			value = capture.MaskURL(value)
		case "www-authenticate", "proxy-authenticate":
			if scheme, _, more := strings.Cut(value, " "); more {
				value = scheme + " …"
			}
		case "set-cookie":
			value = maskedCookie(value)
		default:
			if !strings.HasPrefix(name, "access-control-") {
				continue
			}
		}
		if shown = append(shown, [2]string{name, short(value)}); len(shown) == 40 {
			break
		}
	}
	return shown
}

// maskedCookie is a Set-Cookie without the cookie's value.
func maskedCookie(value string) string {
	cookie, attributes, _ := strings.Cut(value, ";")
	name, _, _ := strings.Cut(cookie, "=")
	if attributes != "" {
		attributes = ";" + attributes
	}
	return name + "=***" + attributes
}

// short is a text that may come from anybody, cut to what people read.
func short(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func quoted(s string) string { return strconv.Quote(short(s)) }

// values are the values of all lines called name, which is in lower case.
func values(headers [][2]string, name string) (list []string) {
	for _, h := range headers {
		if h[0] == name {
			list = append(list, h[1])
		}
	}
	return list
}

// value is those values as one.
func value(headers [][2]string, name string) string { return strings.Join(values(headers, name), ", ") }

// list are the elements of a header that is a list.
func list(headers [][2]string, name string) (elements []string) {
	for element := range strings.SplitSeq(value(headers, name), ",") {
		if element = strings.Trim(element, " \t"); element != "" {
			elements = append(elements, element)
		}
	}
	return elements
}

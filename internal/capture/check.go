package capture

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// What the checks return is a [problem.Problem], or nil.

// CheckOrigin says what is wrong with what a person wrote for the origin of a page: a
// mistyped one would be blocked for the wrong reason.
func CheckOrigin(origin string) error {
	switch {
	case origin == "null":
		return nil
	case strings.EqualFold(origin, "null"):
		return problem.New(problem.NotOrigin, "", "the origin is "+strconv.Quote(origin), "write null")
	case strings.ContainsAny(strings.TrimSpace(origin), ", \t"):
		return problem.New(problem.NotOrigin, "", "the origin is several, or has spaces in it, and a page has one",
			"write one, such as https://app.example.com")
	}
	if strings.Contains(before(origin, "?#"), "*") {
		return problem.New(problem.WildcardMisplaced, "", "the origin has a wildcard, and a page's has none",
			"write one that it stands for, such as https://app.example.com")
	}
	if ascii, ok := WithPunycode(origin); ok {
		return problem.New(problem.NeverSent, "", "the host of the origin is not ASCII",
			"write it as a browser sends it, "+MaskURL(ascii))
	}
	scheme, _, _ := strings.Cut(origin, ":")
	page := withScheme(before(origin, "/?#"), "https://app.example.com")
	instead := "write scheme and host, such as " + page + ", or null"
	switch _, err := browser.SerializeOrigin(origin); {
	case err == nil && !strings.Contains(origin, "://") && scheme != "data" && scheme != "about" && scheme != "file":
		// Such as localhost:3000, which a parser of URLs takes for a scheme and a path.
		return problem.New(problem.NotOrigin, "", "the origin "+strconv.Quote(MaskURL(origin))+" has no scheme",
			instead)
	case err != nil:
		return problem.New(problem.NotOrigin, "", "the origin "+maskedProblem(err, origin).What, instead)
	}
	return nil
}

// CheckURL says what is wrong with what a person wrote for a URL, if a page can't
// fetch it.
func CheckURL(url string) error {
	if ascii, ok := WithPunycode(url); ok {
		return problem.New(problem.NeverSent, "", "the host of the URL is not ASCII",
			"write it as a browser sends it, "+MaskURL(ascii))
	}
	origin, err := browser.SerializeOrigin(url)
	switch scheme, rest, _ := strings.Cut(url, "://"); {
	case err != nil:
		return problem.New(problem.InvalidValue, "", "the URL "+maskedProblem(err, url).What,
			"write it whole, such as "+withScheme(MaskURL(url), "https://api.example.com/v1"))
	case !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") || origin == "null":
		return problem.New(problem.InvalidValue, "",
			"the URL "+strconv.Quote(MaskURL(url))+" is not of the scheme http or https",
			"write it whole, such as https://api.example.com/v1")
	case strings.Contains(before(rest, `/\?#`), "@"):
		return problem.New(problem.Forbidden, "", "the URL has a user name, which no page may fetch", "leave it out")
	}
	return nil
}

// WithPunycode is a URL with its host as browsers send it; ok is false if it was right
// already, or can't be mended.
func WithPunycode(url string) (ascii string, ok bool) {
	scheme, rest, found := strings.Cut(url, "://")
	host := before(rest, `/\?#:`)
	if !found || strings.Contains(host, "@") {
		return "", false
	}
	mended, err := idna.Lookup.ToASCII(host)
	if err != nil || mended == strings.ToLower(host) {
		return "", false
	}
	return scheme + "://" + mended + rest[len(host):], true
}

// withScheme is the text as a URL of https, or of http on the own machine, if the scheme
// is all that it lacks.
func withScheme(text, otherwise string) string {
	scheme := "https://"
	if host := before(text, ":/"); host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		strings.HasPrefix(host, "127.") {
		scheme = "http://"
	}
	if !strings.HasPrefix(text, "/") && !strings.ContainsAny(text, "*") && !strings.Contains(text, "://") && text != "http:" && text != "https:" {
		if _, err := browser.SerializeOrigin(scheme + text); err == nil {
			return scheme + text
		}
	}
	return otherwise
}

// CheckMethod says what is wrong with a method that no page can use
// (https://fetch.spec.whatwg.org/#concept-method).
func CheckMethod(method string) error {
	if !httpguts.ValidHeaderFieldName(method) { // a token, too
		return problem.New(problem.InvalidName, "", strconv.Quote(method)+" is no method", "write one such as PUT")
	}
	return nil
}

// CheckHeader says what is wrong with a header that no page can set
// (https://fetch.spec.whatwg.org/#dom-headers-append).
func CheckHeader(name, value string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return problem.New(problem.InvalidName, "", strconv.Quote(name)+" is no header name",
			"write one such as Content-Type")
	case strings.ContainsAny(value, "\x00\r\n"):
		return problem.New(problem.InvalidValue, "", "the value of "+name+" goes over the end of its line",
			"write it on one")
	case strings.ContainsFunc(value, func(c rune) bool { return c > 0xff && c != utf8.RuneError }):
		return problem.New(problem.InvalidValue, "", "the value of "+name+" has a character that no page can send",
			"write it in ASCII")
	case browser.ForbiddenRequestHeader(name, value):
		return problem.New(problem.Forbidden, "",
			"a page can't set the header "+name+": the browser leaves it out, or sends its own", "leave it out")
	}
	return nil
}

// maskedProblem is what package browser says about a URL, without what may be a secret in it.
func maskedProblem(err error, url string) problem.Problem {
	p, _ := errors.AsType[problem.Problem](err)
	p.What = strings.ReplaceAll(p.What, strconv.Quote(url), strconv.Quote(MaskURL(url)))
	return p
}

// before is what stands before the first of some characters.
func before(s, characters string) string {
	if i := strings.IndexAny(s, characters); i >= 0 {
		return s[:i]
	}
	return s
}

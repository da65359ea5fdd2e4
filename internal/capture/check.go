package capture

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/fetch"
)

// CheckOrigin says what is wrong with what a person wrote for the origin of a page: a
// mistyped one would be blocked for the wrong reason.
func CheckOrigin(origin string) error {
	switch {
	case origin == "null":
		return nil
	case strings.EqualFold(origin, "null"):
		return fmt.Errorf("the origin is %q; write null", origin)
	case strings.ContainsAny(strings.TrimSpace(origin), ", \t"):
		return errors.New("the origin is several, or has spaces in it, and a page has one; write one, such as https://app.example.com")
	}
	if strings.Contains(before(origin, "?#"), "*") {
		return errors.New("the origin has a wildcard, and a page's has none; write one that it stands for, such as https://app.example.com")
	}
	if ascii, ok := withPunycode(origin); ok {
		return fmt.Errorf("the host of the origin is not ASCII; write it as a browser sends it, %s", MaskURL(ascii))
	}
	scheme, _, _ := strings.Cut(origin, ":")
	switch _, err := fetch.SerializeOrigin(origin); {
	case err == nil && !strings.Contains(origin, "://") && scheme != "data" && scheme != "about" && scheme != "file":
		// Such as localhost:3000, which a parser of URLs takes for a scheme and a path.
		return fmt.Errorf("the origin %q has no scheme; write scheme and host, such as %s, or null", MaskURL(origin), withScheme(before(origin, "/?#"), "https://app.example.com"))
	case err != nil:
		return fmt.Errorf("the origin %s; write scheme and host, such as %s, or null", before(maskedError(err, origin).Error(), ";"), withScheme(before(origin, "/?#"), "https://app.example.com"))
	}
	return nil
}

// CheckURL says what is wrong with what a person wrote for a URL, if a page can't
// fetch it.
func CheckURL(url string) error {
	if ascii, ok := withPunycode(url); ok {
		return fmt.Errorf("the host of the URL is not ASCII; write it as a browser sends it, %s", MaskURL(ascii))
	}
	origin, err := fetch.SerializeOrigin(url)
	switch scheme, rest, _ := strings.Cut(url, "://"); {
	case err != nil:
		return fmt.Errorf("the URL %s; write it whole, such as %s", before(maskedError(err, url).Error(), ";"), withScheme(MaskURL(url), "https://api.example.com/v1"))
	case !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") || origin == "null":
		return fmt.Errorf("the URL %q is not of the scheme http or https; write it whole, such as https://api.example.com/v1", MaskURL(url))
	case strings.Contains(before(rest, `/\?#`), "@"):
		return errors.New("the URL has a user name, which no page may fetch; leave it out")
	}
	return nil
}

// withPunycode is a URL with its host as browsers send it; ok is false if it was right
// already, or can't be mended.
func withPunycode(url string) (ascii string, ok bool) {
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
	if host := before(text, ":/"); host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "127.") {
		scheme = "http://"
	}
	if !strings.ContainsAny(text, "*") && !strings.Contains(text, "://") && text != "http:" && text != "https:" {
		if _, err := fetch.SerializeOrigin(scheme + text); err == nil {
			return scheme + text
		}
	}
	return otherwise
}

// CheckMethod says what is wrong with a method that no page can use
// (https://fetch.spec.whatwg.org/#concept-method).
func CheckMethod(method string) error {
	if !httpguts.ValidHeaderFieldName(method) { // a token, too
		return fmt.Errorf("%q is no method; write one such as PUT", method)
	}
	return nil
}

// CheckHeader says what is wrong with a header that no page can set
// (https://fetch.spec.whatwg.org/#dom-headers-append).
func CheckHeader(name, value string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is no header name; write one such as Content-Type", name)
	case strings.ContainsAny(value, "\x00\r\n"):
		return fmt.Errorf("the value of %s goes over the end of its line; write it on one", name)
	case fetch.ForbiddenRequestHeader(name, value):
		return fmt.Errorf("a page can't set the header %s: the browser leaves it out, or sends its own; leave it out", name)
	}
	return nil
}

// maskedError is an error that repeats a URL, without what may be a secret in it.
func maskedError(err error, url string) error {
	return errors.New(strings.ReplaceAll(err.Error(), strconv.Quote(url), strconv.Quote(MaskURL(url))))
}

// before is what stands before the first of some characters.
func before(s, characters string) string {
	if i := strings.IndexAny(s, characters); i >= 0 {
		return s[:i]
	}
	return s
}

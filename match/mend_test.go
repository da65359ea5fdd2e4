package match

import (
	"fmt"
	"strings"
	"testing"
)

// TestHostsAndPathsMended: what to write instead of an entry of match.hosts and of
// match.paths, which never is for more requests than what was meant.
func TestHostsAndPathsMended(t *testing.T) {
	manyHosts := "" // of which the message would be longer than the bound
	for i := range 50 {
		manyHosts += fmt.Sprintf("h%02d.example ", i)
	}
	for entry, want := range map[string]string{
		"https://api.example.com:443/":          `write "api.example.com"`,
		"https://api.example.com:8443":          `write "api.example.com:8443"`,
		"//api.example.com":                     `write "api.example.com"`,
		"https:/api.example.com":                `write "api.example.com"`,
		"api.example.com/v1":                    `write "api.example.com", and the path in match.paths`,
		"https://api.example.com/v1?x":          `write "api.example.com", and the path in match.paths`,
		"a.example,b.example":                   `write "a.example", "b.example"`,
		"https://a.example, https://b.example/": `write "a.example", "b.example"`,
		"[a.example, b.example]":                `write "a.example", "b.example"`,
		"user@api.example.com":                  `write "api.example.com"`,
		"api.example.com:":                      `write "api.example.com"`,
		"api.example.com:08443":                 `write "api.example.com:8443"`,
		"api.example.com:*":                     `write "api.example.com"`,
		".example.com":                          `write "*.example.com"`,
		"*example.com":                          `write "*.example.com"`,
		"*.10.0.0.1":                            `write "10.0.0.1"`,
		"::1":                                   `write "[::1]"`,
		"2001:DB8:0:0:0:0:0:1":                  `write "[2001:db8::1]"`,
		"[2001:db8:0::1]:8080":                  `write "[2001:db8::1]:8080"`,
		"bücher.example:8443":                   `write "xn--bcher-kva.example:8443"`,
		"*":                                     "leave out match.hosts",
		"*:8080":                                `write "*." before`,
		`^api\.example\.com$`:                   "write a host such as",
		`https://(a|b)\.example\.com`:           "write the host alone",
		"a.example|b.example":                   "write a host such as",
		",":                                     "write a host such as",
		"https://a.example/$":                   "write the host alone",
		manyHosts:                               "write a host such as",
		"${HOST}":                               "write a host such as",
		strings.Repeat("a.example,", 200) + "ü": "write the host's",
	} {
		_, f := parseHost(entry)
		if _, _, instead := f.ofHost(entry); !strings.HasPrefix(instead, want) || strings.HasSuffix(want, `"`) &&
			instead != want {
			t.Errorf("host %q: %s, want %s", entry, instead, want)
		}
	}
	for path, want := range map[string]string{
		"v1":                           `write {"exact": "/v1"}`,
		"/v1/*":                        `write {"prefix": "/v1"}`,
		"/v1/.*":                       `write {"prefix": "/v1"}`,
		"/v1?x=y":                      `write {"exact": "/v1"}`,
		"?x=y":                         `write {"exact": "/"}`,
		"/a\x7f":                       `write {"exact": "/a%7F"}`,
		"/v1/*/**":                     "write a prefix",
		"/v1#top":                      `write {"exact": "/v1"}`,
		"/a b/ä":                       `write {"exact": "/a%20b/%C3%A4"}`,
		"https://api.example.com/v1":   `write {"exact": "/v1"}, and the host in match.hosts`,
		"https://api.example.com":      "write the path from",
		"localhost:8080/v1":            "write the path from",
		"":                             "write a path such as",
		"/v*1":                         "write a prefix",
		"/" + strings.Repeat("ä", 400): "write them",
	} {
		p := Path{Path: path}
		if _, _, instead := p.check().ofPath(p); !strings.HasPrefix(instead, want) {
			t.Errorf("path %q: %s, want %s", path, instead, want)
		}
	}
}

// TestDoubtfulPathsMended: what to write instead of a path that is right, and hardly what was meant:
// dots as browsers resolve them (https://url.spec.whatwg.org/#path-state), and a prefix of what stands
// before a placeholder, unless that is all paths.
func TestDoubtfulPathsMended(t *testing.T) {
	for path, want := range map[string]string{
		"/./a":       `write {"exact": "/a"}`,
		"/a/./b":     `write {"exact": "/a/b"}`,
		"/a/../b":    `write {"exact": "/b"}`,
		"/../b":      `write {"exact": "/b"}`,
		"/a/b/..":    `write {"exact": "/a/"}`,
		"/a/.":       `write {"exact": "/a/"}`,
		"/a/..":      `write {"exact": "/"}`,
		"/a/./b/.":   `write {"exact": "/a/b/"}`,
		"/a%20/./b":  "write the path that is left then",
		"/v1/{id}":   `write {"prefix": "/v1"}`,
		"/v1/a{id}":  `write {"prefix": "/v1"}`,
		"/{id}":      "write the prefix before it",
		"//{id}":     "write the prefix before it",
		"/v1/{a}/{b": `write {"prefix": "/v1"}`,
	} {
		if !doubtfulPath(path) {
			t.Errorf("%q is not doubtful", path)
		}
		if _, _, instead := diagnoseDoubtfulPath(Path{Path: path}); instead != want {
			t.Errorf("path %q: %s, want %s", path, instead, want)
		}
	}
}

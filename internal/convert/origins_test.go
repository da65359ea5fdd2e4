package convert

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// entriesOf are the entries that a matcher becomes, and the policy with them.
func entriesOf(m originMatcher, credentials bool) (entries []string, d *draft) {
	c := &conversion{}
	t := &translation{credentials: credentials}
	t.matcher(m)
	d = &draft{Config: cors.Config{AllowOrigins: t.entries, AllowCredentials: credentials}}
	for _, remark := range t.remarks {
		if remark.what == "" || remark.instead == "" {
			panic("a remark lacks words")
		}
	}
	for _, e := range t.entries {
		if e.Regex {
			entries = append(entries, "regex "+e.Text)
		} else {
			entries = append(entries, e.Text)
		}
	}
	_ = c
	return entries, d
}

// TestMatchers is about what matchers of origins become, without and with credentials.
func TestMatchers(t *testing.T) {
	for _, test := range []struct {
		kind matcherKind
		text string
		want string // without credentials, and with, if that is other
	}{
		{exactMatcher, "https://app.example", "https://app.example"},
		{exactMatcher, "*", "*"},
		{exactMatcher, "null", "null"},
		{exactMatcher, "https://*.example.com", ""},
		{exactMatcher, "https://app.example:*", ""},
		{prefixMatcher, "*", "*"},
		{suffixMatcher, "*", "*"},
		{suffixMatcher, ".example.com", "https://*.example.com http://*.example.com | https://*.example.com"},
		{suffixMatcher, ".example.com:8443",
			"https://*.example.com:8443 http://*.example.com:8443 | https://*.example.com:8443"},
		{suffixMatcher, "example.com",
			"https://example.com https://*.example.com http://example.com http://*.example.com | https://example.com https://*.example.com"},
		{suffixMatcher, "//example.com", "https://example.com http://example.com | https://example.com"},
		{suffixMatcher, "://example.com:81", "https://example.com:81 http://example.com:81 | https://example.com:81"},
		{suffixMatcher, "s://example.com", "https://example.com"},
		{suffixMatcher, "app://example.com", "app://example.com"},
		{suffixMatcher, ".localhost", "https://*.localhost http://*.localhost"},
		{suffixMatcher, "example", ""},
		{suffixMatcher, ":3000", "regex .*:3000"},
		{suffixMatcher, "example.com/", ""},
		{prefixMatcher, "https://app.example.com", "https://app.example.com:*"},
		{prefixMatcher, "https://app.example.com/", ""},
		{prefixMatcher, "https://app.example.com:", `regex https://app\.example\.com:[0-9]+`},
		{prefixMatcher, "https://app.example.com:80", `regex https://app\.example\.com:80[0-9]*`},
		{prefixMatcher, "https://app.", ""},
		{prefixMatcher, "https://app", ""},
		{prefixMatcher, "https://", "regex https://.*"},
		{prefixMatcher, "http", "regex http.*"},
		{prefixMatcher, "http://localhost", "http://localhost:*"},
		{prefixMatcher, "http://localhost:", "regex http://localhost:[0-9]+"},
		{prefixMatcher, "chrome-extension://", "regex chrome-extension://.*"},
		{containsMatcher, "example.com",
			"https://example.com:* https://*.example.com:* http://example.com:* http://*.example.com:* | https://example.com:* https://*.example.com:*"},
		{containsMatcher, ".example.com", "https://*.example.com:* http://*.example.com:* | https://*.example.com:*"},
		{containsMatcher, "localhost",
			"https://localhost:* https://*.localhost:* http://localhost:* http://*.localhost:*"},
		{containsMatcher, "://app.example.com",
			"https://app.example.com:* http://app.example.com:* | https://app.example.com:*"},
		{containsMatcher, "example", ""},
		{containsMatcher, "example.com:80", ""},
		{regexMatcher, ".*", "*"},
		{regexMatcher, ".+", "*"},
		{regexMatcher, `\*`, "*"},
		{regexMatcher, "[^/]*", "*"},
		{regexMatcher, "null", "null"},
		{regexMatcher, `https://app\.example\.com`, "https://app.example.com"},
		{regexMatcher, `^https://app\.example\.com$`, "https://app.example.com"},
		{regexMatcher, `https:\/\/app\.example\.com`, "https://app.example.com"},
		{regexMatcher, `https://app\.example\.com:8443`, "https://app.example.com:8443"},
		{regexMatcher, `https://app\.example\.com(:[0-9]+)?`, "https://app.example.com:*"},
		{regexMatcher, `https://app\.example\.com:[0-9]+`, `regex https://app\.example\.com:[0-9]+`},
		{regexMatcher, `https?://app\.example\.com`,
			"https://app.example.com http://app.example.com | https://app.example.com"},
		{regexMatcher, `http[s]?://app\.example\.com`,
			"https://app.example.com http://app.example.com | https://app.example.com"},
		{regexMatcher, `(http|https)://(?:.*\.)?example\.com`,
			"https://example.com https://*.example.com http://example.com http://*.example.com | https://example.com https://*.example.com"},
		{regexMatcher, `.*\.example\.com`, "https://*.example.com http://*.example.com | https://*.example.com"},
		{regexMatcher, `(.*)\.example\.com`, "https://*.example.com http://*.example.com | https://*.example.com"},
		{regexMatcher, `.*://.*\.example\.com`, "https://*.example.com http://*.example.com | https://*.example.com"},
		{regexMatcher, `.*example.com`,
			"https://example.com https://*.example.com http://example.com http://*.example.com | https://example.com https://*.example.com"},
		{regexMatcher, `https://.+example\.com`, "https://*.example.com"},
		{regexMatcher, `https://.*.example.com`, "https://*.example.com"},
		{regexMatcher, `https://app.example.com`, "https://app.example.com"},
		{regexMatcher, `https://app\.example\.com.*`, "https://app.example.com:*"},
		{regexMatcher, `https://.*\.example\.com.*`, "https://*.example.com:*"},
		{regexMatcher, `https://app.*`, ""},
		{regexMatcher, `https://.*`, "regex https://.*"},
		{regexMatcher, `https://app-[0-9]+.example.com`, `regex https://app-[0-9]+\.example\.com`},
		{regexMatcher, `https://(a|b).example.com`, `regex https://(a|b)\.example\.com`},
		{regexMatcher, `https?://[a-z]+\.example\.com`,
			`regex https?://[a-z]+\.example\.com | regex https://[a-z]+\.example\.com`},
		{regexMatcher, `https://a\.example\.com|https://.*\.example\.org`,
			"https://a.example.com https://*.example.org"},
		{regexMatcher, `^(https://a\.example\.com|null)$`, "https://a.example.com null"},
		{regexMatcher, `(?i)https://a\.example\.com|x`, `regex (?i)https://a\.example\.com|x`},
		{regexMatcher, `[(|]a|https://b\.example`, `regex [(|]a https://b.example`},
		{regexMatcher, `app\.example\.com`, `regex app\.example\.com`},
		{regexMatcher, `https://[`, `regex https://[`},
	} {
		t.Run(string(test.kind)+" "+test.text, func(t *testing.T) {
			without, with, other := strings.Cut(test.want, " | ")
			if !other {
				with = without
			}
			for credentials, want := range map[bool]string{false: without, true: with} {
				got, _ := entriesOf(originMatcher{kind: test.kind, text: test.text}, credentials)
				// Regexes have no spaces but "regex " before them.
				if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
					t.Errorf("with credentials %t (-want +got):\n%s", credentials, diff)
				}
			}
		})
	}
}

// matches is what a matcher does in Envoy.
func (m originMatcher) matches(origin string) bool {
	switch m.kind {
	case exactMatcher:
		return origin == m.text || m.text == "*"
	case prefixMatcher:
		return strings.HasPrefix(origin, m.text) || m.text == "*"
	case suffixMatcher:
		return strings.HasSuffix(origin, m.text) || m.text == "*"
	case containsMatcher:
		return strings.Contains(origin, m.text) || m.text == "*"
	}
	re, err := regexp.Compile(`\A(?:` + m.text + `)\z`)
	return err == nil && (re.MatchString(origin) || re.MatchString("*"))
}

// FuzzMatchers: what a matcher becomes allows no origin that the matcher doesn't match.
func FuzzMatchers(f *testing.F) {
	kinds := []matcherKind{exactMatcher, prefixMatcher, suffixMatcher, containsMatcher, regexMatcher}
	for i, text := range []string{
		"https://app.example.com", "https://app.example.com", ".example.com", "example.com:80",
		`https?://(.*\.)?example\.com(:\d+)?`, `a|.*.example.com`,
		"", "http://localhost", "//a.b", "://a.b", `(https://a\.b|null)`, `.*b\.c.*`, `https://.+\.a\.b:.*`,
	} {
		f.Add(uint8(i), text, "https://app.example.com:8080")
		f.Add(uint8(i), text, "null")
	}
	f.Fuzz(func(t *testing.T, kind uint8, text, origin string) {
		m := originMatcher{kind: kinds[int(kind)%len(kinds)], text: text}
		for _, credentials := range []bool{false, true} {
			_, r := entriesOf(m, credentials)
			p, _ := cors.Compile(r.Config)
			if p == nil {
				continue // and finish goes on from there
			}
			for _, origin := range append(samplesOf(r.AllowOrigins), origin) {
				d := p.Decide(&cors.Request{Method: "GET", Origin: origin, HasOrigin: true})
				if d.Allowed() && !m.matches(origin) {
					t.Errorf("%s %q allows %q here", m.kind, text, origin)
				}
			}
		}
	})
}

// samplesOf are origins that entries allow, with their neighbours.
func samplesOf(entries []cors.OriginEntry) (origins []string) {
	for _, e := range entries {
		for _, port := range []string{"", ":1", ":65535"} {
			for _, sub := range []string{"a.", "a.b-c."} {
				origins = append(origins, strings.TrimSuffix(strings.Replace(e.Text, "*.", sub, 1), ":*")+port,
					strings.Replace(strings.TrimSuffix(e.Text, ":*"), "://", "://"+sub, 1)+port)
			}
		}
		origins = append(origins, fmt.Sprintf("evil%s", e.Text), e.Text+".evil.example")
	}
	return origins
}

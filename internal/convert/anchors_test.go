package convert

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// unanchored are regexes of origins as people write them.
var unanchored = []string{
	`https://.*\.example\.com`, `^https://.*\.example\.com$`, `example\.com`, `\.example\.com$`, `.*`, `.+`,
	`https://app.example.com`, `^https?:\/\/(www\.)?example\.com`, `https://a\.example\.com|https://b\.example\.com`,
	`^https://a\.example\.com|https://b\.example\.com$`, `^(https://a\.example\.com|http://b\.example\.com)$`,
	`(a|b)\.example\.com`, `.*\.example\.com(:[0-9]+)?`, `https://[a-z]+\.example\.com`, `(?i)https://app\.example\.com`,
	`(?i)a\.example\.com|b\.example\.com`, `https://app\.example\.com:8080`, `localhost`, `http://localhost:[0-9]+`,
	`null`, `^null$`, `https://.*`, `https?://`, `app`, `[`, `(?!x)`, `a|`, `|a`, `https://x$|`, `.*example.com`,
	`example.com$`, `^.*\.example\.com$`, `(.*)\.example\.com`, `https://a\.b\.co\.uk`, `\Qa.example.com\E`,
}

// allowedBy are the origins among samples that the configuration of a policy allows.
func allowedBy(t *testing.T, d *draft) (origins []string) {
	t.Helper()
	p, _ := cors.Compile(d.Config)
	if p == nil {
		return nil // and finish goes on from there
	}
	samples := samplesOf(d.AllowOrigins)
	for _, host := range []string{"example.com", "app.example.com", "a.example.com", "b.example.com", "evilexample.com",
		"example.com.evil.example", "a.example.com.evil.example", "appxexample.com", "localhost", "evil.example"} {
		for _, port := range []string{"", ":8080", ":80801"} {
			samples = append(samples, "https://"+host+port, "http://"+host+port)
		}
	}
	for _, origin := range append(samples, "null", "app://x", "https://x.a.example.com") {
		d := p.Decide(&cors.Request{Method: "GET", Origin: origin, HasOrigin: true})
		if d.Allowed() {
			origins = append(origins, origin)
		}
	}
	return origins
}

// aNode is a value of a file that is a text.
func aNode(t *testing.T, c *conversion, text string) *document.Node {
	t.Helper()
	c.file = convertedFile(t, "file.json", `{"a": `+quote(text)+`}`)
	return c.file.Documents[0].Get("a")
}

// TestSearchOrigin: what becomes of a regex that is looked for anywhere allows no origin in
// which it isn't found.
func TestSearchOrigin(t *testing.T) {
	for _, expr := range unanchored {
		for _, credentials := range []bool{false, true} {
			c, d := &conversion{}, &draft{Config: cors.Config{AllowCredentials: credentials}}
			c.searchOrigin(d, aNode(t, c, expr), expr)
			search, err := regexp.Compile(expr)
			for _, origin := range allowedBy(t, d) {
				if err != nil || !search.MatchString(origin) {
					t.Errorf("%s allows %q here", expr, origin)
				}
			}
		}
	}
}

// TestKongOrigin: what becomes of an origin of Kong's allows none that Kong doesn't.
func TestKongOrigin(t *testing.T) {
	for _, expr := range unanchored {
		if plainOrigin.MatchString(expr) {
			continue
		}
		for _, credentials := range []bool{false, true} {
			c, d := &conversion{}, &draft{Config: cors.Config{AllowCredentials: credentials}}
			k := &kongReader{conversion: c}
			at := aNode(t, c, expr)
			d.from = at
			k.kongOrigins(d, []*document.Node{at})
			for _, origin := range allowedBy(t, d) {
				if !kongAllows(expr, origin) {
					t.Errorf("%s allows %q here", expr, origin)
				}
			}
		}
	}
}

// kongAllows is what Kong does.
func kongAllows(expr, origin string) bool {
	subject := origin
	if !strings.Contains(expr, ":") {
		u, err := url.Parse(origin)
		if err != nil {
			return false
		}
		subject = u.Hostname()
	}
	if !strings.HasSuffix(expr, "$") {
		expr += "$"
	}
	search, err := regexp.Compile(`\A(?:` + strings.TrimPrefix(expr, "^") + `)`)
	return err == nil && search.MatchString(subject)
}

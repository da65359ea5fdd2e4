package config_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// suggestions are what a message says to write, each of its alternatives: JSON, or a
// list's elements.
func suggestions(instead string) (list []string) {
	rest, ok := strings.CutPrefix(instead, "write ")
	if !ok {
		return nil
	}
	for rest != "" {
		text, after, ok := cutValues(rest)
		if !ok {
			break
		}
		list = append(list, text)
		next := alternative.FindString(after)
		if next == "" {
			break
		}
		rest = after[len(next):]
	}
	return list
}

var (
	alternative = regexp.MustCompile(`^,? or (write |at most )?`)
	// ends is what may follow what is to be written. Words such as "to" tell that it is
	// part of a sentence.
	ends = regexp.MustCompile(`^($|,? or |, (without|which|and the path|and the host|in quotes)| for | if | to have )`)
)

// cutValues cuts values with commas between them from the front of s.
func cutValues(s string) (values, after string, ok bool) {
	end := 0
	for {
		var raw json.RawMessage
		d := json.NewDecoder(strings.NewReader(s[end:]))
		if d.Decode(&raw) != nil {
			break
		}
		end += int(d.InputOffset())
		ok = true
		if !strings.HasPrefix(s[end:], ", ") || !strings.ContainsAny(s[end+2:][:1], `"{[`) {
			break
		}
		end += len(", ")
	}
	if end = len(strings.TrimSuffix(s[:end], ", ")); !ends.MatchString(s[end:]) {
		return "", "", false
	}
	return s[:end], s[end:], ok
}

// extent is the length of the value, the name or the bare word at the beginning of doc.
func extent(doc string) int {
	var raw json.RawMessage
	d := json.NewDecoder(strings.NewReader(doc))
	if d.Decode(&raw) == nil {
		return int(d.InputOffset())
	}
	if end := strings.IndexAny(doc, ",]}\n "); end >= 0 {
		return end
	}
	return len(doc)
}

// paste follows each suggestion about a document, and reports whether there is one:
// with what a message says to write in place of what it is about, the problem must be
// gone, and no other error be there.
func paste(t *testing.T, doc string) (pasted int) {
	t.Helper()
	_, problems := config.Parse(doc)
	for _, p := range problems {
		if p.Kind == 0 {
			t.Errorf("%s\n%v has no kind", shorten(doc), p)
		}
		if p.Kind == problem.Syntax && strings.Contains(p.What, "where a value should stand") {
			continue // one of many things wrong with the syntax, see TestBarewords
		}
		for _, text := range suggestions(p.Instead) {
			pasted++
			mended := doc[:p.Offset] + text + doc[p.Offset+extent(doc[p.Offset:]):]
			_, after := config.Parse(mended)
			for _, q := range after {
				if q.Offset == p.Offset && q.Path() == p.Path() && (q.What == p.What || !q.Warning) ||
					q.Offset >= p.Offset && q.Offset < p.Offset+len(text) && !q.Warning {
					t.Errorf("%s\n%s\n%s is refused in turn:\n%s", shorten(doc), p, text, q)
				}
			}
		}
	}
	return pasted
}

// pasted are what people write into an entry of a list, of any list, who have it from
// somewhere else, or mistyped it.
var pasted = []string{
	"", " ", ",", ", ,", "*", "**", "[*]", "*,*", "null", "NULL", "Null", "none", "any", "all",
	"GET,PUT", "GET, PUT", "GET PUT", "get;put", "GET|PUT", "GET,PUT,CONNECT", "TRACE", "[GET, PUT]", `"GET"`, "'PUT'",
	"PUT ", "put", "patch", "P@T",
	"Content-Type,Authorization", "Content-Type Authorization", "Content-Type:", "X-A: 1", "Set-Cookie,X-A",
	"Cookie, X-A", "X A", "x-a,*", "*, Authorization", "Origin", "Access-Control-Allow-Origin",
	"localhost:3000", "localhost", "localhost:80", "localhost:*", "127.0.0.1:8080", "[::1]:8080", "::1",
	"[0:0:0:0:0:0:0:1]:3000", "2001:DB8::1", "http://[0:0::1]", "10.0.0.1", "192.168.1.300",
	"app.example", "app.example/", "*.app.example", "*.app.example:8443", ".app.example", "*app.example",
	"app-*.example.com", "App.Example:443", "//app.example", "http:app.example", "https:/app.example",
	"https://app.example/", "https://app.example/path?x#y", "https://App.Example", "HTTPS://app.example",
	"https://app.example:443", "http://app.example:80", "https://app.example:", "https://app.example:08443",
	"https://app.example:70000", "https://user:pass@app.example", "https://app.example.", "https://.app.example",
	"https://app..example", "https://app_.example", "https://app%2eexample",
	"https://a.example,https://b.example", "https://a.example, https://b.example/",
	"https://a.example https://b.example", "https://a.example;https://b.example", "https://a.example|http://b.example",
	"https://a.example,*", "https://a.example,,",
	"a.example,b.example", "'https://a.example'", `"https://a.example"`, "https://a.example\u200b",
	"\ufeffhttps://a.example", "https://\ufffd.example", "https://a.ex\tample", "https://a.example\n",
	"https://*", "http://*", "https://*/", "https://*:*", "http://*:8080", "*://*", "*://*/*", "*://app.example",
	"http*://app.example", "https://*.com", "https://*.github.io", "https://*.co.uk/", "https://*example.com",
	"https://*.*.example.com",
	"https://app-*.example.com", "https://a.*.example.com", "https://example.*", "https://example.com:*0",
	"https://*.127.0.0.1", "https://*.[::1]", "http://*.app.example/", "https://*.example.com:443",
	"https://*.example.com/*",
	"moz-extension://*", "chrome-extension://*", "safari-web-extension://*", "app://*", "capacitor://*", "app://*.",
	"app://*:*", "app://*/", "app://:*", "app://:80", "App://Local", "app://Local/index.html", "app://a,b", "app://a b",
	"app://a@b", "app://'a'", "app://[::A]",
	"capacitor:", "capacitor:localhost", "file:", "file:/", "file:///", "file:///x", "file://host", "File://",
	"ws://app.example", "wss://app.example:443", "wss://*.app.example", "ftp://app.example", "ws://localhost:3000",
	"data://x", "about:blank", "javascript:",
	"chrome-extension://abc", "moz-extension://0A1B2C3D-0000-4000-8000-000000000000", "moz-extension://x/",
	"safari-web-extension://140bb581-1b1c-4a5b-8c3d-0e9f7a6b5c4d",
	"$http_origin", "${http_origin}", "$cors_origin", "${ORIGIN}", "https://${HOST}", "https://$HOST",
	"{{ .Values.origin }}", "{{origin}}", "<%= origin %>", "%{ORIGIN}", "$(ORIGIN)", "${METHODS}", "{{ headers }}",
	`https://.*\.example\.com`, `https://.*.example.com`, `^https://app\.example\.com$`, `https?://.*\.example\.com`,
	`/^https:\/\/app\.example\.com$/`, `~^https?://(.*\.)?example\.com(:[0-9]+)?$`, `~*^https://example\.com$`, `.*`,
	`^.*$`, `.+`, `https://.*`, `.*\.example\.com`,
	`https://(a|b)\.example\.com`, `https://[a-z]+\.example\.com`, `https://(`, `https://[a-`,
	`https://app\.example\.com/`, `regex:https://a\.example\.com`, `^https://[^.]+\.example\.com$`,
	`(https://a\.example|http://b\.example)`, `https://\w+\.example\.com`, `https://example\.com$`,
	"self", "'self'", "same-origin", "Any", "everyone", "<your origin>", "<https://a.example>", "<ORIGIN>", "%ORIGIN%",
	"blob:https://app.example/1", "blob:null", "blob://x", "https://**.app.example", "https://**.app.example:8443",
	"**.app.example",
	`re:https://.*\.example\.com`, `regexp:^https://a\.example$`,
	"https://bücher.example", "https://BÜCHER.example/", "bücher.example", "https://例え.テスト:8443", "https://☃.example",
	"https://*.bücher.example", "https://cafe\u0301.example", "https://xn--bcher-kva.example", "https://ａ.example",
	"https://" + strings.Repeat("a", 300) + ".example", "https://*." + strings.Repeat("a.", 70) + "example",
	strings.Repeat("https://a.example,", 100), strings.Repeat("x", 5000), strings.Repeat("GET,", 500),
	"https://a.example/" + strings.Repeat("ä", 200),
	"https://a.example:443:*", "https://a.example:80:90", "https://a.example:*:*", "https://::1", "http://[::1",
	"http://::1]:80", "http://[::1]:80", "https://1.2.3", "http://0x7f.1", "https://a.1",
	"/", "/v1", "/v1/*", "/v1/**", "/v1/.*", "^/v1", "/v1(/.*)?", "v1", "v1/*", "/v1?x=y", "/v1#x", "/ä b", "/a b/*",
	"*/v1", "/*", "/**", "https://a.example/v1", "/v1/{id}", "/v*1", strings.Repeat("/a", 200), "?", "#",
	"https://a.example/v1/x", "api.example.com/v1", "api.example.com:443", "API.example.com:08443", "api.example.com:*",
	"*:8080", "http://*.example.com/", "user@api.example.com", "api.example.com.", "api.example.com..", ".", "a..b",
}

// valuePlaces are documents with a place for a value, of a kind that it may not have.
var valuePlaces = func() (docs []string) {
	lists := []string{"allow_origins", "allow_methods", "allow_headers", "expose_headers"}
	for _, credentials := range []string{``, `, "allow_credentials": true`} {
		for _, field := range lists {
			origins := `"allow_origins": ["https://a.test"], `
			if field == "allow_origins" {
				origins = ""
			}
			docs = append(docs, `{`+origins+`"`+field+`": §`+credentials+`}`,
				`{`+origins+`"`+field+`": [§]`+credentials+`}`,
				`{"defaults": {`+origins+`"`+field+`": [§]}, "policies": [{"name": "p"`+credentials+`}]}`)
		}
		for _, matcher := range []string{"exact", "prefix", "suffix", "contains", "safe_regex", "regex", "value"} {
			docs = append(docs, `{"allow_origins": [{"`+matcher+`": §}]`+credentials+`}`,
				`{"allow_origins": {"`+matcher+`": §}`+credentials+`}`)
		}
		docs = append(docs, `{"allow_origins": [{"safeRegex": {"regex": §}}]`+credentials+`}`,
			`{"allow_origins": [{"type": "Exact", "value": §}]`+credentials+`}`,
			`{"allow_origins": [{"type": "RegularExpression", "value": §}]`+credentials+`}`)
	}
	for _, field := range []string{"hosts", "paths", "routes"} {
		docs = append(docs, `{"allow_origins": ["*"], "match": {"`+field+`": §}}`,
			`{"allow_origins": ["*"], "match": {"`+field+`": [§]}}`)
	}
	for _, kind := range []string{"exact", "prefix", "regex", "path", "pathPrefix"} {
		docs = append(docs, `{"allow_origins": ["*"], "match": {"paths": [{"`+kind+`": §}]}}`)
	}
	for _, kind := range []string{"Exact", "PathPrefix", "Prefix", "RegularExpression"} {
		docs = append(docs, `{"allow_origins": ["*"], "match": {"paths": [{"type": "`+kind+`", "value": §}]}}`)
	}
	for _, field := range []string{"name", "match", "allow_credentials", "max_age", "allow_private_network",
		"unmatched_preflights", "preflight_status", "upstream_cors_headers", "debug", "mode"} {
		docs = append(docs, `{"allow_origins": ["*"], "`+field+`": §}`)
	}
	return append(docs, `{"policies": §}`, `{"policies": [§]}`, `{"policies": [{"name": §, "allow_origins": ["*"]}]}`,
		`{"policies": [], "defaults": §}`,
		`{"policy_source": §}`, `{"policy_source": {"cluster": §}}`, `{"policy_source": {"cluster": "c", "path": §}}`,
		`{"policy_source": {"cluster": "c", "interval": §}}`, `{"policy_source": {"cluster": "c", "timeout": §}}`,
		`{"policy_source": {"cluster": "c", "authority": §}}`)
}()

// values are of every type, and what other formats have for them.
var values = []string{
	`null`, `true`, `false`, `0`, `1`, `-1`, `600`, `600.0`, `1.5`, `1e2`, `6e2`, `1e9`, `86400`, `86401`, `-0`, `-0.5`,
	`99999999999999999999`, `200.0`, `204`, `201`, `{}`, `[]`, `[null]`, `[[]]`, `[["a"]]`,
	`"true"`, `"True"`, `"yes"`, `"no"`, `"on"`, `"off"`, `"1"`, `"0"`, `"600"`, `"600.0"`, `"10m"`, `"10 m"`,
	`"10min"`, `"10 minutes"`, `"1d"`, `"1 day"`, `"7d"`, `"1500ms"`, `"-1s"`, `"-1"`, `"25h"`, `"1 hour"`, `"forever"`,
	`"204"`, `"200"`, `"201"`,
	`"Keep"`, `"REPLACE"`, `"Enforce"`, `"SHADOW"`, `"disabled"`, `"Ignore"`, `"FORWARD"`, `"UNSPECIFIED"`, `"a b"`,
	`"shop"`, `"ä"`,
	`{"exact": "https://a.example"}`, `{"exact": "*"}`, `{"exact": "https://a.example/"}`,
	`{"prefix": "https://a.example"}`, `{"prefix": "https://"}`, `{"prefix": "https://app."}`,
	`{"suffix": ".example.com"}`, `{"suffix": "com"}`, `{"contains": "example"}`,
	`{"safe_regex": {"google_re2": {}, "regex": ".*\\.example\\.com"}}`, `{"regex": "https://a\\.example"}`,
	`{"regex": ""}`, `{"regex": "("}`, `{"regex": null}`, `{"exact": 1}`, `{"a": "b"}`, `{"": ""}`,
	`{"exact": "a", "prefix": "b"}`, `{"prefix": "/v1"}`, `{"exact": "/v1", "prefix": "/v2"}`,
}

// TestSuggestions: whatever a message says to write is accepted.
func TestSuggestions(t *testing.T) {
	t.Parallel()
	n := 0
	all := slices.Clone(values)
	for _, s := range pasted {
		all = append(all, quote(t, s))
	}
	for _, place := range choices.Few(valuePlaces) {
		for _, value := range all {
			n += paste(t, strings.ReplaceAll(place, "§", value))
		}
	}
	for _, s := range choices.Few(corpus(t)) {
		for _, place := range stringPlaces[:9] {
			n += paste(t, strings.ReplaceAll(place, "§", quote(t, s)))
		}
	}
	for _, test := range problemTests() {
		n += paste(t, test.doc)
	}
	for _, doc := range slices.Concat(twists, validDocs(t)) {
		n += paste(t, doc)
	}
	if n < choices.Rounds(10_000) {
		t.Errorf("only %d suggestions", n)
	}
}

// TestBarewords: what stands without quotes is answered with the quotes, or with what it
// is in JSON.
func TestBarewords(t *testing.T) {
	for doc, want := range map[string]string{
		`{"allow_origins": [*]}`:                               `"*"`,
		`{"allow_origins": [https://a.example]}`:               `"https://a.example"`,
		`{"allow_origins": ["*"], "allow_methods": [PUT]}`:     `"PUT"`,
		`{"allow_origins": ["*"], "max_age": 10m}`:             "",
		`{"allow_origins": ["*"], "mode": enforce}`:            `"enforce"`,
		`{"allow_origins": ["*"], "match": None}`:              `null`,
		`{"allow_origins": ["*"], "allow_credentials": False}`: `false`,
		`{"allow_origins": ["*"], "allow_credentials": yes}`:   `true`,
	} {
		_, problems := config.Parse(doc)
		p := problems[0]
		got := suggestions(p.Instead)
		if want == "" {
			if got != nil {
				t.Errorf("%s: %s", doc, p)
			}
			continue
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %s", doc, p)
			continue
		}
		mended := doc[:p.Offset] + want + doc[p.Offset+extent(doc[p.Offset:]):]
		if want == "true" {
			mended = strings.Replace(mended, `"*"`, `"https://a.example"`, 1)
		}
		if c, problems := config.Parse(mended); c == nil {
			t.Errorf("%s: %v", mended, problems)
		}
	}
}

// TestForeignFields: a field of another tool that people paste is answered with ours,
// which then is the right one for what the other one said.
func TestForeignFields(t *testing.T) {
	for _, test := range []struct{ tool, field, value, ours string }{
		{"express", "origin", `"https://a.example"`, "allow_origins"},
		{"rs/cors", "AllowedOrigins", `["https://a.example"]`, "allow_origins"},
		{"S3", "AllowedOrigins", `["https://a.example"]`, "allow_origins"},
		{"S3", "AllowedMethods", `["PUT"]`, "allow_methods"},
		{"S3", "AllowedHeaders", `["*"]`, "allow_headers"},
		{"S3", "ExposeHeaders", `["ETag"]`, "expose_headers"},
		{"S3", "MaxAgeSeconds", `600`, "max_age"},
		{"S3", "ID", `"rule"`, "name"},
		{"Spring", "allowedOrigins", `["https://a.example"]`, "allow_origins"},
		{"Spring", "exposedHeaders", `["ETag"]`, "expose_headers"},
		{"Kong", "origins", `["https://a.example"]`, "allow_origins"},
		{"Kong", "methods", `["PUT"]`, "allow_methods"},
		{"Kong", "headers", `["X-A"]`, "allow_headers"},
		{"Kong", "exposed_headers", `["X-A"]`, "expose_headers"},
		{"Kong", "credentials", `true`, "allow_credentials"},
		{"Kong", "private_network", `true`, "allow_private_network"},
		{"Traefik", "accessControlAllowOriginList", `["https://a.example"]`, "allow_origins"},
		{"Traefik", "accessControlAllowMethods", `["PUT"]`, "allow_methods"},
		{"Traefik", "accessControlAllowHeaders", `["X-A"]`, "allow_headers"},
		{"Traefik", "accessControlExposeHeaders", `["X-A"]`, "expose_headers"},
		{"Traefik", "accessControlAllowCredentials", `true`, "allow_credentials"},
		{"Traefik", "accessControlMaxAge", `600`, "max_age"},
		{"nginx", "Access-Control-Allow-Origin", `["https://a.example"]`, "allow_origins"},
		{"ingress-nginx", "cors-allow-methods", `["PUT"]`, "allow_methods"},
		{"ingress-nginx", "cors-max-age", `600`, "max_age"},
		{"Envoy", "allow_origin_string_match", `[{"exact": "https://a.example"}]`, "allow_origins"},
		{"express", "optionsSuccessStatus", `200`, "preflight_status"},
		{"rs/cors", "OptionsSuccessStatus", `204`, "preflight_status"},
		{"Laravel", "supports_credentials", `true`, "allow_credentials"},
		{"django", "CORS_ALLOWED_ORIGINS", `["https://a.example"]`, "allow_origins"},
		{"django", "CORS_PREFLIGHT_MAX_AGE", `600`, "max_age"},
		{"Tomcat", "cors.allowed.origins", `["https://a.example"]`, "allow_origins"},
		{"Tomcat", "cors.support.credentials", `true`, "allow_credentials"},
		{"Tomcat", "cors.preflight.maxage", `600`, "max_age"},
		{"Play", "allowedHttpMethods", `["PUT"]`, "allow_methods"},
		{"Play", "allowedHttpHeaders", `["X-A"]`, "allow_headers"},
		{"hapi", "additionalExposedHeaders", `["ETag"]`, "expose_headers"},
		{"ingress-nginx", "nginx.ingress.kubernetes.io/cors-allow-headers", `["X-A"]`, "allow_headers"},
		{"ingress-nginx", "nginx.ingress.kubernetes.io/cors-allow-credentials", `true`, "allow_credentials"},
		{"tower", "successStatus", `200`, "preflight_status"},
	} {
		rest := `"allow_origins": ["https://b.example"], `
		if test.ours == "allow_origins" {
			rest = ""
		}
		doc := fmt.Sprintf(`{%s%q: %s}`, rest, test.field, test.value)
		_, problems := config.Parse(doc)
		i := slices.IndexFunc(problems, func(p config.Problem) bool {
			return p.Kind == problem.UnknownField &&
				p.What == "is not a field"
		})
		if i < 0 || problems[i].Instead != fmt.Sprintf("write %q", test.ours) {
			t.Errorf("%s: %s: %v", test.tool, doc, problems)
		}
		paste(t, doc)
	}
	for _, test := range []struct{ doc, want string }{
		{`{"allow_origins": ["*"], "preflightContinue": true}`,
			`1:26 preflightContinue: is not a field; leave it out; write unmatched_preflights, "forward", to have the upstream answer what isn't allowed`},
		{`{"allow_origins": ["*"], "allow_origins_by_regex": []}`,
			`1:26 allow_origins_by_regex: is not a field; write each regex as an entry of allow_origins, {"regex": "…"}`},
		{`{"allow_origins": ["*"], "allowOriginRegex": ".*"}`,
			`1:26 allowOriginRegex: is not a field; write each regex as an entry of allow_origins, {"regex": "…"}`},
		{`{"allow_origins": ["*"], "AllowAllOrigins": true}`,
			`1:26 AllowAllOrigins: is not a field; write ["*"] into allow_origins`},
		{`{"allow_origins": ["*"], "AllowOriginFunc": 1}`,
			`1:26 AllowOriginFunc: is not a field; leave it out: a configuration has no functions; list the origins in allow_origins`},
		{`{"allow_origins": ["*"], "add_vary_header": true}`,
			`1:26 add_vary_header: is not a field; leave it out: the filter sets Vary itself`},
		{`{"allow_origins": ["*"], "allowedOriginPatterns": []}`,
			`1:26 allowedOriginPatterns: is not a field; write each pattern as an entry of allow_origins, such as "https://*.example.com"`},
		{`{"allow_origins": ["*"], "forwardNotMatchingPreflights": false}`,
			`1:26 forwardNotMatchingPreflights: is not a field; write unmatched_preflights, "forward" or "reject"`},
		{`{"allow_origins": ["*"], "nginx.ingress.kubernetes.io/enable-cors": "true"}`,
			`1:26 "nginx.ingress.kubernetes.io/enable-cors": is not a field; leave it out: the filter is on where it is in the chain`},
		{`{"allow_origins": ["*"], "disabled": true}`,
			`1:26 disabled: is not a field; leave the policy out; write mode, "off", where no other policy should apply`},
		{`{"allow_origins": ["*"], "dry_run": true}`, `1:26 dry_run: is not a field; write mode, "shadow"`},
		{`{"allow_origins": ["*"], "timing_allow_origins": "*"}`,
			`1:26 timing_allow_origins: is not a field; leave it out: Timing-Allow-Origin is no part of CORS`},
		{`{"allow_origins": ["*"], "failure_policy": "FAIL_RELOAD"}`,
			`1:26 failure_policy: is not a field; write it where the filter is configured, not into the policies`},
		{`{"allow_origins": ["*"], "$schema": "x"}`,
			`1:26 "$schema": is not a field; leave it out: name the schema in the editor's settings, or in a comment`},
		{`{"allow_origins": ["*"], "//": "x"}`,
			`1:26 "//": is not a field; leave it out: JSON has no comments; # begins one in YAML`},
		{`{"allow_origins": ["*"], "match": {"methods": []}}`,
			`1:36 match.methods: is not a field; leave it out: a policy is for hosts and paths; what a route of Envoy matches by more, its name tells in match.routes`},
		{`{"allow_origins": ["*"], "match": {"paths": [{"regex": "/v[12]"}]}}`,
			`1:47 match.paths[0].regex: is not a field; leave it out: paths have no regexes; write a prefix, or the name of Envoy's route into match.routes`},
		{`{"allow_origins": [{"regex": "https://a\\.example", "exact": "x"}]}`,
			`1:53 allow_origins[0].exact: is not a field; leave it out: an entry is an origin or {"regex": "…"}`},
		{`{"policy_source": {"url": "http://a/b"}}`,
			`1:20 policy_source.url: is not a field; write the name of one of Envoy's clusters into cluster, and what else the URL says into path and authority`},
		{`{"policy_source": {"cluster": "a", "poll": "5s"}}`,
			`1:36 policy_source.poll: is not a field; write "interval"`},
		{`{"allow_origins": ["*"], "host": "a"}`,
			`1:26 host: is not a field; write it into match, as in "match": {"hosts": ["api.example.com"], "paths": [{"prefix": "/v1"}]}`},
		{`{"allow_origins": ["*"], "origins": []}`,
			`1:26 origins: is not a field; leave it out, or write what it says into allow_origins, which is there too`},
		{`{"allow_origins": ["*"], "cors": {}}`,
			`1:26 cors: is not a field; leave it out: the policy's fields stand at the top, or in each of the policies`},
		{`{"allow_origins": ["*"], "match": {"host": []}}`, `1:36 match.host: is not a field; write "hosts"`},
		{`{"policies": [{"name": "p", "allow_origins": ["*"]}], "defaults": {"match": {}, "name": "x"}}`,
			`1:68 defaults.match: can't be inherited; move it into the policy that it is for`},
		{`{"policies": [{"name": "p", "origins": ["*"]}]}`,
			`1:29 policies[0].origins: is not a field; write "allow_origins"`},
	} {
		_, problems := config.Parse(test.doc)
		if !slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Error() == test.want }) {
			t.Errorf("%s: no problem %s in %v", test.doc, test.want, problems)
		}
	}
}

// TestEncodings: a file that isn't UTF-8 is called by what it is.
func TestEncodings(t *testing.T) {
	const doc = `{"allow_origins": ["*"]}`
	utf16 := func(first, second string) string {
		var b strings.Builder
		for _, c := range doc {
			b.WriteString(first + string(c) + second)
		}
		return b.String()
	}
	for content, want := range map[string]string{
		"\xef\xbb\xbf" + doc:                "begins with a byte order mark",
		"\xff\xfe" + utf16("", "\x00"):      "is encoded in UTF-16",
		"\xfe\xff" + utf16("\x00", ""):      "is encoded in UTF-16",
		utf16("", "\x00"):                   "is encoded in UTF-16",
		utf16("\x00", ""):                   "is encoded in UTF-16",
		"1\x00":                             "is encoded in UTF-16",
		"\x1f\x8b\x08\x00":                  "is compressed by gzip",
		`{"allow_origins": ["\ud83d"]}`:     `a \u escape is half of a surrogate pair`,
		`{"allow_origins": ["\ude00a"]}`:    `a \u escape is half of a surrogate pair`,
		`{"allow_origins": ["\ud83dab"]}`:   `a \u escape is half of a surrogate pair`,
		"{\"allow_origins\": [\"\ufffd\"]}": `"�" has U+FFFD, which stands where a character was lost`,
	} {
		_, problems := config.Parse(content)
		if len(problems) != 1 || problems[0].What != want {
			t.Errorf("%q: %v", content, problems)
		}
	}
	if c, problems := config.Parse(`{"allow_origins": ["*"], "match": {"routes": ["\ud83d\ude00"]}}`); c == nil {
		t.Error(problems)
	}
}

// FuzzSuggestions: the same for any string, in every place.
func FuzzSuggestions(f *testing.F) {
	for i := 0; i < len(pasted); i += 3 { // TestSuggestions has all
		f.Add(pasted[i], uint8(i))
	}
	f.Fuzz(func(t *testing.T, s string, place uint8) {
		paste(t, strings.ReplaceAll(valuePlaces[int(place)%len(valuePlaces)], "§", quote(t, s)))
	})
}

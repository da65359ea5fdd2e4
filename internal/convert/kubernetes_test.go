package convert

import (
	"slices"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

func TestPathOfRegex(t *testing.T) {
	prefix := func(path string) match.Path { return match.Path{Path: path, Prefix: true} }
	exact := func(path string) match.Path { return match.Path{Path: path} }
	for _, test := range []struct {
		expr  string
		want  match.Path
		loose bool
	}{
		{".*", match.Path{}, false},
		{"/.*", match.Path{}, false},
		{"^/(.*)$", match.Path{}, false},
		{"/api/.*", prefix("/api/"), false},
		{"/api/(.*)", prefix("/api/"), false},
		{"/api(/.*)?", prefix("/api"), false},
		{"/api(?:/.*)?$", prefix("/api"), false},
		{"/api(/|$)(.*)", prefix("/api"), false},
		{"/api($|/).*", prefix("/api"), false},
		{"/api.*", prefix("/api"), true},
		{"/api/?(.*)", prefix("/api"), true},
		{`/v1\.2/x\-y/.*`, prefix("/v1.2/x-y/"), false},
		{`/robots\.txt`, exact("/robots.txt"), false},
	} {
		path, loose, ok := pathOfRegex(test.expr)
		if !ok || path != test.want || loose != test.loose {
			t.Errorf("%s is %+v, %t, %t, want %+v, %t", test.expr, path, loose, ok, test.want, test.loose)
		}
	}
	for _, expr := range []string{"", "/a|/b", "/a|.*", "/v[0-9]+/.*", "/robots.txt", "(?i)/api/.*", "/(", "/api(/|$)",
		"/[^/]+(/.*)?", "/a(b|c).*", `/a\`} {
		if path, _, ok := pathOfRegex(expr); ok {
			t.Errorf("%q is %+v, and no match says that", expr, path)
		}
	}
}

func TestServiceNames(t *testing.T) {
	for _, test := range []struct {
		host, namespace string
		want            []string
	}{
		{"reviews", "prod", []string{"reviews", "reviews.prod", "reviews.prod.svc", "reviews.prod.svc.cluster.local"}},
		{"reviews", "", []string{"reviews"}},
		{"reviews.prod.svc.cluster.local", "", []string{"reviews.prod.svc.cluster.local", "reviews.prod.svc",
			"reviews.prod"}},
		{"*.prod.svc.cluster.local", "prod", []string{"*.prod.svc.cluster.local"}},
		{"api.example.com", "prod", []string{"api.example.com"}},
		{"*", "prod", []string{"*"}},
		{"192.0.2.7", "prod", []string{"192.0.2.7"}},
		{"2001:db8::7", "prod", []string{"2001:db8::7"}},
	} {
		if got := serviceNames(test.host, test.namespace); !slices.Equal(got, test.want) {
			t.Errorf("%s in %q is %q, want %q", test.host, test.namespace, got, test.want)
		}
	}
}

// TestSplit: the parts of a list stand where the file has them, however it is written.
func TestSplit(t *testing.T) {
	for _, text := range []string{
		"list: https://a.example,  https://b.example,\n",
		"list: 'https://a.example,  https://b.example,'\n",
		"list: \"https://\\u0061.example,  https://b.example,\"\n",
		"list: >-\n  https://a.example,\n  https://b.example,\n",
		`{"list": "https:\/\/a.example,https://b.example,"}`,
	} {
		file, failed := document.Parse("file", text)
		if failed != nil {
			t.Fatal(failed)
		}
		c := &conversion{file: file}
		parts := c.split(file.Documents[0].Get("list"))
		if want := []string{"https://a.example", "https://b.example", ""}; !slices.Equal(words(parts), want) {
			t.Errorf("%q has the parts %q, want %q", text, words(parts), want)
			continue
		}
		if rest := text[parts[1].Offset:]; rest[:17] != "https://b.example" {
			t.Errorf("the second part of %q is at %q", text, rest)
		}
		if path := c.path(parts[1]); path != "list" {
			t.Errorf("the second part of %q is called %q", text, path)
		}
	}
}

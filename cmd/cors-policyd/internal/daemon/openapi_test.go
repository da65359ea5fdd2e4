package daemon

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"
)

// A described API is what docs/cors-policyd.openapi.yaml says, and what of it was seen.
type described struct {
	validator.Validator
	seen map[string]bool // "GET /v1/policies 200"
}

// newDescribed reads the description. It must be one of OpenAPI.
func newDescribed(t *testing.T) (d *described, promised []string) {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/cors-policyd.openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	// Requests go to wherever the test's server is.
	for _, server := range model.Model.Servers {
		server.URL = "/"
	}
	d = &described{validator.NewValidatorFromV3Model(&model.Model), map[string]bool{}}
	d.SetDocument(document)
	if valid, wrong := d.ValidateDocument(); !valid {
		t.Fatal(said(wrong))
	}
	for path, item := range model.Model.Paths.PathItems.FromOldest() {
		for method, operation := range item.GetOperations().FromOldest() {
			for status := range operation.Responses.Codes.KeysFromOldest() {
				promised = append(promised, strings.ToUpper(method)+" "+path+" "+status)
			}
		}
	}
	return d, promised
}

func said(wrong []*errors.ValidationError) string {
	var b strings.Builder
	for _, w := range wrong {
		fmt.Fprintln(&b, w.Message, w.Reason)
		for _, s := range w.SchemaValidationErrors {
			fmt.Fprintln(&b, "  ", s.FieldPath, s.Reason)
		}
	}
	return b.String()
}

// send sends a request, and compares it and its answer with the description. A request that
// gets 400 is not as described.
func (d *described) send(t *testing.T, url, method, path, body string, status int, headers ...string) answer {
	t.Helper()
	a := ask(t, method, url+path, body, headers...)
	d.seen[fmt.Sprintf("%s %s %d", method, a.Request.URL.Path, a.StatusCode)] = true
	if a.StatusCode != status {
		t.Errorf("%s %s: %s, want %d\n%s", method, path, a.Status, status, a.text)
	}
	request := a.Request.Clone(t.Context())
	request.Body = io.NopCloser(strings.NewReader(body))
	if valid, wrong := d.ValidateHttpRequest(request); valid != (status != http.StatusBadRequest) {
		t.Errorf("%s %s %s: the request is as described: %t, but the status %d\n%s", method, path, body, valid, status,
			said(wrong))
	}
	if d.denied(a) {
		return a
	}
	d.compare(t, a)
	return a
}

// denied reports whether an answer is a look-up's no, the one error without a body, which OpenAPI
// has no words for beside one with a body.
func (*described) denied(a answer) bool {
	return a.StatusCode == http.StatusNotFound && a.text == "" && a.Request.URL.Path == "/v1/lookup" &&
		strings.HasPrefix(a.Header.Get("Cache-Control"), "max-age=")
}

// compare compares an answer with the description.
func (d *described) compare(t *testing.T, a answer) {
	t.Helper()
	a.Body = io.NopCloser(strings.NewReader(a.text))
	if valid, wrong := d.ValidateHttpResponse(a.Request, a.Response); !valid {
		t.Errorf("%s %s: %s %v\n%s\n%s", a.Request.Method, a.Request.URL.Path, a.Status, a.Header, a.text, said(wrong))
	}
}

// TestOpenAPI: the description is one of OpenAPI, and the server answers as it says: every
// route and every status, and no other.
func TestOpenAPI(t *testing.T) {
	api, promised := newDescribed(t)
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)",
		"INSERT INTO tenant_origins VALUES ('https://a.example', 1), ('https://c.example/', 1), (7, 1), (NULL, 1)")
	folder := t.TempDir()
	write(t, filepath.Join(folder, "tokens"), "one")
	served := start(t, database+"lookup_ttl: 90s\n"+tenants+"defaults: {max_age: 10m}\n")
	served.until(t, "https://a.example")
	away := start(t, "database: sqlite:"+folder+"/none.db\n"+tenants)
	lookups := start(t, database+"limits: {lookups: 1}\n"+"lookups: {tenants: SELECT 1 WHERE :origin = ''}")
	secret := start(t, database+"token_file: "+folder+"/tokens\n"+tenants)

	const lookup, json = "/v1/lookup?policy=tenants&host=api.example.com&origin=", "application/json"
	check := func(policy, origin string) string { return fmt.Sprintf(`{"policy": %q, "origin": %q}`, policy, origin) }
	etag := api.send(t, served.url, "GET", "/v1/policies", "", 200).Header.Get("ETag")
	api.send(t, served.url, "GET", "/v1/policies", "", 200, "Prefer", "wait=30", "If-None-Match", `"other"`)
	api.send(t, served.url, "GET", "/v1/policies", "", 304, "If-None-Match", etag, "Prefer", "wait=1")
	api.send(t, served.url, "GET", lookup+"https%3A%2F%2Fa.example", "", 204)
	api.send(t, served.url, "GET", lookup+"https%3A%2F%2Fb.example", "", 404)
	api.send(t, served.url, "GET", "/v1/lookup?policy=other&origin=x", "", 404)
	api.send(t, served.url, "GET", "/v1/lookup?policy=tenants", "", 400)
	api.send(t, served.url, "GET", "/v1/lookup?policy=tenants&origin=", "", 400)
	for _, origin := range []string{
		"https://a.example", "https://a.example/", "http://a.example", "https://*.a.example", "*", "",
	} {
		api.send(t, served.url, "POST", "/v1/check", check("tenants", origin), 200, "Content-Type", json)
	}
	api.send(t, served.url, "POST", "/v1/check", check("other", "x"), 404, "Content-Type", json)
	for _, body := range []string{`{"policy": "tenants"}`, `{"policy": 1, "origin": "x"}`,
		`{"policy": "tenants", "origin": "x", "more": 1}`, "[]", ""} {
		api.send(t, served.url, "POST", "/v1/check", body, 400, "Content-Type", json)
	}
	large := check("tenants", strings.Repeat("x", 20_000))
	api.send(t, served.url, "POST", "/v1/check", large, 413, "Content-Type", json)
	api.send(t, served.url, "GET", "/v1/rejected", "", 200)
	api.send(t, served.url, "GET", "/healthz", "", 200)
	api.send(t, served.url, "GET", "/readyz", "", 200)
	api.send(t, served.url, "GET", "/metrics", "", 200)
	api.send(t, away.url, "GET", "/v1/policies", "", 503)
	api.send(t, away.url, "GET", lookup+"x", "", 503)
	api.send(t, away.url, "GET", "/v1/rejected", "", 200)
	api.send(t, away.url, "GET", "/readyz", "", 503)
	api.send(t, lookups.url, "GET", "/v1/policies", "", 404)
	api.send(t, lookups.url, "GET", lookup+"x", "", 404)
	api.send(t, lookups.url, "GET", lookup+"x", "", 429)
	for _, path := range []string{"/v1/policies", lookup + "x", "/v1/rejected", "/metrics"} {
		api.send(t, secret.url, "GET", path, "", 401)
	}
	api.send(t, secret.url, "POST", "/v1/check", check("tenants", "x"), 401, "Content-Type", json)
	api.send(t, secret.url, "GET", "/v1/rejected", "", 200, "Authorization", "Bearer one")

	slices.Sort(promised)
	if seen := slices.Sorted(maps.Keys(api.seen)); !slices.Equal(seen, promised) {
		t.Errorf("seen:\n%s\ndescribed:\n%s", strings.Join(seen, "\n"), strings.Join(promised, "\n"))
	}
	for _, r := range routes(t) {
		if !slices.ContainsFunc(promised, func(p string) bool { return strings.HasPrefix(p, r+" ") }) {
			t.Errorf("%s isn't described", r)
		}
	}
}

// TestOpenAPIFinds: an answer that isn't as described would be noticed.
func TestOpenAPIFinds(t *testing.T) {
	api, _ := newDescribed(t)
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+tenants)
	good := d.until(t, "https://app.example.com")
	api.compare(t, good)
	for name, change := range map[string]func(a *answer){
		"a status":              func(a *answer) { a.StatusCode = 206 },
		"no entity tag":         func(a *answer) { a.Header.Del("ETag") },
		"another type":          func(a *answer) { a.Header.Set("Content-Type", "text/html") },
		"a field too many":      func(a *answer) { a.text = strings.Replace(a.text, "{", `{"x": 1,`, 1) },
		"a policy without name": func(a *answer) { a.text = strings.Replace(a.text, `"name"`, `"title"`, 1) },
	} {
		a := answer{&http.Response{StatusCode: 200, Header: good.Header.Clone(), Request: good.Request}, good.text}
		change(&a)
		a.Body = io.NopCloser(strings.NewReader(a.text))
		if valid, _ := api.ValidateHttpResponse(a.Request, a.Response); valid {
			t.Errorf("%s is not noticed", name)
		}
	}
}

// routes are those that the server's source registers.
func routes(t *testing.T) (list []string) {
	t.Helper()
	source, err := os.ReadFile("../server/http.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "http.go", bytes.NewReader(source), 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name, isName := call.Fun.(*ast.Ident)
		pattern, isText := call.Args[0].(*ast.BasicLit)
		if isName && isText && name.Name == "route" {
			text, _ := strconv.Unquote(pattern.Value) // the parser has read it
			list = append(list, text)
		}
		return true
	})
	if len(list) < 7 {
		t.Fatalf("only %q", list)
	}
	return list
}

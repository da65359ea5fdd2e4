package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
)

// statuses are those that a route may answer with; of others, 404 and 405.
var statuses = map[string][]int{
	"/v1/policies": {200, 304, 405},
	"/v1/lookup":   {204, 400, 404, 405, 429},
	"/v1/check":    {200, 400, 404, 405, 413},
	"/v1/rejected": {200, 405},
	"/healthz":     {200, 405},
	"/readyz":      {200, 405, 503},
	"/metrics":     {200, 405},
}

// FuzzHTTP: whatever a client sends, it is answered, and in the form that the API has; a look-up asks the
// database for what the query says and for nothing else; and a client that has the document gets none.
func FuzzHTTP(f *testing.F) {
	for _, target := range []string{
		"/v1/policies", "/v1/lookup?policy=a&origin=https://a.example", "/v1/lookup?policy=a&policy=a&origin=x", "/v1/check",
		"/v1/lookup?policy=b&origin=x", "/v1/lookup?policy=a&host=%c0&origin=%00", "/v1/lookup?policy=a&origin=a+b%2Bc;d",
		"/v1/rejected", "/healthz", "/readyz", "/metrics", "/", "//v1/policies", "/v1/policies/", "/%2e%2e/v1/policies", "*",
	} {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS"} {
			f.Add(method, target, "", "", `{"policy": "a", "origin": "https://b.example"}`)
		}
	}
	etag := policies.NewDocument([]byte("{}")).ETag
	for _, tag := range []string{etag, "W/" + etag, `"x", ` + etag, "W/W/" + etag, "*", `W/"x", "y"`, ",", `"`} {
		f.Add("GET", "/v1/policies", tag, "wait=5", "")
		f.Add("GET", "/v1/policies", "", tag, "")
	}
	for _, body := range []string{"", "{", "null", `{"policy": "a"}`, `{"policy": "b", "origin": ""}`, `{"x": 1}`, "{}{}",
		`{"policy": "a", "origin": "http://a.example/"} `, strings.Repeat(" ", maxBody+1), `{"Policy": "a", "ORIGIN": "\ud800"}`} {
		f.Add("POST", "/v1/check", "", "", body)
	}
	f.Fuzz(func(t *testing.T, method, target, ifNoneMatch, prefer, body string) {
		r, err := http.NewRequest(method, "http://policyd"+target, strings.NewReader(body)) //nolint:noctx // never sent
		if err != nil || !strings.HasPrefix(target, "/") {
			return // net/http would refuse it
		}
		r.Header.Set("If-None-Match", ifNoneMatch)
		r.Header.Set("Prefer", prefer)
		h, publisher, from := newServer(t, io.Discard)
		document := policies.NewDocument([]byte("{}"))
		publisher.Publish(document)
		publisher.Stop() // so that nothing waits
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		may, known := statuses[r.URL.Path]
		if !known {
			may = []int{301, 307, 404, 405} // where it is, if it is spelled otherwise
		}
		if !slices.Contains(may, w.Code) {
			t.Fatalf("%s %s has %d: %s", method, target, w.Code, w.Body)
		}
		denied := r.URL.Path == "/v1/lookup" && w.Code == 404 && w.Header().Get("Cache-Control") == "max-age=60"
		if w.Code >= 400 && method != http.MethodHead && !denied {
			checkProblem(t, w)
		}
		switch r.URL.Path {
		case "/v1/policies":
			checkDocument(t, w, r, document)
		case "/v1/lookup":
			checkAsked(t, w, r, from)
		}
	})
}

// checkProblem checks the form of an error (RFC 9457).
func checkProblem(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	var problem struct {
		Status        int
		Title, Detail string
	}
	err := json.Unmarshal(w.Body.Bytes(), &problem)
	if err != nil || problem.Status != w.Code || problem.Detail == "" ||
		w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d is told as %s, %v: %s", w.Code, w.Header(), err, w.Body)
	}
}

// checkDocument checks that who has the document is told so, and others get it (RFC 9110, section 13.1.2).
func checkDocument(t *testing.T, w *httptest.ResponseRecorder, r *http.Request, document *policies.Document) {
	t.Helper()
	if r.Method != http.MethodGet {
		return
	}
	has := regexp.MustCompile(`(^|,)\s*(\*|(W/)?` + regexp.QuoteMeta(document.ETag) + `)\s*(,|$)`).
		MatchString(r.Header.Get("If-None-Match"))
	if has != (w.Code == http.StatusNotModified) || has != (w.Body.Len() == 0) ||
		w.Header().Get("ETag") != document.ETag {
		t.Errorf("with %q it is %d, %q", r.Header.Get("If-None-Match"), w.Code, w.Body)
	}
}

// checkAsked checks what the database is asked for.
func checkAsked(t *testing.T, w *httptest.ResponseRecorder, r *http.Request, from *source) {
	t.Helper()
	q, err := url.ParseQuery(r.URL.RawQuery)
	good := err == nil && len(q["origin"]) == 1 && len(q["policy"]) == 1 && len(q["host"]) <= 1 && q.Get("policy") == "a" &&
		q.Get("origin") != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
	switch {
	case len(from.asked) > 1 || len(from.asked) == 1 && (!good || from.asked[0] != q.Get("origin")):
		t.Errorf("%s asks for %q", r.URL, from.asked)
	case (w.Code == http.StatusNoContent) != (len(from.asked) == 1):
		t.Errorf("%s is answered by %d, and %q is asked for", r.URL, w.Code, from.asked)
	}
}

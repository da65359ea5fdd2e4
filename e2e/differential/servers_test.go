package differential_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	jub0bs "github.com/jub0bs/cors"
	rs "github.com/rs/cors"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// newOurs makes a server of this filter's engine, or says why the policy is refused.
func newOurs(p policy) (server, string) {
	document, problems := config.Parse(p.json())
	if document == nil {
		return nil, config.Errors(problems)[0].Kind.String()
	}
	decide := document.Policies.Lookup(match.Key{}).Decide
	return behind(func(upstream http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d := decide(&cors.Request{
				Method:         r.Method,
				Origin:         strings.Join(r.Header.Values("Origin"), ","),
				HasOrigin:      r.Header["Origin"] != nil,
				RequestMethod:  r.Header.Get("Access-Control-Request-Method"),
				RequestHeaders: r.Header.Values("Access-Control-Request-Headers"),
				PrivateNetwork: r.Header.Get("Access-Control-Request-Private-Network") == "true",
			})
			if d.Answered() {
				for _, h := range d.AppendHeaders(nil) {
					w.Header().Add(h.Name, h.Value)
				}
				w.WriteHeader(d.Status())
				return
			}
			answered := httptest.NewRecorder()
			upstream.ServeHTTP(answered, r)
			var observed cors.Upstream
			for name, values := range answered.Header() {
				for _, value := range values {
					observed.Observe(strings.ToLower(name), value)
					w.Header().Add(name, value)
				}
			}
			d.Edit(&observed, editor{w.Header()})
			w.WriteHeader(answered.Code)
		})
	}), ""
}

// json is the policy as this filter reads it.
func (p policy) json() string {
	fields := map[string]any{"allow_origins": p.origins, "allow_methods": p.methods, "allow_headers": p.headers,
		"expose_headers": p.exposed, "allow_credentials": p.credentials, "allow_private_network": p.privateNetwork}
	if p.maxAge >= 0 {
		fields["max_age"] = p.maxAge
	}
	text, _ := json.Marshal(fields) // texts, numbers and lists of them
	return string(text)
}

// An editor edits a header.
type editor struct{ http.Header }

func (e editor) AddResponseHeader(name, value string)     { e.Add(name, value) }
func (e editor) ReplaceResponseHeader(name, value string) { e.Set(name, value) }
func (e editor) RemoveResponseHeader(name string)         { e.Del(name) }

// newJub0bs makes a server of jub0bs/cors, as tolerant as it can be told to be.
func newJub0bs(p policy) (server, string) {
	c := jub0bs.Config{
		Origins: p.origins, Credentialed: p.credentials, Methods: p.methods, RequestHeaders: p.headers,
		MaxAgeInSeconds: p.maxAge, ResponseHeaders: p.exposed,
		DangerouslyTolerateInsecureOrigins: true, DangerouslyTolerateSubdomainsOfPublicSuffixes: true,
	}
	switch p.maxAge { // its own words for none, and for not at all
	case -1:
		c.MaxAgeInSeconds = 0
	case 0:
		c.MaxAgeInSeconds = -1
	}
	middleware, err := jub0bs.NewMiddleware(c)
	if err != nil {
		return nil, err.Error()
	}
	return behind(middleware.Wrap), ""
}

// newRS makes a server of rs/cors.
func newRS(p policy) (server, string) {
	c := rs.Options{
		AllowedOrigins: p.origins, AllowedMethods: append(slices.Clone(p.methods), "GET", "HEAD", "POST"),
		AllowedHeaders: p.headers, ExposedHeaders: p.exposed, MaxAge: p.maxAge, AllowCredentials: p.credentials,
		AllowPrivateNetwork: p.privateNetwork,
	}
	if slices.Contains(p.methods, "*") { // which it has no word for
		c.AllowedMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "patch", "DELETE", "OPTIONS", "QUERY", "put"}
	}
	switch p.maxAge {
	case -1:
		c.MaxAge = 0
	case 0:
		c.MaxAge = -1
	}
	return behind(rs.New(c).Handler), ""
}

package engine

import (
	"errors"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
)

// A Request is what a script asks for.
type Request struct {
	Origin  string      `json:"origin"`
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	// Names are headers of which only the names are known, from a recorded preflight.
	Names       []string `json:"names,omitempty"`
	Credentials bool     `json:"credentials"`
	// Forced tells that a preflight is made whatever method and headers are: a listener on
	// the upload, or a stream as the body.
	Forced bool `json:"forced,omitempty"`
	// Initiator is Chromium's word for what makes the request, see [browser.Request].
	Initiator string `json:"initiator,omitempty"`
	// Route is the name of Envoy's route, for policies that match by it.
	Route string `json:"route,omitempty"`
	// Lookup is what a look-up of the origin comes to: "allowed", "denied" or "failed".
	Lookup string `json:"lookup,omitempty"`
	// Body tells that the request has a body.
	Body bool `json:"body,omitempty"`

	// Source says where in a HAR file the request was, Failed that a browser made it and
	// withheld the answer, and Notes how it was read.
	Source string   `json:"source,omitempty"`
	Failed bool     `json:"failed,omitempty"`
	Notes  []string `json:"notes,omitempty"`
}

// Requests are what a curl command or a HAR file has.
type Requests struct {
	Requests []Request `json:"requests"`
	Warnings []string  `json:"warnings"`
	// Error is why there are none; or "".
	Error string `json:"error"`
}

// ParseRequests reads a curl command, or the CORS requests of a HAR file.
func ParseRequests(text string) Requests {
	result := Requests{Requests: []Request{}, Warnings: []string{}}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		found, err := capture.FromHAR([]byte(text))
		if err != nil {
			result.Error = err.Error()
		}
		for _, r := range found {
			result.Requests = append(result.Requests, requestOf(r))
		}
		return result
	}
	found, warnings, err := capture.FromCurl(text)
	result.Warnings = append(result.Warnings, warnings...)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	result.Requests = append(result.Requests, requestOf(found))
	return result
}

// requestOf is a captured request.
func requestOf(found capture.Request) Request {
	sent := found.Sent()
	r := Request{
		Origin: sent.Origin, Method: sent.Method, URL: sent.URL, Headers: append([][2]string{}, sent.Headers...),
		Names: sent.UnsafeNames, Credentials: sent.CredentialsInclude, Forced: sent.UseCORSPreflight,
		Initiator: sent.Initiator, Source: found.Source, Failed: found.Failed(),
	}
	if found.OriginFrom != "" && found.OriginFrom != "the Origin header" {
		r.Notes = append(r.Notes, "the origin is taken from "+found.OriginFrom)
	}
	if found.CredentialsInclude {
		r.Notes = append(r.Notes, `the credentials mode is taken to be "include", because of `+found.CredentialsFrom)
	}
	if found.FromPreflight {
		r.Notes = append(r.Notes, "only the preflight is known, and the request that it asks for is taken from it")
	}
	return r
}

// browser is the request as package browser has it.
func (r Request) browser() browser.Request {
	return browser.Request{
		Origin: r.Origin, URL: r.URL, Method: r.Method, Headers: r.Headers, UnsafeNames: r.Names,
		CredentialsInclude: r.Credentials, UseCORSPreflight: r.Forced, Initiator: r.Initiator,
	}
}

// check says what is wrong with a request that can't be one. A header that a script can't set
// is none: the browser drops it.
func (r Request) check() error {
	err := errors.Join(capture.CheckOrigin(r.Origin), capture.CheckMethod(r.Method), capture.CheckURL(r.URL))
	if err != nil {
		return err
	}
	for _, h := range r.Headers {
		if err := capture.CheckHeader(h[0], h[1]); err != nil && !browser.ForbiddenRequestHeader(h[0], h[1]) {
			return err
		}
	}
	if _, ok := explain.ParseLookupResult(r.Lookup); !ok {
		return errors.New("a look-up comes to " + strings.Join(explain.LookupResults(), ", ") + ", and not to " + r.Lookup)
	}
	return nil
}

package explain

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Report is an explanation of a request by the configuration in a file, with the places
// there. What may be secret in the request is masked.
type Report struct {
	*Explanation
	Subject *Subject
	// Plugin is the configuration.
	Plugin *manifest.Plugin

	route string
}

// ByFile explains a request to a proxy with the configuration in a file, which is valid, as
// [Explain] does.
func ByFile(plugin *manifest.Plugin, s *Subject, route string, lookup cors.LookupResult) *Report {
	e := &Report{Explain(plugin.Policies(), capture.Mask(s.Request), route, lookup), s, plugin, route}
	e.Request.URL = capture.MaskURL(e.Request.URL) // its path has found the policy
	for _, f := range plugin.Around() {
		e.Hints = append(e.Hints, f.Error())
	}
	if s.Failed && e.Blocked == nil {
		e.Hints = append(e.Hints, "it failed when it was recorded, and this configuration allows it: "+
			"see that the proxy has this configuration, that the filter is the first in its chain, "+
			"and that the request reaches that proxy")
	}
	return e
}

// key is what policies match on, of the request as it was given.
func (e *Report) key() match.Key { return Key(e.Subject.URL, e.route) }

// Allowed reports whether a page gets the answer. It gets none of a request that no
// browser makes.
func (e *Report) Allowed() bool { return e.Blocked == nil && !e.Request.ByHand }

// Place is the place in the file of an offset in the configuration.
func (e *Report) Place(offset int) string {
	return e.Plugin.File().Name + ":" + e.Plugin.Position(offset).String()
}

// Chromium is how Chromium reports what it blocks.
func (e *Explanation) Chromium() browser.ChromiumError {
	r := e.Request
	r.URL = cmp.Or(r.URL, "…")
	return browser.Chromium(r, e.Blocked)
}

// Details is what the filter hands to Envoy for its access log; "" if that is nothing.
func (e *Explanation) Details() string {
	if d := e.PreflightDecision; d != nil && d.Answered() && !d.Allowed() {
		return strings.ReplaceAll("cors: "+d.Why(), " ", "_")
	}
	return ""
}

// Exposed are the response headers that the policy lets the page read.
func (e *Explanation) Exposed() string {
	for _, h := range e.Actual.Headers {
		if h[0] == "access-control-expose-headers" {
			if h[1] == "*" {
				return "all others"
			}
			return h[1]
		}
	}
	return ""
}

// A requestJSON is the request of an explanation for programs.
type requestJSON struct {
	Method      string      `json:"method"`
	URL         string      `json:"url,omitempty"`
	Origin      string      `json:"origin"`
	Credentials bool        `json:"credentials"`
	Headers     [][2]string `json:"headers"`
	HeaderNames []string    `json:"header_names"`
	Route       string      `json:"route,omitempty"`
}

type choiceJSON struct {
	Choice
	document.Position
}

type preflightJSON struct {
	Needed  bool        `json:"needed"`
	Reasons []string    `json:"reasons"`
	Request [][2]string `json:"request"`
	Answer  *Answer     `json:"answer,omitempty"`
}

type blockedJSON struct {
	Reason   browser.BlockReason   `json:"reason"`
	Because  string                `json:"because"`
	Step     string                `json:"step"`
	Section  string                `json:"section"`
	Filter   string                `json:"filter,omitempty"`
	Details  string                `json:"response_code_details,omitempty"`
	Chromium browser.ChromiumError `json:"chromium"`
}

type changeJSON struct {
	Change
	*document.Position // nil if there is nothing to edit
}

// MarshalJSON implements [json.Marshaler].
func (e *Report) MarshalJSON() ([]byte, error) {
	r := e.Request
	result := struct {
		From      string                 `json:"source,omitempty"`
		Request   requestJSON            `json:"request"`
		File      string                 `json:"file"`
		Policies  []choiceJSON           `json:"policies"`
		Lookup    *Lookup                `json:"lookup,omitempty"`
		Preflight preflightJSON          `json:"preflight"`
		Actual    *Answer                `json:"actual,omitempty"`
		Allowed   bool                   `json:"allowed"`
		Blocked   *blockedJSON           `json:"blocked,omitempty"`
		Changes   []changeJSON           `json:"changes"`
		Typed     string                 `json:"as_typed,omitempty"`
		Notes     []string               `json:"notes"`
		Around    []document.FindingJSON `json:"warnings,omitempty"`
	}{
		From: e.Subject.From, File: e.Plugin.File().Name,
		Request: requestJSON{
			Method: r.Method, URL: r.URL, Origin: r.Origin, Credentials: r.CredentialsInclude,
			Headers: orEmpty(r.Headers), HeaderNames: orEmpty(r.UnsafeNames), Route: e.route,
		},
		Preflight: preflightJSON{Needed: e.Preflight != nil, Reasons: orEmpty(r.PreflightReasons()),
			Request: [][2]string{}, Answer: e.Preflight},
		Lookup: e.Lookup, Actual: e.Actual, Allowed: e.Allowed(), Blocked: e.blockedJSON(),
		Changes: e.inFile(e.Changes), Typed: e.Typed, Notes: orEmpty(slices.Concat(e.Subject.Notes, e.Hints)),
		Around: document.JSON(e.Plugin.Around()),
	}
	for _, c := range e.Choices {
		result.Policies = append(result.Policies, choiceJSON{c, e.Plugin.Position(c.Offset)})
	}
	if e.Preflight != nil {
		result.Preflight.Request = r.Preflight()
	}
	return marshal(result)
}

// marshal writes JSON in which "&" is to be copied as it stands.
func marshal(v any) ([]byte, error) {
	b := &bytes.Buffer{}
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return b.Bytes(), err
}

// inFile are changes with their places in the file.
func (e *Report) inFile(changes []Change) []changeJSON {
	list := []changeJSON{}
	for _, c := range changes {
		made := changeJSON{Change: c}
		if c.Path != "" {
			at := e.Plugin.Position(c.Offset)
			made.Position = &at
		}
		list = append(list, made)
	}
	return list
}

func (e *Report) blockedJSON() *blockedJSON {
	if e.Blocked == nil {
		return nil
	}
	b := &blockedJSON{
		Reason: e.Blocked.Reason, Because: e.Because(), Step: e.Blocked.Step(), Section: e.Blocked.Section(),
		Details: e.Details(), Chromium: e.Chromium(),
	}
	if d := e.Decision(); d != nil {
		b.Filter = d.Reason.String()
	}
	return b
}

// orEmpty is a copy of a list, which JSON shows also if there is none.
func orEmpty[T any](list []T) []T { return append([]T{}, list...) }

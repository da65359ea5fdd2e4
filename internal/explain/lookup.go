package explain

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Lookup is the look-up of an origin (origin_lookup), or why there is none.
type Lookup struct {
	// NotAsked is why the origin isn't looked up; "" if it is.
	NotAsked string `json:"not_asked,omitempty"`
	// Cluster is who is asked, with the Host header Authority and the path Path, without what
	// may be a secret in it, for at most Timeout.
	Cluster   string        `json:"cluster,omitempty"`
	Authority string        `json:"authority,omitempty"`
	Path      string        `json:"path,omitempty"`
	Timeout   time.Duration `json:"-"`
	// Result is what the look-up is taken to come to, one of [LookupResults]. Given tells
	// that somebody has said so.
	Result string `json:"result,omitempty"`
	Given  bool   `json:"-"`
	// Outcomes are what comes of each result, in the order of [LookupResults].
	Outcomes []Outcome `json:"outcomes,omitempty"`
}

// An Outcome is what comes of a request if a look-up has a result.
type Outcome struct {
	Result string `json:"result"`
	// Allowed tells whether the page gets the answer, and Because why not.
	Allowed bool   `json:"allowed"`
	Because string `json:"because,omitempty"`
}

var lookupResults = [...]string{
	cors.LookupAllows: "allowed", cors.LookupDenies: "denied", cors.LookupFailed: "failed",
}

// LookupResults are the words for what a look-up may come to.
func LookupResults() []string { return slices.Clone(lookupResults[cors.LookupAllows:]) }

// ParseLookupResult returns what one of [LookupResults] means. The empty word is no result.
func ParseLookupResult(word string) (result cors.LookupResult, ok bool) {
	i := slices.Index(lookupResults[:], word)
	return cors.LookupResult(max(i, 0)), i >= 0
}

// lookUp says what is looked up for the request, and what comes of it.
func (e *Explanation) lookUp(written *config.Policy, key match.Key, given cors.LookupResult) {
	switch {
	case e.Preflight == nil && e.Actual == nil:
		return
	case e.Policy != nil && e.Policy.LooksUp():
	case given != cors.NotLookedUp:
		e.Lookup = &Lookup{NotAsked: "no policy with an origin_lookup applies"}
		return
	default:
		return
	}
	d := e.Policy.Decide(request(e.Request.Method, e.Request.Actual()))
	if !d.Asks() {
		if why := notAsked(&d, e.Request.Origin); why != "" {
			e.Lookup = &Lookup{NotAsked: why}
		}
		return
	}
	const unknown = "HOST"
	if key.Host == "" {
		e.Hints = append(e.Hints, "what a look-up asks has the request's host, which no URL is given for: "+
			unknown+" stands for it")
	}
	l := written.Lookup
	// The query that the configuration has may be a key.
	const base = "http://host"
	shown := &config.OriginLookup{Path: strings.TrimPrefix(capture.MaskURL(base+l.Path), base)}
	e.Lookup = &Lookup{
		Cluster: l.Cluster, Authority: l.Authority, Timeout: l.Timeout,
		Path: shown.Target(cmp.Or(e.Policy.Name(), "default"), cmp.Or(key.Host, unknown), e.Request.Origin),
		// Nobody is registered until somebody says so.
		Result: lookupResults[cmp.Or(given, cors.LookupDenies)], Given: given != cors.NotLookedUp,
	}
	for result := cors.LookupAllows; int(result) < len(lookupResults); result++ {
		then := &Explanation{Exchange: e.upstream.Run(e.Policy, e.Request, result)}
		o := Outcome{Result: lookupResults[result], Allowed: then.Blocked == nil && !e.Request.ByHand}
		if then.Blocked != nil {
			o.Because = then.Because()
		}
		e.Lookup.Outcomes = append(e.Lookup.Outcomes, o)
	}
}

// notAsked says why a policy that looks origins up doesn't look this one up; "" if the
// request has none.
func notAsked(d *cors.Decision, origin string) string {
	switch {
	case d.Reason == cors.NoOrigin:
		return ""
	case d.Reason == cors.OriginMalformed:
		return "it is no origin: " + d.Why()
	case d.Reason != cors.OriginNotAllowed:
		return "allow_origins has the origin"
	case origin == "null":
		return "null is never looked up, as it is the origin of every sandboxed frame"
	}
	return "with allow_credentials plain http is not looked up but for loopback, because it can be forged"
}

package probe

import (
	"context"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A Stranger is a question from another origin than the page's.
type Stranger struct {
	// Origin is who asks, and What what is special about that origin.
	Origin string
	What   string
	*Exchange
	// Accepted tells that the server allows it, with a status as for the page's origin, and
	// WithCredentials that it does so with credentials.
	Accepted, WithCredentials bool
}

// madeUp is an origin of nobody: example is a reserved name (RFC 2606).
const madeUp = "https://corsctl-probe.example"

// A stranger is an origin that isn't the page's.
type stranger struct{ origin, what string }

// strangers are origins that a server may mistake for the one that it means to allow.
func strangers(origin string, all bool) []stranger {
	list := []stranger{{madeUp, "it is made up"}}
	if !all {
		return list
	}
	list = append(list, stranger{"null", "any page can have it, in a sandboxed frame"})
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || host == "" || strings.ContainsAny(host, "[") {
		return list
	}
	host, port, hasPort := strings.Cut(host, ":")
	if hasPort {
		port = ":" + port
	}
	list = append(list, stranger{scheme + "://" + host + ".corsctl-probe.example" + port, "it begins as the page's does"})
	_, notAddress := netip.ParseAddr(host)
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil && notAddress != nil {
		list = append(list, stranger{scheme + "://corsctl-probe" + domain + port, "it ends as the page's does"})
		if sub := strings.TrimSuffix(host, "."+domain); sub != host {
			list = append(list, stranger{scheme + "://" + sub + "x" + domain + port,
				"it has another character for a dot of the page's"})
		}
	}
	if scheme == "https" {
		list = append(list, stranger{"http://" + host + port, "the page's host without TLS"})
	}
	return list
}

// askOthers asks from other origins where the server allows the page's by name, whatever else
// is wrong with its answer.
func (p *Prober) askOthers(ctx context.Context, c *client, r *Report) {
	hop := r.Last()
	if hop == nil || !hop.request.CORS() || hop.request.Origin == "null" || r.Failure() != nil {
		return
	}
	e := hop.Preflight
	if e == nil {
		e = hop.Actual
	}
	if e == nil || value(e.Answer.Headers, "access-control-allow-origin") != hop.request.Origin ||
		e == hop.Actual && notSent(Question{}, hop.request) != "" { // Once is enough.
		return
	}
	limited, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	for _, s := range strangers(hop.request.Origin, p.OtherOrigins) {
		if browser.SameOrigin(s.origin, hop.request.URL) {
			continue
		}
		req := hop.request
		req.Origin = s.origin
		lines := req.Actual()
		if e == hop.Preflight {
			lines = req.Preflight()
		}
		from := sender{s.origin, []string{req.URL}}
		asked := &Stranger{Origin: s.origin, What: s.what, Exchange: c.exchange(limited, e.Method, from, req, lines)}
		r.Others = append(r.Others, asked)
		if asked.Failure != nil {
			return
		}
		if asked.Answer.Status/100 != e.Answer.Status/100 {
			continue // It is turned away, whatever the headers say.
		}
		headers := asked.Answer.Headers
		asked.Accepted = browser.CORSCheck(s.origin, false, headers) == nil
		asked.WithCredentials = browser.CORSCheck(s.origin, true, headers) == nil
	}
}

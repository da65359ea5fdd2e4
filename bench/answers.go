package main

import (
	"fmt"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// The variants of what else a decision may take.
const (
	uncounted = "ours, not counted"
	hit       = "ours, look-up hit"
	miss      = "ours, look-up miss"
)

// headerCounts are how many headers an upstream's answers have.
var headerCounts = []int{5, 25}

// An asked variant is one with the queries to measure it with.
type asked struct {
	variant
	queries []query
}

// measureAnswers measures what answers with many headers cost, and look-ups and counters, in
// one Envoy.
func measureAnswers(o *options, f *files, r *results) error {
	b, err := startBackend()
	if err != nil {
		return err
	}
	defer b.stop()
	var all []variant
	asking := append(withHeaders(f), deciding(f)...)
	for _, a := range asking {
		all = append(all, a.variant)
	}
	say("answers: starting an Envoy with %d listeners", len(all))
	e, err := startEnvoy(f, bootstrap{
		workers: 1, clusters: []any{b.cluster()},
		more: object{"stats_config": object{"stats_matcher": object{"exclusion_list": object{
			"patterns": []any{object{"contains": "cors_policy=.=" + uncountedPolicy + ";"}},
		}}}},
	}, all...)
	if err != nil {
		return err
	}
	defer e.stop()
	var measured probes
	for _, a := range asking {
		if err := measured.add(a.variant, e, o, a.queries); err != nil {
			return err
		}
	}
	if err := measured.interleave(o, "answers", e); err != nil {
		return err
	}
	r.reportHeaders(f, measured)
	r.reportDeciding(measured)
	return nil
}

// named is the name of a variant whose answers have so many headers.
func named(name string, headers int) string { return fmt.Sprintf("%s, %d headers", name, headers) }

// withHeaders are the variants whose answers have as many headers as an upstream's. The route of
// a direct response adds them before the filters see the answer, as an upstream would.
func withHeaders(f *files) (all []asked) {
	for _, n := range headerCounts {
		var headers []any
		for i := range n {
			headers = append(headers, object{"header": object{
				"key": fmt.Sprintf("x-upstream-%02d", i), "value": "what an upstream says",
			}})
		}
		add := func(name, base string, w work, filters []any) {
			name = named(name, n)
			all = append(all, asked{
				variant{name: name, base: base, copies: 1, work: w, listener: envoy.Listener{
					Name: name, Filters: filters, Routes: []any{direct(object{"response_headers_to_add": headers})},
				}},
				[]query{askItems(noOrigin, origin), askItems(actual, origin)},
			})
		}
		add(none, "", nothing, nil)
		add(floor, named(none, n), varies, copies(1, wasm(f.equal, "")))
		add(ours, named(none, n), varies, copies(1, wasm(f.cors, policy)))
		for _, m := range f.peers() {
			add(m.name, named(none, n), varies, copies(1, wasm(m.path, m.configuration)))
		}
	}
	return all
}

// reportHeaders makes the table of answers with many headers.
func (r *results) reportHeaders(f *files, all probes) {
	c := chapter{
		title: "Answers with many headers",
		text: `µs of CPU added, as above, where the answer has 5 or 25 headers of 33 bytes of an upstream beside
Envoy's own. All of them are handed to the filter of an actual request.`,
		rows: [][]string{{"variant"}},
	}
	names := []string{floor, ours}
	for _, m := range f.peers() {
		names = append(names, m.name)
	}
	rows := make([][]string, len(names))
	for _, n := range headerCounts {
		for _, kind := range []string{noOrigin, actual} {
			c.rows[0] = append(c.rows[0], fmt.Sprintf("%s, %d", kind, n))
			for i, name := range names {
				rows[i] = append(rows[i], all.added(named(name, n), 1, kind).String())
			}
		}
	}
	for i, name := range names {
		c.rows = append(c.rows, append([]string{name}, rows[i]...))
	}
	r.add(c)
}

// uncountedPolicy is a policy whose counters Envoy leaves out.
const uncountedPolicy = "uncounted"

// deciding are the variants of what else a decision may take, and what they are compared with.
func deciding(f *files) (all []asked) {
	add := func(name, base string, w work, queries []query, filters ...any) {
		all = append(all, asked{
			variant{name: name, base: base, copies: 1, work: w, listener: envoy.Listener{
				Name: name, Filters: filters, Routes: []any{direct(nil)},
			}},
			queries,
		})
	}
	with := func(fields object) []any {
		return copies(1, wasm(f.cors, envoy.JSON(object{"policies": []object{common(fields)}})))
	}
	plain := []query{askItems(actual, origin), askItems(preflight, origin)}
	// Each request is of another origin.
	others := []query{
		askItems(actual, "https://actual-"+serial+".example"),
		askItems(preflight, "https://preflight-"+serial+".example"),
	}
	lookup := object{"cluster": "backend", "path": lookupPath, "authority": "backend", "timeout": "10s"}
	add(none, "", nothing, plain)
	add(ours, none, varies, plain, with(object{"name": "counted", "allow_origins": []string{origin}})...)
	add(uncounted, none, varies, plain, with(object{"name": uncountedPolicy, "allow_origins": []string{origin}})...)
	add(hit, none, varies, plain, with(object{"name": "hit", "origin_lookup": lookup})...)
	add(miss, none, varies, others, with(object{"name": "miss", "origin_lookup": lookup})...)
	return all
}

// reportDeciding makes the table of look-ups and counters.
func (r *results) reportDeciding(all probes) {
	c := chapter{
		title: "Look-ups and counters",
		text: `µs of CPU added, as above. Not counted is where Envoy's stats_matcher leaves the policy's counters
out. A hit's answer of origin_lookup is remembered. A miss asks for an origin that nobody has
asked for: Envoy's own request to the server of look-ups is in the figure.`,
		rows: [][]string{{"variant", actual, preflight}},
	}
	for _, name := range []string{ours, uncounted, hit, miss} {
		c.rows = append(c.rows, []string{
			name, all.added(name, 1, actual).String(), all.added(name, 1, preflight).String(),
		})
	}
	r.add(c)
}

package main

import (
	"fmt"
	"maps"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// byWildcard is the kind of actual requests whose origin a wildcard allows.
const byWildcard = "actual, wildcard"

// A size is a configuration of some size, and a request that it allows.
type size struct {
	name   string
	config string
	// host and path are a request's, exact and wildcard its origins, "" for none.
	host, path, exact, wildcard string
}

// common are the fields of all policies.
func common(more object) object {
	fields := object{
		"allow_methods": []string{"GET", "POST"}, "allow_headers": []string{"x-pingother"}, "max_age": 86400,
	}
	maps.Copy(fields, more)
	return fields
}

// onePolicy is the size that policies by host are compared with: one policy for all requests,
// so that there is nothing to look up.
const onePolicy = "1 policy"

// byHost is the size that has goals.
const byHost = "5,000 by host"

// sizesOfPolicies are the configurations of policies to measure.
func sizesOfPolicies() []size {
	return []size{
		{name: onePolicy, config: policy, host: "host-2500.example.com", path: "/part-0/items", exact: origin},
		policies("1 by host and path", 1), policies("100 by host and path", 100),
		policies("5,000 by host and path", 5000), policies("10,000 by host and path", 10_000), hosts(byHost, 5000),
	}
}

// sizesOfOrigins are those of one policy with many origins.
func sizesOfOrigins() []size {
	return []size{
		origins("1 origin", 1), origins("1,000 origins", 1000), origins("100,000 origins", 100_000),
	}
}

// policies are n policies of one origin each, ten paths to a host.
func policies(name string, n int) size {
	var all []object
	for i := range n {
		all = append(all, object{
			"name": fmt.Sprintf("policy-%d", i),
			"match": object{
				"hosts": []string{fmt.Sprintf("host-%d.example.com", i/10)},
				"paths": []object{{"prefix": fmt.Sprintf("/part-%d", i%10)}},
			},
		})
	}
	middle := n / 2
	return size{
		name:   name,
		config: envoy.JSON(object{"defaults": common(object{"allow_origins": []string{origin}}), "policies": all}),
		host:   fmt.Sprintf("host-%d.example.com", middle/10),
		path:   fmt.Sprintf("/part-%d/items", middle%10),
		exact:  origin,
	}
}

// hosts are n policies of one origin each, one to a host. Half of the hosts have it for one path;
// the one in the middle has not.
func hosts(name string, n int) size {
	var all []object
	for i := range n {
		match := object{"hosts": []string{fmt.Sprintf("host-%d.example.com", i)}}
		if i%2 == 1 {
			match["paths"] = []object{{"prefix": "/part-0"}}
		}
		all = append(all, object{"name": fmt.Sprintf("policy-%d", i), "match": match})
	}
	return size{
		name:   name,
		config: envoy.JSON(object{"defaults": common(object{"allow_origins": []string{origin}}), "policies": all}),
		host:   fmt.Sprintf("host-%d.example.com", n/2/2*2),
		path:   "/part-0/items",
		exact:  origin,
	}
}

// origins is a policy of n origins, exact ones and wildcards in turn.
func origins(name string, n int) size {
	var all []string
	for i := range n {
		entry := fmt.Sprintf("https://app-%d.example", i)
		if i%2 == 1 {
			entry = fmt.Sprintf("https://*.tenant-%d.example.com", i)
		}
		all = append(all, entry)
	}
	s := size{
		name: name, config: envoy.JSON(common(object{"allow_origins": all})),
		host: "api.example", path: "/items", exact: all[n/2],
	}
	if n > 1 {
		s.wildcard = fmt.Sprintf("https://www.tenant-%d.example.com", n/2+1)
	}
	return s
}

// queries are what a size is measured with.
func (s *size) queries() (all []query) {
	for _, kind := range kinds {
		all = append(all, ask(kind, s.host, s.path, s.exact))
	}
	if s.wildcard != "" {
		all = append(all, ask(byWildcard, s.host, s.path, s.wildcard))
	}
	return all
}

// measureScale starts an Envoy for each size, and then measures the requests of all
// sizes in one Envoy.
func measureScale(o *options, f *files, r *results) error {
	plain := variant{name: none, copies: 1, listener: envoy.Listener{Name: none, Routes: []any{direct(nil)}}}
	variants := []variant{plain}
	all := append(sizesOfPolicies(), sizesOfOrigins()...)
	var starts starts
	for _, s := range all {
		v := variant{
			name: s.name, base: none + ", " + s.name, copies: 1, work: varies,
			listener: envoy.Listener{
				Name: s.name, Filters: copies(1, wasm(f.cors, s.config)), Routes: []any{direct(nil)},
			},
		}
		variants = append(variants, v)
		starts = append(starts, &start{variant: v, setting: oneWorker, query: s.queries()[1]})
	}
	if err := starts.inTurn(o, f, "scale"); err != nil {
		return err
	}
	say("scale: starting with all of them")
	e, err := startEnvoy(f, oneWorker.bootstrap, variants...)
	if err != nil {
		return err
	}
	defer e.stop()
	var measured probes
	for i, s := range all {
		plain.name = starts[i].base
		for _, v := range []variant{plain, starts[i].variant} {
			if err = measured.add(v, e, o, s.queries()); err != nil {
				return err
			}
		}
	}
	if err := measured.interleave(o, "scale", e); err != nil {
		return err
	}
	r.reportScale(all, starts, measured)
	return nil
}

// reportScale makes the tables and the chart.
func (r *results) reportScale(sizes []size, starts starts, all probes) {
	columns := []string{noOrigin, actual, byWildcard, preflight}
	c := chapter{
		title: "Scale",
		text: `What the size of the configuration costs: µs of CPU added to a request (as above), time from
the start of the process until Envoy is ready, and Envoy's resident memory. Policies are
by host, half of the hosts for a path, of which the request's isn't one; or by host and path, ten
paths to a host. Origins are exact ones and wildcards in turn.

![The table as a chart](scale.svg)`,
		rows: [][]string{append(append([]string{"size"}, columns...), "configuration", "ready", "resident")},
	}
	var panels []panel
	for _, kind := range columns {
		panels = append(panels, panel{title: kind + ", µs"})
	}
	ready, resident := panel{title: "ready, s"}, panel{title: "resident, MiB"}
	var labels []string
	for i, s := range sizes {
		millis, rss := quantile(starts[i].ready, 0.5), quantile(starts[i].rss, 0.5)
		row := []string{s.name}
		for n, kind := range columns {
			d := all.added(s.name, 1, kind)
			row = append(row, d.String())
			panels[n].add(d)
		}
		row = append(row, amount(float64(len(s.config))), fmt.Sprintf("%.0f ms", millis), memory(rss))
		c.rows = append(c.rows, row)
		ready.values, resident.values = append(ready.values, millis/1000), append(resident.values, rss/mebibyte)
		labels = append(labels, s.name)
	}
	r.add(c)
	r.reportFinding(all)
	sameScale(panels)
	r.files["scale.svg"] = bar("What the size of the configuration costs",
		"CPU added to a request, time until Envoy is ready, and memory; the lines are 90 % intervals",
		"", labels, append(panels, ready, resident))
}

// reportFinding makes the table of what it costs to find the policy, and notes the goals.
func (r *results) reportFinding(all probes) {
	c := chapter{
		title: "Many policies against one",
		text: `How many µs of CPU more a request costs than with one policy that is for all requests: what it
takes to ask for the host or for host and path, and to find the policy.`,
		rows: [][]string{append([]string{"policies"}, kinds...)},
	}
	more := func(size, kind string) *estimate {
		return differenceOf(all.find(size, 1, kind).samples, all.find(onePolicy, 1, kind).samples, 1)
	}
	for _, s := range sizesOfPolicies()[1:] {
		row := []string{s.name}
		for _, kind := range kinds {
			row = append(row, more(s.name, kind).String())
		}
		c.rows = append(c.rows, row)
	}
	r.add(c)
	for _, kind := range kinds {
		r.goal("CPU, "+byHost+" more than "+onePolicy+", "+kind, hostsInMicros[kind], "µs", more(byHost, kind))
	}
}

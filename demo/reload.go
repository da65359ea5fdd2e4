package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A split is Envoy's configuration in two parts: the configuration of the filter
// cors, and the rest. Envoy gets them as two files, as in deploy/envoy-ecds, and so
// takes a new policy while it runs.
type split struct {
	before, filter, after string
	indent                string // of filter's first line
}

var (
	filterEntry  = regexp.MustCompile(`(?m)^( *)- name: cors *\n`)
	filterConfig = regexp.MustCompile(`(?m)^( *)typed_config:.*\n`)
)

// splitFilter finds the filter in a configuration that is written as envoy.yaml is:
// an entry "- name: cors" whose next field is typed_config.
func splitFilter(text string) (split, bool) {
	entry := filterEntry.FindStringSubmatchIndex(text)
	if entry == nil {
		return split{}, false
	}
	config := filterConfig.FindStringSubmatchIndex(text[entry[1]:])
	if config == nil || config[0] != 0 || config[3] != entry[3]-entry[2]+2 {
		return split{}, false
	}
	begin, end := entry[1], entry[1]+config[1]
	indent := text[begin : begin+config[3]]
	for rest := text[end:]; rest != ""; rest = text[end:] {
		line, _, _ := strings.Cut(rest, "\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, indent+" ") {
			break
		}
		end = min(end+len(line)+1, len(text))
	}
	return split{text[:begin], text[begin:end], text[end:], indent}, true
}

// bootstrap returns what Envoy starts on: it reads the filter's configuration from a
// file. The lines keep their numbers.
func (s split) bootstrap(file string) string {
	path, dir := strconv.Quote(file), strconv.Quote(filepath.Dir(file))
	return s.before + s.indent + `config_discovery: {config_source: {resource_api_version: V3, ` +
		`path_config_source: {path: ` + path + `, watched_directory: {path: ` + dir + `}}}, ` +
		`type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]}` +
		strings.Repeat("\n", strings.Count(s.filter, "\n")) + s.after
}

// resource returns the filter's configuration as Envoy discovers it.
func (s split) resource() string {
	text := "resources:\n- \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n  name: cors\n"
	for line := range strings.Lines(s.filter) {
		if rest, ok := strings.CutPrefix(line, s.indent); ok {
			line = "  " + rest
		}
		text += line
	}
	return text
}

// writeAtOnce replaces a file by a rename, which is what Envoy watches for.
func writeAtOnce(file, text string) error {
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// settled is how long a file must stay as it is to be taken: editors may write it
// in pieces.
const settled = 200 * time.Millisecond

// follow calls changed with the text of a file, whenever it has become another one,
// until ctx is done.
func follow(ctx context.Context, file string, text []byte, changed func([]byte)) {
	last := text
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(settled):
		}
		now, err := os.ReadFile(file)
		if err != nil { // between two names
			continue
		}
		if bytes.Equal(now, last) && !bytes.Equal(now, text) {
			text = now
			changed(now)
		}
		last = now
	}
}

// A reloader hands the filter's configuration to a running Envoy.
type reloader struct {
	proxy *proxy
	split split  // what Envoy got last
	bad   bool   // whether it refused that
	dump  string // of what it refused last, as its admin interface has it
}

func newReloader(p *proxy) *reloader {
	s, _ := splitFilter(string(p.text)) // Envoy runs on it
	return &reloader{proxy: p, split: s}
}

// A reload is what became of an edit.
type reload struct {
	says    string // for the terminal
	refused bool   // Envoy doesn't serve what is in the file
	policy  string // what it serves now, "" if that is what it served before
}

const still = "Envoy serves the policy from before"

// take hands the text's part for the filter to Envoy.
func (r *reloader) take(ctx context.Context, text string) (reload, error) {
	next, ok := splitFilter(text)
	if !ok {
		return reload{says: "there is no filter cors in it any more; " + still, refused: true}, nil
	}
	if next.filter == r.split.filter {
		const says = "while the demo runs it takes only the configuration of the filter cors from it"
		return reload{says: says, refused: r.bad}, nil
	}
	before, err := r.proxy.updates(ctx)
	if err != nil {
		return reload{}, err
	}
	r.split, r.bad = next, true
	if err := writeAtOnce(r.proxy.filterFile(), next.resource()); err != nil {
		return reload{}, err
	}
	after, err := r.proxy.updatesSince(ctx, before)
	if err != nil {
		return reload{}, err
	}
	dump, policy, err := r.proxy.filter(ctx)
	switch {
	case err != nil:
		return reload{}, err
	case after.failure > before.failure:
		return reload{says: "Envoy can't read the new policy, for the reason above; " + still, refused: true}, nil
	// The dump has what Envoy got last, also if it refused it. And if it gets that
	// once more, it counts a success.
	case after.rejected > before.rejected, dump == r.dump:
		r.dump = dump
		return reload{says: "Envoy refuses the new policy, for the reasons above; " + still, refused: true}, nil
	}
	r.bad, r.dump = false, ""
	return reload{says: "Envoy serves the new policy", policy: policy}, nil
}

// updates are Envoy's counters of the configurations of the filter that it has read.
type updates struct{ success, rejected, failure uint64 }

// updates asks for the counters.
func (p *proxy) updates(ctx context.Context) (updates, error) {
	const name = "extension_config_discovery.http_filter.cors.update_"
	stats, err := p.Stats(ctx, "^"+name)
	return updates{stats[name+"success"], stats[name+"rejected"], stats[name+"failure"]}, err
}

// updatesSince waits until Envoy has read another one.
func (p *proxy) updatesSince(ctx context.Context, before updates) (updates, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if after, err := p.updates(ctx); err != nil || after != before {
			return after, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// filter asks for the filter's configuration, and the policy in it. If Envoy doesn't
// discover it, it is among the listeners.
func (p *proxy) filter(ctx context.Context) (config, policy string, err error) {
	resource := "static_listeners&name_regex=^api$"
	if p.text != nil {
		resource = "ecds_filters"
	}
	dump, err := p.Get(ctx, "/config_dump?resource="+resource)
	if err != nil {
		return "", "", err
	}
	var d struct {
		Configs []struct {
			Filter json.RawMessage `json:"ecds_filter"`
		}
	}
	if json.Unmarshal(dump, &d) == nil && len(d.Configs) > 0 {
		config = string(d.Configs[0].Filter)
	}
	return config, pluginConfiguration(dump), nil
}

// filterError matches a line of Envoy's log in which the filter says what is wrong.
var filterError = regexp.MustCompile(`\]\[error\]\[wasm\].* wasm log: (.*)`)

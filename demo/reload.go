package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"
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

// A reloader hands the filter's configuration to a running Envoy, one after the other.
type reloader struct {
	proxy    *proxy
	reasons  *reasons
	resource string   // what Envoy got last
	refused  bool     // whether it refused that
	why      []string // it did
	dump     string   // of what it refused last, as its admin interface has it
}

func newReloader(p *proxy, reasons *reasons) *reloader {
	s, _ := splitFilter(string(p.text)) // Envoy runs on it
	return &reloader{proxy: p, reasons: reasons, resource: s.resource()}
}

// A reload is what became of another configuration.
type reload struct {
	says    string // for the terminal
	refused bool   // Envoy doesn't serve it
	reasons []string
	policy  string // what Envoy serves now, "" if that is what it served before
}

const still = "Envoy serves the policy from before"

// takeFile hands the part of Envoy's configuration that is for the filter to Envoy.
func (r *reloader) takeFile(ctx context.Context, text string) (reload, error) {
	next, ok := splitFilter(text)
	if !ok {
		return reload{says: "there is no filter cors in it any more; " + still, refused: true}, nil
	}
	return r.take(ctx, next.resource())
}

// takePolicy hands Envoy the filter's configuration of text with another policy in it.
func (r *reloader) takePolicy(ctx context.Context, text, policy string) (reload, error) {
	s, ok := splitFilter(text)
	if !ok {
		return reload{}, errors.New("there is no filter cors in it any more")
	}
	resource, err := withPolicy(s.resource(), policy)
	if err != nil {
		return reload{}, err
	}
	return r.take(ctx, resource)
}

// take hands a resource to Envoy, and waits for what becomes of it.
func (r *reloader) take(ctx context.Context, resource string) (reload, error) {
	if resource == r.resource {
		const says = "while the demo runs it takes only the configuration of the filter cors from it"
		return reload{says: says, refused: r.refused, reasons: r.why}, nil
	}
	before, err := r.proxy.updates(ctx)
	if err != nil {
		return reload{}, err
	}
	r.reasons.forget()
	r.resource, r.refused = resource, true
	if err := writeAtOnce(r.proxy.filterFile(), resource); err != nil {
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
		r.why = nil
		return reload{says: "Envoy can't read the new policy, for the reason above; " + still, refused: true}, nil
	// The dump has what Envoy got last, also if it refused it. And if it gets that
	// once more, it counts a success, and doesn't repeat the reasons.
	case dump == r.dump:
	case after.rejected > before.rejected:
		r.dump, r.why = dump, r.reasons.wait(ctx)
	default:
		r.refused, r.why, r.dump = false, nil, ""
		return reload{says: "Envoy serves the new policy", policy: policy}, nil
	}
	return reload{says: "Envoy refuses the new policy, for the reasons above; " + still, refused: true,
		reasons: r.why}, nil
}

// withPolicy returns a resource with another configuration of the plugin.
func withPolicy(resource, policy string) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(resource), &doc); err != nil {
		return "", err
	}
	value := stringValueNode(&doc)
	if value == nil {
		return "", errors.New("the filter has no configuration as a StringValue")
	}
	*value = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: policy}
	text, err := yaml.Marshal(&doc)
	return string(text), err
}

// stringValueNode finds the value of the one StringValue, or returns nil.
func stringValueNode(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.MappingNode {
		var value *yaml.Node
		found := false
		for i := 0; i+1 < len(node.Content); i += 2 {
			switch name, field := node.Content[i].Value, node.Content[i+1]; name {
			case "@type":
				found = field.Value == stringValueType
			case "value":
				value = field
			}
		}
		if found {
			return value
		}
	}
	for _, child := range node.Content {
		if value := stringValueNode(child); value != nil {
			return value
		}
	}
	return nil
}

// reasons are what the filter has said of a configuration that it refuses.
type reasons struct {
	mu      sync.Mutex
	lines   []string
	refused chan struct{} // closed by the last line of a refusal
}

func newReasons() *reasons { return &reasons{refused: make(chan struct{})} }

var (
	// filterError matches a line of Envoy's log in which the filter says what is wrong.
	filterError = regexp.MustCompile(`\]\[error\]\[wasm\].* wasm log: (.*)`)
	// filterRefuses matches the line after those.
	filterRefuses = regexp.MustCompile(`\]\[critical\]\[wasm\].* wasm log: the configuration is refused`)
)

// line takes a line of Envoy's log.
func (r *reasons) line(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := filterError.FindSubmatch(line); m != nil && len(r.lines) < 100 {
		r.lines = append(r.lines, string(m[1]))
	} else if filterRefuses.Match(line) {
		select {
		case <-r.refused:
		default:
			close(r.refused)
		}
	}
}

// forget begins with the next configuration.
func (r *reasons) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines, r.refused = nil, make(chan struct{})
}

// wait returns the reasons once they are complete, since Envoy counts a refusal before its log is read here.
func (r *reasons) wait(ctx context.Context) []string {
	r.mu.Lock()
	refused := r.refused
	r.mu.Unlock()
	select {
	case <-refused:
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
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

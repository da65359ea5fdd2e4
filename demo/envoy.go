package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// A proxy is the running Envoy, and what it runs on.
type proxy struct {
	*envoy.Envoy
	dir    string // holds the two files of a split
	config string // the configuration's file
	text   []byte // its text, if Envoy runs on a split of it, else nil
}

// startProxy starts Envoy on a configuration and what is added to it for the database. Whatever
// is not to stay is in dir.
func startProxy(binary, dir string, o options, stdout, stderr io.Writer) (*proxy, error) {
	text, err := os.ReadFile(o.config)
	if err != nil {
		return nil, err
	}
	more, err := os.ReadFile(o.databaseConfig())
	if err != nil {
		return nil, err
	}
	p, config := &proxy{dir: dir, config: o.config}, o.config
	if s, ok := splitFilter(string(text)); ok {
		p.text = text
		config = filepath.Join(dir, "envoy.yaml")
		if err := os.WriteFile(config, []byte(s.bootstrap(p.filterFile())), 0o600); err != nil {
			return nil, err
		}
		if err := writeAtOnce(p.filterFile(), s.resource()); err != nil {
			return nil, err
		}
	}
	args := []string{
		"--config-yaml", string(more),
		"--service-node", "demo", "--service-cluster", "demo", // wanted where configuration is discovered
		"--file-flush-interval-msec", "25", // the page waits for the access log
		"--log-level", o.logLevel,
	}
	if o.logLevel == "warning" {
		// Envoy's usual two warnings, at its start and at its end, say nothing here.
		args = append(args, "--component-log-level", "main:error")
	}
	p.Envoy, err = envoy.Start(envoy.Options{
		Binary: binary, Config: config, Dir: dir, Args: args, Stdout: stdout, Stderr: stderr,
		OwnGroup: true, // the demo passes Ctrl-C on once
	})
	return p, err
}

func (p *proxy) filterFile() string { return filepath.Join(p.dir, "cors.yaml") }

// facts are what the page and the banner say of the running Envoy.
type facts struct {
	App   string `json:"app"`   // the app's origin
	Other string `json:"other"` // the same server under a name that is another origin
	API   string `json:"api"`
	Bare  string `json:"bare"` // the API's upstream, without Envoy and the filter
	// Origins are those that the demo has pages of; *.localhost stands for all names below it,
	// and null for a sandboxed frame.
	Origins []string `json:"origins"`
	Policy  string   `json:"policy"` // the filter's configuration, as Envoy holds it
	// Changes counts each time that Envoy is handed a policy, and each time that what became of
	// it is known. In between, while it is odd, Policy may not be what Envoy serves.
	Changes int `json:"changes"`
	// Applied tells that a page has given Envoy the policy, which then isn't the one in File.
	Applied bool `json:"applied"`
	// Database is what is said of the API whose origins are in the database.
	Database databaseFacts `json:"database"`
	// File is where to edit the policy, or "" if Envoy doesn't take it while it runs.
	File string `json:"file"`
	// Refused tells that Envoy has refused what is in File now, and Reasons says why.
	Refused bool     `json:"refused"`
	Reasons []string `json:"reasons"`
}

// databaseFacts are what the page and the banner say of the origins in a database.
type databaseFacts struct {
	API     string `json:"api"`
	File    string `json:"file"`    // of SQLite
	Config  string `json:"config"`  // of cors-policyd
	Command string `json:"command"` // adds an origin
}

// describe waits until Envoy serves, and asks its admin interface for the facts.
func (p *proxy) describe(ctx context.Context) (f facts, err error) {
	if err := p.WaitReady(ctx); err != nil {
		return f, err
	}
	addrs, err := p.Addrs(ctx)
	if err != nil {
		return f, err
	}
	ports := map[string]string{}
	for _, name := range []string{"app", "api", "database"} {
		if _, ports[name], err = net.SplitHostPort(addrs[name]); err != nil {
			return f, fmt.Errorf("the configuration has no listener named %s, which the demo's page needs", name)
		}
	}
	f.App = "http://localhost:" + ports["app"]
	f.Other = "http://127.0.0.1:" + ports["app"]
	f.API = "http://localhost:" + ports["api"]
	f.Origins = []string{f.App, f.Other, "http://*.localhost:" + ports["app"], "null"}
	f.Database.API = "http://localhost:" + ports["database"]
	if p.text != nil {
		f.File = p.config
		// Envoy starts without the filter's configuration if it is bad.
		if u, err := p.updates(ctx); err != nil {
			return f, err
		} else if u.success == 0 {
			return f, errors.New("envoy refuses the configuration of the filter cors; the lines above say why")
		}
	}
	_, f.Policy, err = p.filter(ctx)
	return f, err
}

const stringValueType = "type.googleapis.com/google.protobuf.StringValue"

// pluginConfiguration finds the one StringValue in a configuration dump, which
// is what Envoy hands to the filter. It returns "" if there is none.
func pluginConfiguration(dump []byte) string {
	var root any
	if json.Unmarshal(dump, &root) != nil {
		return ""
	}
	return stringValue(root)
}

func stringValue(node any) string {
	object, _ := node.(map[string]any)
	if object["@type"] == stringValueType {
		value, _ := object["value"].(string)
		return strings.TrimSpace(value)
	}
	children, _ := node.([]any)
	for _, child := range slices.AppendSeq(children, maps.Values(object)) {
		if found := stringValue(child); found != "" {
			return found
		}
	}
	return ""
}

// listenAddress matches the addresses that envoy.yaml listens on; its upstreams
// are written as endpoints.
var listenAddress = regexp.MustCompile(`(?m)^\s*address: \{socket_address: \{address: [^,]+, port_value: (\d+)\}\}`)

// checkPorts reports a port of Envoy's or of cors-policyd that is already in use. Envoy
// itself would not notice another Envoy: both would bind it (SO_REUSEPORT), and
// each would get a part of the requests. And a server on [::1] alone would get
// the browser's requests to localhost.
func checkPorts(o options, policyd string) error {
	_, port, err := net.SplitHostPort(policyd)
	if err != nil {
		return err
	}
	ports := []string{port}
	for _, file := range []string{o.config, o.databaseConfig()} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, match := range listenAddress.FindAllStringSubmatch(string(text), -1) {
			ports = append(ports, match[1])
		}
	}
	for _, port := range ports {
		if n, err := strconv.Atoi(port); err != nil || n == 0 {
			continue
		}
		for _, host := range []string{"127.0.0.1", "::1"} {
			address := net.JoinHostPort(host, port)
			l, err := net.Listen("tcp", address)
			if errors.Is(err, syscall.EADDRINUSE) {
				return portTaken(address, port)
			}
			if err == nil {
				_ = l.Close()
			}
		}
	}
	return nil
}

func portTaken(address, port string) error {
	return fmt.Errorf("%s is taken by another process; "+
		"to find it: ss -ltnp 'sport = :%s', or lsof -iTCP:%s -sTCP:LISTEN",
		address, port, port)
}

// A lineWriter calls line with each line that is written to it, its line feed included.
type lineWriter struct {
	line func([]byte)
	rest []byte // of a line that has not ended
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for line := range bytes.Lines(w.rest) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		w.line(line)
		w.rest = w.rest[len(line):]
	}
	return len(p), nil
}

// flush calls line with a last line that has no line feed.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.line(w.rest)
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// builtEnvoy is where `make` installs Envoy.
const builtEnvoy = "build/tools/envoy/bin/envoy"

// findEnvoy returns the binary that $ENVOY, the build or PATH offers.
func findEnvoy() (string, error) {
	if path := os.Getenv("ENVOY"); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("$ENVOY: %w", err)
		}
		return path, nil
	}
	for _, path := range []string{builtEnvoy, "envoy"} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("no Envoy in $ENVOY, %s or PATH; \"make run\" installs it", builtEnvoy)
}

// envoyProcess is a running Envoy.
type envoyProcess struct {
	cmd    *exec.Cmd
	dir    string        // holds adminFile, and the two files of a split
	text   []byte        // the configuration, if Envoy runs on a split of it, else nil
	admin  string        // the admin interface's address, once describe has returned
	exited chan struct{} // closed when the process is gone
	err    error         // why it went, once exited is closed
}

const adminFile = "admin-address"

// startEnvoy starts Envoy on a configuration, and hands each line of its output to
// stdout or stderr.
func startEnvoy(binary, config, logLevel string, stdout, stderr func([]byte)) (*envoyProcess, error) {
	dir, err := os.MkdirTemp("", "cors-demo-")
	if err != nil {
		return nil, err
	}
	e := &envoyProcess{dir: dir, exited: make(chan struct{})}
	if err := e.launch(binary, config, logLevel, stdout, stderr); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return e, nil
}

func (e *envoyProcess) filterFile() string { return filepath.Join(e.dir, "cors.yaml") }

func (e *envoyProcess) launch(binary, config, logLevel string, stdout, stderr func([]byte)) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	if s, ok := splitFilter(string(text)); ok {
		e.text = text
		config = filepath.Join(e.dir, "envoy.yaml")
		if err := os.WriteFile(config, []byte(s.bootstrap(e.filterFile())), 0o600); err != nil {
			return err
		}
		if err := writeAtOnce(e.filterFile(), s.resource()); err != nil {
			return err
		}
	}
	args := []string{
		"--config-path", config,
		"--use-dynamic-base-id",
		"--service-node", "demo", "--service-cluster", "demo", // wanted where configuration is discovered
		"--admin-address-path", filepath.Join(e.dir, adminFile),
		"--file-flush-interval-msec", "25", // the page waits for the access log
		"--log-level", logLevel,
	}
	if logLevel == "warning" {
		// Envoy's usual two warnings, at its start and at its end, say nothing here.
		args = append(args, "--component-log-level", "main:error")
	}
	e.cmd = exec.Command(binary, args...)
	e.cmd.SysProcAttr = childAttributes()
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	log, err := e.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := e.start(); err != nil {
		return err
	}
	go func() {
		defer close(e.exited)
		var readers sync.WaitGroup
		readers.Go(func() { readLines(out, stdout) })
		readers.Go(func() { readLines(log, stderr) })
		readers.Wait()
		e.err = e.cmd.Wait()
		if e.err == nil {
			e.err = errors.New("exit status 0")
		}
		os.RemoveAll(e.dir)
	}()
	return nil
}

// start starts the process from a thread that lives as long as the demo: the
// kernel's parent-death signal of childAttributes goes by thread, not by process.
func (e *envoyProcess) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- e.cmd.Start()
		select {}
	}()
	return <-started
}

// stop ends Envoy, gently at first, and returns when it is gone.
func (e *envoyProcess) stop() {
	e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.exited:
	case <-time.After(5 * time.Second):
		e.cmd.Process.Kill()
		<-e.exited
	}
}

// facts are what the page and the banner say of the running Envoy.
type facts struct {
	App    string `json:"app"`   // the app's origin
	Other  string `json:"other"` // the same server under a name that is another origin
	API    string `json:"api"`
	Policy string `json:"policy"` // the filter's configuration, as Envoy holds it
	// File is where to edit the policy, or "" if Envoy doesn't take it while it runs.
	File string `json:"file"`
	// Refused tells that Envoy has refused what is in File now, and Reasons says why.
	Refused bool     `json:"refused"`
	Reasons []string `json:"reasons"`
}

// describe waits until Envoy serves, and asks its admin interface for the facts.
func (e *envoyProcess) describe(ctx context.Context) (facts, error) {
	var f facts
	for {
		select {
		case <-ctx.Done():
			return f, ctx.Err()
		case <-e.exited:
			return f, e.err
		case <-time.After(50 * time.Millisecond):
		}
		address, err := os.ReadFile(filepath.Join(e.dir, adminFile))
		if err != nil {
			continue
		}
		if _, err := adminGet(ctx, string(address), "/ready"); err == nil {
			e.admin = string(address)
			break
		}
	}
	listeners, err := adminGet(ctx, e.admin, "/listeners?format=json")
	if err != nil {
		return f, err
	}
	ports, err := listenerPorts(listeners)
	if err != nil {
		return f, err
	}
	for _, name := range []string{"app", "api"} {
		if ports[name] == 0 {
			return f, fmt.Errorf("the configuration has no listener named %s, which the demo's page needs", name)
		}
	}
	f.App = fmt.Sprintf("http://localhost:%d", ports["app"])
	f.Other = fmt.Sprintf("http://127.0.0.1:%d", ports["app"])
	f.API = fmt.Sprintf("http://localhost:%d", ports["api"])
	if e.text != nil {
		// Envoy starts without the filter's configuration if it is bad.
		if u, err := e.updates(ctx); err != nil {
			return f, err
		} else if u.success == 0 {
			return f, errors.New("envoy refuses the configuration of the filter cors; the lines above say why")
		}
	}
	_, f.Policy, err = e.filter(ctx)
	return f, err
}

// adminGet returns the body of a 200 from Envoy's admin interface.
func adminGet(ctx context.Context, address, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("envoy's admin interface answers %s to %s", res.Status, path)
	}
	return body, err
}

// listenerPorts reads Envoy's list of listeners.
func listenerPorts(body []byte) (map[string]int, error) {
	var list struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Port int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("envoy's list of listeners: %w", err)
	}
	ports := make(map[string]int)
	for _, l := range list.Statuses {
		ports[l.Name] = l.Address.Socket.Port
	}
	return ports, nil
}

// pluginConfiguration finds the one StringValue in a configuration dump, which
// is what Envoy hands to the filter. It returns "" if there is none.
func pluginConfiguration(dump []byte) string {
	var root any
	if json.Unmarshal(dump, &root) != nil {
		return ""
	}
	var find func(any) string
	find = func(node any) string {
		switch node := node.(type) {
		case map[string]any:
			if node["@type"] == "type.googleapis.com/google.protobuf.StringValue" {
				value, _ := node["value"].(string)
				return strings.TrimSpace(value)
			}
			for _, child := range node {
				if found := find(child); found != "" {
					return found
				}
			}
		case []any:
			for _, child := range node {
				if found := find(child); found != "" {
					return found
				}
			}
		}
		return ""
	}
	return find(root)
}

// listenAddress matches the addresses that envoy.yaml listens on; its upstreams
// are written as endpoints.
var listenAddress = regexp.MustCompile(`(?m)^\s*address: \{socket_address: \{address: [^,]+, port_value: (\d+)\}\}`)

// checkPorts reports a port of the configuration that is already in use. Envoy
// itself would not notice another Envoy: both would bind it (SO_REUSEPORT), and
// each would get a part of the requests. And a server on [::1] alone would get
// the browser's requests to localhost.
func checkPorts(config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	for _, match := range listenAddress.FindAllStringSubmatch(string(text), -1) {
		port := match[1]
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
	return fmt.Errorf("%s is taken by another process; to find it: ss -ltnp 'sport = :%s', or lsof -iTCP:%s -sTCP:LISTEN", address, port, port)
}

// readLines calls line with each line of r, its line feed included.
func readLines(r io.Reader, line func([]byte)) {
	b := bufio.NewReader(r)
	for {
		text, err := b.ReadBytes('\n')
		if len(text) > 0 {
			line(text)
		}
		if err != nil {
			return
		}
	}
}

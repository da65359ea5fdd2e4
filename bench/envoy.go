package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// startTimeout bounds the wait for an Envoy that starts: compiling a module and
// reading a large configuration take seconds.
const startTimeout = 3 * time.Minute

// A server is a running Envoy, and the connections to it.
type server struct {
	*envoy.Envoy
	ready   time.Duration // from its start until it served
	addrs   map[string]string
	targets []*target
}

// A bootstrap is what an Envoy has beside its listeners.
type bootstrap struct {
	workers  int
	clusters []any
	more     object // further fields
}

// startEnvoy starts an Envoy with a listener for each variant, and waits until it is
// ready. Its configuration and its log stay in the scratch folder.
func startEnvoy(f *files, b bootstrap, variants ...variant) (*server, error) {
	var listeners []any
	for _, v := range variants {
		listeners = append(listeners, v.listener.Config())
	}
	fields := object{
		"admin": object{"address": envoy.Address("127.0.0.1:0")},
		"static_resources": object{
			"listeners": listeners,
			"clusters":  append([]any{object{"name": "nobody"}}, b.clusters...),
		},
	}
	maps.Copy(fields, b.more)
	config := filepath.Join(scratch, "envoy.json")
	if err := os.WriteFile(config, []byte(envoy.JSON(fields)), 0o600); err != nil {
		return nil, err
	}
	process, err := envoy.Start(envoy.Options{Binary: f.envoy, Config: config, Dir: scratch, Args: []string{
		"--concurrency", strconv.Itoa(b.workers), "-l", "error", "--component-log-level", "wasm:warn",
	}})
	if err != nil {
		return nil, err
	}
	s := &server{Envoy: process}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err = s.WaitReady(ctx); err == nil {
		s.ready = s.Age()
		s.addrs, err = s.Addrs(ctx)
	}
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("%w; its log says:\n%s", err, s.Log())
	}
	return s, nil
}

// dial opens n connections to a variant's listener. They last until the end of Envoy.
func (s *server) dial(v variant, n int) (*target, error) {
	t, err := dial(s.addrs[v.listener.Name], v.work, n)
	if err == nil {
		s.targets = append(s.targets, t)
	}
	return t, err
}

// stop ends Envoy, and waits until it is gone.
func (s *server) stop() {
	for _, t := range s.targets {
		t.close()
	}
	s.Stop()
}

// rss is Envoy's resident memory in bytes.
func (s *server) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	var kilobytes int64
	_, err = fmt.Sscan(rest, &kilobytes)
	return kilobytes << 10, err
}

// vmMemory is the resident memory of the filter's VMs, of what their code sees as its memory.
func (s *server) vmMemory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", s.PID()))
	if err != nil {
		return 0, err
	}
	return linearMemory(string(text))
}

// linearMemory finds the memory of V8's Wasm instances in a text of /proc/PID/smaps. Each has 8 GiB
// of addresses, more than code can compute: a mapping that grows, and what is left of them, which
// nobody may use.
func linearMemory(smaps string) (resident int64, err error) {
	const reserved = 8 << 30
	var begin, rss int64 // of the mapping before, if code may write there
	var last int64       // its end
	for line := range strings.Lines(smaps) {
		var from, to, kilobytes int64
		var access string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); n == 3 {
			if access == "---p" && from == last && to-begin == reserved {
				resident += rss
			}
			if begin, last = from, to; access != "rw-p" {
				last = 0
			}
		} else if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kilobytes); n == 1 {
			rss = kilobytes << 10
		}
	}
	if resident == 0 {
		return 0, errors.New("no memory of a VM is found among Envoy's")
	}
	return resident, nil
}

// An object is a piece of Envoy's configuration in its JSON form.
type object = envoy.Object

// direct is a route that Envoy answers itself, with further fields.
func direct(fields object) object {
	route := object{"match": object{"prefix": "/"}, "direct_response": object{"status": 200}}
	maps.Copy(route, fields)
	return route
}

// wasm is the configuration of a Wasm filter. Filters of the same module share
// their VMs.
func wasm(module, configuration string) object {
	return envoy.Plugin{Module: module, Config: configuration, FailurePolicy: "FAIL_CLOSED"}.TypedConfig()
}

// copies are n filters of the same configuration.
func copies(n int, config object) (filters []any) {
	for i := range n {
		filters = append(filters, envoy.Filter(copyName(i), config))
	}
	return filters
}

// perCopy is a typed_per_filter_config with the same for each of n copies.
func perCopy(n int, config object) object {
	fields := object{}
	for i := range n {
		fields[copyName(i)] = config
	}
	return object{"typed_per_filter_config": fields}
}

func copyName(i int) string { return fmt.Sprintf("copy-%d", i+1) }

// Package browser_test runs the demo as a visitor does: the demo's own command,
// Envoy, the compiled module, and the page in Chromium.
package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// demoBinary is the demo's command, built for these tests.
var demoBinary string

const root = "../.."

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cors-demo-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	demoBinary = filepath.Join(dir, "demo")
	build := exec.Command("go", "build", "-o", demoBinary, "./demo")
	build.Dir = root
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the demo: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	if err := endBrowsers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// A demo is the running command, on ports of its own.
type demo struct {
	app      string // the page's origin, which envoy.yaml allows
	other    string // the same server's other origin, which it does not
	stranger string // another one, which nothing allows
	api      string
	database string // the API whose origins are in the database
	policyd  string // where cors-policyd serves
	admin    string

	config string // the file that the demo runs on
	rows   string // the configuration of cors-policyd
	cmd    *exec.Cmd
	exited chan struct{}
	output buffer // standard output and standard error
}

// startDemo starts the demo on envoy.yaml with ports of the test's own, and
// with the replacements (old, new, old, new, ...) that the test asks for.
func startDemo(t *testing.T, replacements ...string) *demo {
	t.Helper()
	d, cmd := newDemo(t, replacements...)
	d.start(t, cmd)
	return d
}

// newDemo prepares the command.
func newDemo(t *testing.T, replacements ...string) (*demo, *exec.Cmd) {
	t.Helper()
	for _, name := range []string{"build/cors.wasm", "build/cors-policyd", "build/playground/index.html"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Fatalf("%v; run make test", err)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(string(text), replacements[i]) {
			t.Fatalf("envoy.yaml does not contain %q", replacements[i])
		}
	}
	ports := freePorts(t, 7)
	for i, port := range []string{"10000", "10001", "10002", "10003", "10004", "10005", "9901"} {
		replacements = append(replacements, port, ports[i])
	}
	dir := t.TempDir()
	replacements = append(replacements, "sqlite:build/", "sqlite:"+dir+"/")
	for from, to := range map[string]string{
		"envoy.yaml": "envoy.yaml", "demo/database/envoy.yaml": "database/envoy.yaml",
		"demo/database/policyd.yaml": "database/policyd.yaml",
	} {
		copyReplaced(t, filepath.Join(root, from), filepath.Join(dir, to), replacements)
	}
	d := &demo{
		app:      "http://localhost:" + ports[0],
		other:    "http://127.0.0.1:" + ports[0],
		stranger: "http://stranger.localhost:" + ports[0],
		api:      "http://localhost:" + ports[1],
		database: "http://127.0.0.1:" + ports[4],
		policyd:  "http://127.0.0.1:" + ports[5],
		admin:    "http://127.0.0.1:" + ports[6],
		config:   filepath.Join(dir, "envoy.yaml"),
		rows:     filepath.Join(dir, "database/policyd.yaml"),
		exited:   make(chan struct{}),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, demoBinary, "-config", d.config, "-database", filepath.Join(dir, "database"),
		"-app-upstream", "127.0.0.1:"+ports[2], "-api-upstream", "127.0.0.1:"+ports[3])
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // a killed demo leaves its files
	return d, cmd
}

func copyReplaced(t *testing.T, from, to string, replacements []string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.NewReplacer(replacements...).Replace(string(text)))
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs the command until the test ends, and returns when its banner is out.
func (d *demo) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = &d.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.cmd = cmd
	ready := make(chan struct{})
	go func() {
		defer close(d.exited)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(&d.output, lines.Text())
			if strings.Contains(lines.Text(), "Requests to the API:") {
				close(ready)
			}
		}
		_ = cmd.Wait() // the state is what counts
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-d.exited:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			t.Error("the demo does not stop")
		}
		if t.Failed() {
			t.Logf("output of the demo:\n%s", d.output.String())
		}
	})
	select {
	case <-ready:
	case <-d.exited:
		t.Fatalf("the demo stopped: %v", cmd.ProcessState)
	case <-time.After(time.Minute):
		t.Fatal("the demo is not ready after a minute")
	}
}

// wait returns the exit code of a demo that must end by itself.
func (d *demo) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-d.exited:
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(15 * time.Second):
		t.Fatal("the demo does not stop")
		return 0
	}
}

// observed returns the methods and status codes that Envoy logged for an exchange.
func (d *demo) observed(t *testing.T, exchange string, fetches int) []string {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("%s/observed?exchange=%s&fetches=%d", d.app, exchange, fetches))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var observations []struct {
		Envoy struct {
			Method string
			Status int
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&observations); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, o := range observations {
		list = append(list, fmt.Sprint(o.Envoy.Method, " ", o.Envoy.Status))
	}
	return list
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // not before all are chosen
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// A buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestDemoStopsOnInterrupt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			d := startDemo(t)
			d.cmd.Process.Signal(sig)
			if code := d.wait(t); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			waitUntilGone(t, d)
		})
	}
}

func TestEnvoyDiesWithAKilledDemo(t *testing.T) {
	d := startDemo(t)
	d.cmd.Process.Kill()
	waitUntilGone(t, d)
}

func TestDemoStopsWithEnvoy(t *testing.T) {
	d := startDemo(t)
	res, err := http.Post(d.admin+"/quitquitquit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if code := d.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	wantOutput(t, d.output.String(), "envoy stopped by itself (exit status 0)")
}

// Every port that the demo needs is checked, also those that two Envoys would share.
func TestDemoTellsWhichPortIsTaken(t *testing.T) {
	d, cmd := newDemo(t)
	for _, address := range []string{
		strings.TrimPrefix(d.other, "http://"),
		strings.TrimPrefix(d.admin, "http://"),
		strings.TrimPrefix(d.database, "http://"),
		strings.TrimPrefix(d.policyd, "http://"),
		cmd.Args[len(cmd.Args)-1], // the API's upstream
	} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		again := exec.CommandContext(t.Context(), cmd.Path, cmd.Args[1:]...)
		again.Dir = cmd.Dir
		out, err := again.CombinedOutput()
		_ = l.Close()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s taken: %v, want exit code 1", address, err)
		}
		_, port, _ := net.SplitHostPort(address)
		wantOutput(t, string(out), address+" is taken", "ss -ltnp 'sport = :"+port+"'")
	}
}

func TestDemoTellsThatEnvoyIsMissing(t *testing.T) {
	_, cmd := newDemo(t)
	cmd.Dir = t.TempDir() // without build/tools
	cmd.Path, _ = filepath.Abs(cmd.Path)
	cmd.Env = []string{"PATH="}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("the demo starts without Envoy")
	}
	wantOutput(t, string(out), `"make run" installs it`)
}

func TestDemoFailsWithABadPolicy(t *testing.T) {
	_, cmd := newDemo(t, `"allow_credentials": true`, `"allow_credentials": 1`)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v, want exit code 1", err)
	}
	wantOutput(t, string(out), "allow_credentials: is the number 1",
		"envoy refuses the configuration of the filter cors")
}

// A configuration without the filter runs too; its policy just can't be edited.
func TestDemoRunsWithoutTheFilter(t *testing.T) {
	d := startDemo(t, "- name: cors\n", "- name: another-name\n")
	if out := d.output.String(); strings.Contains(out, "edit it") {
		t.Errorf("the demo offers to edit the policy:\n%s", out)
	}
}

func wantOutput(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("output lacks %q:\n%s", text, out)
		}
	}
}

// waitUntilGone waits until nobody listens on the ports of Envoy and cors-policyd.
func waitUntilGone(t *testing.T, d *demo) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		alive := ""
		for _, origin := range []string{d.other, d.admin, d.policyd} {
			if c, err := net.Dial("tcp", strings.TrimPrefix(origin, "http://")); err == nil {
				_ = c.Close()
				alive = origin
			}
		}
		if alive == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still listened on", alive)
		}
	}
}

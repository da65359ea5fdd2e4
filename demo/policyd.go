package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// policyName names the policy in policyd.yaml whose origins are rows.
const policyName = "tenants"

// A policyd is cors-policyd, which runs beside Envoy, and the rows that it serves.
type policyd struct {
	binary, config   string
	listen, database string // from its configuration
	stdout, stderr   io.Writer
	failing          string // what the last reading of the rows said, where it failed
	stopping         atomic.Bool

	mu      sync.Mutex
	process *process // the latest
	rows    rows
	changed chan struct{} // closed, and replaced, at each change of rows
}

// rows are the registered origins, as the page shows them.
type rows struct {
	Version  int      `json:"version"` // another one at each change
	Origins  []string `json:"origins"`
	Document string   `json:"document"` // what cors-policyd hands to Envoy
	Stopped  string   `json:"stopped"`  // how cors-policyd has ended, "" while it runs
}

// A process is a cors-policyd that was started.
type process struct {
	*envoy.Process
	log   *lineWriter
	ended sync.Once // the last line has been read
	says  string    // why it couldn't serve, if it has said so
}

// field returns what matches the fields of policyd.yaml that the demo needs.
func field(name string) *regexp.Regexp { return regexp.MustCompile(`(?m)^` + name + `: *([^\s#]+)`) }

var (
	listenField   = field("listen")
	databaseField = field("database")
)

// newPolicyd reads the configuration of cors-policyd in a folder.
func newPolicyd(dir string, stdout, stderr io.Writer) (*policyd, error) {
	p := &policyd{
		binary: "build/cors-policyd", config: filepath.Join(dir, "policyd.yaml"),
		stdout: stdout, stderr: stderr, changed: make(chan struct{}),
		// Not 0: a page that is older than this demo has versions of another one.
		rows: rows{Version: int(time.Now().UnixMilli()), Origins: []string{}},
	}
	if _, err := exec.LookPath(p.binary); err != nil {
		return nil, fmt.Errorf("%w; \"make run\" builds it", err)
	}
	text, err := os.ReadFile(p.config)
	if err != nil {
		return nil, err
	}
	listen, database := listenField.FindSubmatch(text), databaseField.FindSubmatch(text)
	if listen == nil || database == nil {
		return nil, fmt.Errorf("%s has no listen and database, each on a line", p.config)
	}
	p.listen, p.database = string(listen[1]), strings.TrimPrefix(string(database[1]), "sqlite:")
	return p, nil
}

// start starts cors-policyd, and returns when it serves.
func (p *policyd) start(ctx context.Context) error {
	p.mu.Lock()
	if p.process != nil && !p.process.HasExited() {
		p.mu.Unlock()
		return nil
	}
	run := &process{}
	run.log = &lineWriter{line: func(line []byte) {
		if bytes.HasPrefix(line, []byte("time=")) { // of slog
			if bytes.Contains(line, []byte(" level=INFO ")) {
				return
			}
		} else {
			run.says = ": " + strings.TrimSpace(string(line))
		}
		fmt.Fprintf(p.stderr, "%s", line)
	}}
	cmd := exec.Command(p.binary, "-c", p.config)
	cmd.Stderr = run.log
	var err error
	if run.Process, err = envoy.Fork(cmd, true); err == nil {
		p.process = run
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	for {
		if _, err := p.ask(ctx, http.MethodGet, "/readyz", nil); err == nil {
			break
		}
		select {
		case <-run.Exited():
			p.change(func(r *rows) { r.Stopped = run.end() })
			return fmt.Errorf("cors-policyd doesn't serve, but has ended: %s", run.end())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.change(func(r *rows) { r.Stopped = "" })
	go p.mourn(run)
	return nil
}

// mourn tells the page and the terminal when cors-policyd has ended.
func (p *policyd) mourn(run *process) {
	<-run.Exited()
	if p.stopping.Load() {
		return
	}
	p.change(func(r *rows) { r.Stopped = run.end() })
	fmt.Fprintf(p.stdout, "\ncors-policyd has stopped (%s)\nEnvoy goes on with the last policies that it has; "+
		"the page can start cors-policyd again\n\n", run.end())
}

// end says how an ended process has ended.
func (r *process) end() string {
	r.ended.Do(r.log.flush)
	return r.State().String() + r.says
}

// stop ends cors-policyd, gently at first.
func (p *policyd) stop() {
	p.mu.Lock()
	run := p.process
	p.mu.Unlock()
	if run != nil {
		p.stopping.Store(true)
		run.Stop()
	}
}

// change changes the rows that the page is shown, and wakes who waits for that.
func (p *policyd) change(change func(*rows)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.rows
	change(&p.rows)
	if slices.Equal(before.Origins, p.rows.Origins) && before.Document == p.rows.Document &&
		before.Stopped == p.rows.Stopped {
		return
	}
	p.rows.Version++
	close(p.changed)
	p.changed = make(chan struct{})
}

// current returns the rows, and what is closed when they change.
func (p *policyd) current() (rows, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rows, p.changed
}

// watch keeps the rows up to date, whoever writes them, until ctx is done.
func (p *policyd) watch(ctx context.Context) {
	for tag := ""; ctx.Err() == nil; {
		document, now, err := p.document(ctx, tag)
		if err != nil { // cors-policyd is away, and the rows may change still
			now, document = "", ""
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
		tag = now
		p.refresh(ctx, document)
	}
}

// document returns what cors-policyd serves, when that isn't any more what tag names, or after a while.
func (p *policyd) document(ctx context.Context, tag string) (text, now string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.listen+"/v1/policies", nil)
	if err != nil {
		return "", "", err
	}
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
		req.Header.Set("Prefer", "wait=30")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNotModified {
		err = fmt.Errorf("cors-policyd answers %s", res.Status)
	}
	return string(body), res.Header.Get("ETag"), err
}

// refresh reads the rows. A document of "" is the one from before.
func (p *policyd) refresh(ctx context.Context, document string) {
	list, _, err := p.origins(ctx, "list")
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		if text := err.Error(); text != p.failing {
			p.failing = text
			fmt.Fprintf(p.stderr, "the origins can't be listed: %s\n", text)
		}
		return
	}
	p.failing = ""
	p.change(func(r *rows) {
		r.Origins = strings.FieldsFunc(list, func(c rune) bool { return c == '\n' })
		r.Document = cmp.Or(document, r.Document)
	})
}

// origins runs the command "cors-policyd origins". What it says beside its output is the error
// if it fails.
func (p *policyd) origins(ctx context.Context, verb string, origins ...string) (output, says string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	args := []string{"origins", verb, "-c", p.config, "--policy", policyName, "--"}
	cmd := exec.CommandContext(ctx, p.binary, append(args, origins...)...) //nolint:gosec // no shell, and behind "--"
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	says = strings.TrimSpace(stderr.String())
	if err != nil && says != "" {
		err = &refusal{says, cmd.ProcessState.ExitCode() == 1}
	}
	return stdout.String(), says, err
}

// A refusal is what a command says when it fails.
type refusal struct {
	says string
	bad  bool // the origin is bad, rather than that something else went wrong
}

func (r *refusal) Error() string { return r.says }

// command is what a visitor may type for the same.
func (p *policyd) command() string {
	return fmt.Sprintf("%s origins add -c %s --policy %s https://shop.example", p.binary, p.config, policyName)
}

// ask asks cors-policyd, with a body as JSON if there is one.
func (p *policyd) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.listen+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("cors-policyd answers %s: %s", res.Status, answer)
	}
	return answer, err
}

// A finding is what cors-policyd says of an origin.
type finding struct{ What, Instead string }

// check asks cors-policyd whether an origin is good, and what is to be said of it.
func (p *policyd) check(ctx context.Context, origin string) (good bool, findings []finding) {
	answer, err := p.ask(ctx, http.MethodPost, "/v1/check", map[string]string{"policy": policyName, "origin": origin})
	var verdict struct {
		OK       bool
		Findings []finding
	}
	if err == nil {
		err = json.Unmarshal(answer, &verdict)
	}
	return err == nil && verdict.OK, verdict.Findings
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// suggestions are the origins that cors-policyd proposes in place of a bad one, as far as it
// takes them itself. There are none while it doesn't run.
func (p *policyd) suggestions(ctx context.Context, origin string) []string {
	list := []string{}
	_, findings := p.check(ctx, origin)
	for _, f := range findings {
		for _, text := range quoted.FindAllString(f.Instead, -1) {
			proposed, err := strconv.Unquote(text)
			if err != nil || slices.Contains(list, proposed) {
				continue
			}
			if good, _ := p.check(ctx, proposed); good {
				list = append(list, proposed)
			}
		}
	}
	return list
}

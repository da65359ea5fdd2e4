// Package firefox drives a Firefox by WebDriver BiDi, as much of it as tests of CORS need: tabs,
// scripts in their pages, and events.
//
// See https://w3c.github.io/webdriver-bidi/.
package firefox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// A Firefox is a running Firefox with a profile of its own. It doesn't outlive this process.
type Firefox struct {
	process *envoy.Process
	profile string
	conn    *websocket.Conn
	ctx     context.Context // It ends with the connection.
	end     context.CancelFunc

	mu        sync.Mutex
	id        int
	answers   map[int]chan answer
	listeners map[string][]func(Event)
}

// An Event is what Firefox tells by itself.
type Event struct {
	Method string // such as "log.entryAdded"
	// Params are the event's parameters, to be decoded.
	Params json.RawMessage
}

type answer struct {
	Result  json.RawMessage
	Error   string
	Message string
}

// Binary is the Firefox to start: $FIREFOX, or the one in PATH.
func Binary() (string, error) {
	if path := os.Getenv("FIREFOX"); path != "" {
		return path, nil
	}
	for _, name := range []string{"firefox-esr", "firefox"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Firefox in $FIREFOX or PATH; run make test")
}

// Start starts Firefox without a window. It runs until Close.
func Start(binary string) (*Firefox, error) {
	profile, err := os.MkdirTemp("", "cors-firefox-")
	if err != nil {
		return nil, err
	}
	f := &Firefox{profile: profile, answers: map[int]chan answer{}, listeners: map[string][]func(Event){}}
	f.ctx, f.end = context.WithCancel(context.Background())
	cmd := exec.Command(binary, "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", profile)
	// Its caches are below the home folder, and there may be none.
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
	if err := f.connect(cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", binary, err), f.Close())
	}
	return f, nil
}

// connect starts the process and a session.
func (f *Firefox) connect(cmd *exec.Cmd) error {
	// A file, not a pipe: nobody has to read it for Firefox to go on.
	log, err := os.Create(filepath.Join(f.profile, "stderr.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr = log
	const ownGroup = true // so that its processes can be ended with it
	if f.process, err = envoy.Fork(cmd, ownGroup); err != nil {
		return err
	}
	url, err := f.address(log.Name())
	if err != nil {
		return err
	}
	if f.conn, _, err = websocket.Dial(f.ctx, url+"/session", nil); err != nil {
		return err
	}
	f.conn.SetReadLimit(-1)
	go f.read()
	_, err = f.call("session.new", map[string]any{
		"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}},
	})
	return err
}

var listening = regexp.MustCompile(`WebDriver BiDi listening on (\S+)\n`)

// address waits until Firefox says in its log where it listens.
func (f *Firefox) address(log string) (url string, err error) {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		last := f.process.HasExited() || time.Now().After(deadline)
		said, err := os.ReadFile(log)
		if found := listening.FindSubmatch(said); found != nil {
			return string(found[1]), nil
		}
		if last {
			return "", errors.Join(fmt.Errorf("it doesn't say where it listens, but:\n%s", said), err)
		}
	}
}

// Close ends Firefox, and removes its profile.
func (f *Firefox) Close() error {
	f.end()
	if f.process != nil {
		_ = syscall.Kill(-f.process.PID(), syscall.SIGKILL) // It may have ended by itself.
		<-f.process.Exited()
	}
	return os.RemoveAll(f.profile)
}

// Listen has do called for each event of a method, from the time on that Firefox is subscribed to it.
// All are called one after the other.
func (f *Firefox) Listen(method string, do func(Event)) error {
	f.mu.Lock()
	f.listeners[method] = append(f.listeners[method], do)
	f.mu.Unlock()
	_, err := f.call("session.subscribe", map[string]any{"events": []string{method}})
	return err
}

// read hands on what arrives, until the connection ends.
func (f *Firefox) read() {
	defer f.end()
	for {
		_, text, err := f.conn.Read(f.ctx)
		if err != nil {
			return
		}
		var message struct {
			ID *int
			Event
			answer
		}
		if err := json.Unmarshal(text, &message); err != nil {
			return
		}
		f.mu.Lock()
		var waiting chan answer
		if message.ID != nil {
			waiting = f.answers[*message.ID]
			delete(f.answers, *message.ID)
		}
		listeners := f.listeners[message.Method]
		f.mu.Unlock()
		if waiting != nil {
			waiting <- message.answer
		}
		for _, do := range listeners {
			do(message.Event)
		}
	}
}

// call sends a command, and waits for its result.
func (f *Firefox) call(method string, params any) (json.RawMessage, error) {
	waiting := make(chan answer, 1)
	f.mu.Lock()
	f.id++
	id := f.id
	f.answers[id] = waiting
	f.mu.Unlock()
	text, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(f.ctx, 2*time.Minute)
	defer cancel()
	if err := f.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return nil, err
	}
	select {
	case a := <-waiting:
		if a.Error != "" {
			return nil, fmt.Errorf("%s: %s: %s", method, a.Error, a.Message)
		}
		return a.Result, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// A Tab is a tab of a Firefox. Each is in a container of its own: it shares no cookies, caches and
// connections with others.
type Tab struct {
	f       *Firefox
	context string
}

// NewTab opens a tab.
func (f *Firefox) NewTab() (*Tab, error) {
	user, err := f.call("browser.createUserContext", map[string]any{})
	if err != nil {
		return nil, err
	}
	var container struct{ UserContext string }
	if err := json.Unmarshal(user, &container); err != nil {
		return nil, err
	}
	created, err := f.call("browsingContext.create", map[string]any{
		"type": "tab", "userContext": container.UserContext,
	})
	if err != nil {
		return nil, err
	}
	var result struct{ Context string }
	err = json.Unmarshal(created, &result)
	return &Tab{f, result.Context}, err
}

// Close closes the tab.
func (t *Tab) Close() error {
	_, err := t.f.call("browsingContext.close", map[string]any{"context": t.context})
	return err
}

// Navigate opens a page, and waits until it has loaded.
func (t *Tab) Navigate(url string) error {
	_, err := t.f.call("browsingContext.navigate",
		map[string]any{"context": t.context, "url": url, "wait": "complete"})
	return err
}

// Evaluate sets result to the value of a JavaScript expression in the page, or to what it promises,
// by way of JSON.
func (t *Tab) Evaluate(expression string, result any) error {
	text, err := t.f.call("script.evaluate", map[string]any{
		"expression":   "(async () => JSON.stringify(await (" + expression + ")))()",
		"target":       map[string]any{"context": t.context},
		"awaitPromise": true,
	})
	if err != nil {
		return err
	}
	var evaluated struct {
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	if err := json.Unmarshal(text, &evaluated); err != nil {
		return err
	}
	if said := evaluated.ExceptionDetails.Text; said != "" {
		return errors.New(said)
	}
	return json.Unmarshal([]byte(cmp.Or(evaluated.Result.Value, "null")), result)
}

// Console has do called with each line that a page of this tab writes to the console, or Firefox
// about it.
func (t *Tab) Console(do func(text string)) error {
	return t.f.Listen("log.entryAdded", func(e Event) {
		var entry struct {
			Text   string
			Source struct{ Context string }
		}
		if json.Unmarshal(e.Params, &entry) == nil && entry.Source.Context == t.context {
			do(entry.Text)
		}
	})
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds the wait for an Envoy that starts: compiling a module and
// reading a large configuration take seconds.
const startTimeout = 3 * time.Minute

// An envoy is a running Envoy.
type envoy struct {
	cmd    *exec.Cmd
	began  time.Time
	ready  time.Duration // from began until Envoy said that it is ready
	admin  string        // base URL
	addrs  map[string]string
	exited chan struct{}
}

// startEnvoy starts an Envoy with these listeners, and waits until it is ready. Its
// configuration and its log stay in the scratch folder.
func startEnvoy(f *files, workers int, listeners []listener) (*envoy, error) {
	config, log, admin := filepath.Join(scratch, "envoy.json"), filepath.Join(scratch, "envoy.log"), filepath.Join(scratch, "admin")
	if err := os.WriteFile(config, bootstrap(listeners), 0o600); err != nil {
		return nil, err
	}
	if err := os.Remove(admin); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	stderr, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	e := &envoy{
		cmd: exec.Command(f.envoy, "-c", config, "--disable-hot-restart", "--concurrency", strconv.Itoa(workers),
			"-l", "error", "--component-log-level", "wasm:warn", "--admin-address-path", admin),
		exited: make(chan struct{}),
	}
	e.cmd.Stderr = stderr
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	e.began = time.Now()
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = e.cmd.Wait()
		close(e.exited)
	}()
	for !e.isReady(admin) {
		select {
		case <-e.exited:
			text, _ := os.ReadFile(log)
			return nil, fmt.Errorf("no Envoy: %s; its log says:\n%s", e.cmd.ProcessState, text)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Since(e.began) > startTimeout {
			e.stop()
			return nil, fmt.Errorf("no Envoy after %s, see %s", startTimeout, log)
		}
	}
	e.ready = time.Since(e.began)
	if err := e.readAddrs(); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

// isReady asks Envoy once whether it is ready.
func (e *envoy) isReady(adminFile string) bool {
	address, err := os.ReadFile(adminFile)
	if _, port, splitErr := net.SplitHostPort(string(address)); err != nil || splitErr != nil || port == "" {
		return false
	}
	e.admin = "http://" + string(address)
	_, err = e.get("/ready")
	return err == nil
}

func (e *envoy) get(path string) ([]byte, error) {
	resp, err := http.Get(e.admin + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return body, err
}

// readAddrs learns the listeners' addresses.
func (e *envoy) readAddrs() error {
	text, err := e.get("/listeners?format=json")
	if err != nil {
		return err
	}
	var listeners struct {
		ListenerStatuses []struct {
			Name         string
			LocalAddress struct {
				SocketAddress struct {
					Address   string
					PortValue int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	e.addrs = map[string]string{}
	err = json.Unmarshal(text, &listeners)
	for _, l := range listeners.ListenerStatuses {
		a := l.LocalAddress.SocketAddress
		e.addrs[l.Name] = net.JoinHostPort(a.Address, strconv.Itoa(a.PortValue))
	}
	return err
}

// stop ends Envoy, and waits until it is gone.
func (e *envoy) stop() {
	_ = e.cmd.Process.Kill()
	<-e.exited
}

// rss is Envoy's resident memory in bytes.
func (e *envoy) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		return 0, err
	}
	return kilobytes << 10, nil
}

// threads are the ids of Envoy's threads by their names.
func (e *envoy) threads() (map[int]string, error) {
	dir := fmt.Sprintf("/proc/%d/task", e.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			return nil, err
		}
		name, err := os.ReadFile(filepath.Join(dir, entry.Name(), "comm"))
		if err != nil {
			return nil, err
		}
		names[id] = strings.TrimSpace(string(name))
	}
	return names, nil
}

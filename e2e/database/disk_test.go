package database_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// tenants is template with nothing but the first policy, and a look-up.
func tenants() string {
	head, _, _ := strings.Cut(template, "- rows")
	return head + "lookups: {tenants: SELECT 1 FROM tenant_origins WHERE origin = :origin}\n"
}

// has waits until a cors-policyd serves a document with an origin in it.
func (p *policyd) has(tb testing.TB, origin string) {
	tb.Helper()
	envoytest.Eventually(tb, fleet.Recovery, "a document with "+origin, func() bool {
		a, err := p.get("/v1/policies")
		return err == nil && a.StatusCode == http.StatusOK && strings.Contains(a.text, `"`+origin+`"`)
	})
}

// TestFullDisk: where the state doesn't fit on its disk, all is served that the rows say, it is counted, and the last
// state stays, whole and alone. It is written when there is room again.
func TestFullDisk(t *testing.T) {
	s := newSQLite(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	s.exec(t, "INSERT INTO tenant_origins VALUES (?)", app)
	folder := t.TempDir()
	p := configured(t, s.url, "poll: 100ms\nstate: "+filepath.Join(folder, "state")+"\n"+tenants())
	p.limits = "ulimit -f 40" // blocks of 512 bytes, in any file: the disk is full beyond
	p.start(t)
	state := func() string {
		text, _ := os.ReadFile(filepath.Join(folder, "state")) // is there soon
		return string(text)
	}
	envoytest.Eventually(t, fleet.Recovery, "the state", func() bool { return strings.Contains(state(), app) })
	before := state()
	s.fill(t, 1000)
	p.has(t, "https://t000999.example")
	envoytest.Eventually(t, fleet.Recovery, "failures to be counted", func() bool {
		return p.metric(t, "cors_policyd_state_failures_total") >= 3
	})
	if now := state(); now != before || !json.Valid([]byte(now)) {
		t.Errorf("the state is %q", now)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 1 {
		t.Errorf("beside the state there are %v, %v", files, err)
	}
	if n := strings.Count(p.log.String(), "the state can't be written"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	s.exec(t, "DELETE FROM tenant_origins WHERE origin <> ?", app)
	s.exec(t, "INSERT INTO tenant_origins VALUES (?)", tenant(2))
	envoytest.Eventually(t, fleet.Recovery, "the next state", func() bool {
		return strings.Contains(state(), tenant(2))
	})
	p.kill()
	if err := os.Remove(strings.TrimPrefix(s.url, "sqlite:")); err != nil {
		t.Fatal(err)
	}
	p.start(t)
	p.has(t, tenant(2))
}

// TestLog: cors-policyd serves on, and ends in order, though its log can't be written: the disk is full, or who
// reads it is gone or stuck. What is lost is counted.
func TestLog(t *testing.T) {
	for _, test := range []struct {
		name string
		open func(t *testing.T) *os.File
		lost bool
	}{
		{"the disk is full", func(t *testing.T) *os.File {
			t.Helper()
			file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			return file
		}, true},
		{"the reader is gone", func(t *testing.T) *os.File {
			t.Helper()
			reader, writer := smallPipe(t)
			reader.Close()
			return writer
		}, true},
		{"the reader is stuck", func(t *testing.T) *os.File {
			t.Helper()
			_, writer := smallPipe(t)
			return writer
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSQLite(t)
			s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
			p := configured(t, s.url, s.fields+tenants())
			p.stderr = test.open(t)
			p.start(t)
			for n := range 50 { // each is a line
				s.exec(t, "INSERT INTO tenant_origins VALUES (?), (?)", tenant(n), fmt.Sprintf("bad %d", n))
				p.has(t, tenant(n))
			}
			for origin, status := range map[string]int{tenant(1): http.StatusNoContent, foreign: http.StatusNotFound} {
				if a := p.must(t, "/v1/lookup?policy=tenants&origin="+origin); a.StatusCode != status {
					t.Errorf("a look-up of %s: %s", origin, a.Status)
				}
			}
			if lost := p.metric(t, "cors_policyd_log_lines_lost_total"); (lost > 50) != test.lost {
				t.Errorf("%g lines are lost", lost)
			}
			p.signal(t, syscall.SIGTERM)
			if err := p.process.Wait(); err != nil {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}

// smallPipe returns a pipe with room for a page.
func smallPipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	const setPipeSize = 1031 // F_SETPIPE_SZ of Linux
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, writer.Fd(), setPipeSize, 4096); errno != 0 {
		t.Fatal(errno)
	}
	return reader, writer
}

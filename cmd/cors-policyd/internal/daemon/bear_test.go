package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestPanic: a panic while a document is made, of the database or of the state, is a failure like others. What was
// there serves, the stack is logged once, and it goes on when it can.
func TestPanic(t *testing.T) {
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	state := filepath.Join(t.TempDir(), "state")
	d := start(t, database+"poll: 1h\nstate: "+state+"\n"+tenants)
	first := d.until(t, "https://app.example.com")
	d.stop()
	builder := d.builder
	d.builder = nil
	for range 2 {
		if d.refresh(context.Background()) {
			t.Error("it doesn't fail")
		}
	}
	write(t, state, "{}")
	d.begin(context.Background())
	said := d.log.String()
	unusable := `the state can't be used" file=` + state + ` error="a panic`
	if strings.Count(said, "building ends in a panic") != 1 || !strings.Contains(said, "goroutine") ||
		strings.Count(said, "can't be built") != 1 || !strings.Contains(said, unusable) {
		t.Error(said)
	}
	if document, _, _ := d.publisher.Current(); document == nil || document.ETag != first.Header.Get("ETag") {
		t.Error("what was there isn't served any more")
	}
	d.builder = builder
}

// TestBegin: where the database answers soon, the state of before isn't served after it.
func TestBegin(t *testing.T) {
	database, pool := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+"state: "+filepath.Join(t.TempDir(), "state")+"\n"+tenants)
	d.until(t, "https://app.example.com")
	d.says(t, "a new document")
	d.stop()
	exec(t, pool, "INSERT INTO tenant_origins VALUES ('https://new.example', 1)")
	log := &envoytest.Output{}
	again, err := New(d.settings, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = again.listener.Close(), again.db.Close() }()
	again.begin(context.Background())
	said := log.String()
	if _, err := os.Stat(d.settings.State); err != nil || !strings.Contains(said, " document") {
		t.Fatal(err, said)
	}
	// It is both only if it came too late, to a machine that does something else.
	if strings.Contains(said, "a new document") && strings.Contains(said, "serving the last good document") {
		t.Error(said)
	}
}

// TestRoom: clients leave descriptors for what else there is, and HTTP and ECDS for each other.
func TestRoom(t *testing.T) {
	for _, test := range []struct {
		descriptors, quarters int
		xds                   bool
		want                  int
	}{
		{0, 4, false, 6000}, {0, 1, true, 6000}, {1 << 20, httpShare, false, 6000}, {1 << 20, xdsShare, true, 6000},
		{6116, httpShare, false, 6000}, {6115, httpShare, false, 5999},
		{4116, httpShare, true, 3000}, {4116, xdsShare, true, 1000},
		{118, xdsShare, false, 2}, {116, xdsShare, false, 1}, {1, httpShare, true, 1},
	} {
		s := &settings.Settings{Limits: settings.Limits{Waiting: 5000, Connections: 8}}
		if test.xds {
			s.XDS = &settings.XDS{}
		}
		if got := room(s, test.descriptors, test.quarters); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
	if httpShare+xdsShare != 4 {
		t.Error("the shares are no whole")
	}
}

// TestLeftovers: what a save that was killed has left is removed at the next start, and nothing else.
func TestLeftovers(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"state.123.partial", "state.bak", "state.partial.old", "other.1.partial", "mystate.1.partial"} {
		write(t, filepath.Join(folder, name), "{")
	}
	database, _ := newSQLite(t, "CREATE TABLE tenant_origins (origin, verified)")
	d := start(t, database+"state: "+filepath.Join(folder, "state")+"\n"+tenants)
	d.until(t, "https://app.example.com")
	state := filepath.Join(folder, "state")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(state); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
	}
	if got := strings.Join(names, " "); got != "mystate.1.partial other.1.partial state state.bak state.partial.old" {
		t.Error(got)
	}
}

package daemon

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

package database_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// soak is how often as much as in a short run is done: make soak-policyd.
var soak = flag.Int("soak", 1, "the `factor` by which faults and sizes of what cors-policyd has to bear are more")

// owners is how many programs write rows at the same time, each its own, and pieces how many rows each has: all of one
// version, since they change in one transaction.
const owners, pieces = 3, 4

// A ledger has which versions were committed, by their owners, and which ones clients have seen. Each attempt has a
// version of its own.
type ledger struct {
	mu        sync.Mutex
	committed [owners]map[int]bool
	seen      [owners]map[int]bool
	wrong     []string // documents of no state
}

// owned are the rows of a version.
func owned(owner, version int) (list []string) {
	for piece := range pieces {
		list = append(list, fmt.Sprintf("https://o%d-v%d-p%d.example", owner, version, piece))
	}
	return list
}

// versions are those of each owner in a document, or an error if there is half of one.
func versions(document string) (found [owners]int, err error) {
	_, problems := config.ParseFetched(document)
	if len(problems) > 0 {
		return found, fmt.Errorf("%v", problems)
	}
	count := [owners]int{}
	for i := range found {
		found[i] = -1
	}
	for _, part := range strings.Split(document, `"https://o`)[1:] {
		var owner, version, piece int
		if _, err := fmt.Sscanf(part, "%d-v%d-p%d.example", &owner, &version, &piece); err != nil {
			return found, err
		}
		if found[owner] >= 0 && found[owner] != version {
			return found, fmt.Errorf("owner %d has rows of the versions %d and %d", owner, found[owner], version)
		}
		found[owner] = version
		count[owner]++
	}
	if count != [owners]int{pieces, pieces, pieces} {
		return found, fmt.Errorf("the owners have %v rows, want %d each", count, pieces)
	}
	return found, nil
}

// saw notes what a client has got.
func (l *ledger) saw(document string) {
	found, err := versions(document)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.wrong = append(l.wrong, err.Error())
		return
	}
	for owner, version := range found {
		l.seen[owner][version] = true
	}
}

// write makes new versions of an owner's rows until it is told to stop. After a failure it looks which one is there: a
// commit whose answer is lost may have been one.
func (l *ledger) write(s *store, owner int, stop *atomic.Bool) {
	attempt := 1
	current := 0
	for !stop.Load() {
		attempt++
		if err := s.replace(owner, attempt); err == nil {
			current = attempt
		} else {
			for !stop.Load() {
				if n, err := s.versionOf(owner); err == nil {
					current = n
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		l.mu.Lock()
		l.committed[owner][current] = true
		l.mu.Unlock()
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
}

// replace writes a version of an owner's rows in place of the one before: some of the rows are updated, the others
// deleted and inserted, in one transaction.
func (s *store) replace(owner, version int) error {
	tx, err := s.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // of what wasn't committed
	key := fmt.Sprintf("https://o%d-%%", owner)
	if err := execute(tx, s.text("DELETE FROM tenant_origins WHERE origin LIKE ? AND piece > 0"), key); err != nil {
		return err
	}
	list := owned(owner, version)
	err = execute(tx, s.text("UPDATE tenant_origins SET origin = ? WHERE origin LIKE ?"), list[0], key)
	for piece := 1; piece < pieces && err == nil; piece++ {
		err = execute(tx, s.text("INSERT INTO tenant_origins VALUES (?, ?)"), list[piece], piece)
	}
	return errors.Join(err, tx.Commit())
}

// versionOf is the version of an owner's rows that is there.
func (s *store) versionOf(owner int) (version int, err error) {
	var origin string
	err = s.QueryRow(s.text("SELECT origin FROM tenant_origins WHERE origin LIKE ? AND piece = 0"),
		fmt.Sprintf("https://o%d-%%", owner)).Scan(&origin)
	if err == nil {
		_, err = fmt.Sscanf(origin, fmt.Sprintf("https://o%d-v%%d-p0.example", owner), &version)
	}
	return version, err
}

// follow has a client wait for documents until it is told to stop.
func (l *ledger) follow(p *policyd, stop *atomic.Bool) {
	etag := `"none"`
	for !stop.Load() {
		a, err := p.get("/v1/policies", "If-None-Match: "+etag, "Prefer: wait=1")
		switch {
		case err != nil:
			time.Sleep(5 * time.Millisecond) // it was killed
		case a.StatusCode == http.StatusOK:
			etag = a.Header.Get("ETag")
			l.saw(a.text)
		}
	}
}

// TestKilled: two replicas, and the database where it is a server, are killed at any time, while rows change and
// clients wait. No client ever gets a document that the rows never were: no part of a transaction, none that was
// rolled back. No file of the state is half, nothing is left beside it, and at the end both replicas have what the
// rows say.
func TestKilled(t *testing.T) {
	for _, kind := range stores {
		t.Run(kind.name, func(t *testing.T) {
			s := kind.make(t)
			s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL, piece INT NOT NULL")
			l := &ledger{}
			for owner := range owners {
				l.committed[owner], l.seen[owner] = map[int]bool{1: true}, map[int]bool{}
				for piece, origin := range owned(owner, 1) {
					s.exec(t, "INSERT INTO tenant_origins VALUES (?, ?)", origin, piece)
				}
			}
			head, _, _ := strings.Cut(template, "- rows")
			folder := t.TempDir()
			var replicas []*policyd
			for i := range 2 {
				state := filepath.Join(folder, "state-"+strconv.Itoa(i))
				replicas = append(replicas, newPolicyd(t, s.url, s.fields+"state: "+state+"\n"+head))
			}
			var stopWriting, stopReading atomic.Bool
			var writing, reading sync.WaitGroup
			for owner := range owners {
				writing.Go(func() { l.write(s, owner, &stopWriting) })
			}
			for range 3 {
				for _, p := range replicas {
					reading.Go(func() { l.follow(p, &stopReading) })
				}
			}
			for range 4 * *soak {
				time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
				killSome(t, s, replicas)
				checkStates(t, folder)
			}
			stopWriting.Store(true)
			writing.Wait()
			want := [owners]int{}
			for owner := range want {
				var err error
				if want[owner], err = s.versionOf(owner); err != nil {
					t.Fatal(err)
				}
				l.committed[owner][want[owner]] = true
			}
			for i, p := range replicas {
				what := fmt.Sprintf("replica %d to have what the rows say", i)
				envoytest.Eventually(t, fleet.Recovery, what, func() bool {
					got, err := versions(p.must(t, "/v1/policies").text)
					return err == nil && got == want
				})
			}
			stopReading.Store(true)
			reading.Wait() // all are answered
			for _, p := range replicas {
				if n := p.metric(t, "cors_policyd_waiting_clients"); n != 0 {
					t.Errorf("%g clients still wait", n)
				}
				if strings.Contains(p.log.String(), "panic") {
					t.Error("there was a panic")
				}
			}
			l.check(t)
		})
	}
}

// killSome kills one replica or both, or the database or all, and starts them again.
func killSome(tb testing.TB, s *store, replicas []*policyd) {
	tb.Helper()
	killed := [][]*policyd{replicas[:1], replicas[1:], replicas, nil}[rand.IntN(4)]
	database := s.server != nil && (killed == nil || rand.IntN(3) == 0)
	for _, p := range killed {
		p.kill()
	}
	if database {
		s.server.Kill()
		s.server.Start(tb)
	}
	for _, p := range killed {
		p.start(tb)
	}
}

// checkStates fails the test if a state is half, or if more than one file that isn't whole is left of each.
func checkStates(tb testing.TB, folder string) {
	tb.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		tb.Fatal(err)
	}
	left := map[string]int{}
	for _, file := range files {
		name, isPartial := strings.CutSuffix(file.Name(), ".partial")
		if isPartial {
			if left[name[:len("state-0")]]++; left[name[:len("state-0")]] > 1 {
				tb.Errorf("what was killed has left %v", files)
			}
			continue
		}
		if text, err := os.ReadFile(filepath.Join(folder, file.Name())); err != nil || !json.Valid(text) {
			tb.Errorf("%s is broken: %v, %q", file.Name(), err, text)
		}
	}
}

// check fails the test if a client has seen what never was, or almost nothing.
func (l *ledger) check(tb testing.TB) {
	tb.Helper()
	for _, wrong := range l.wrong {
		tb.Errorf("a client has got a document that was never true: %s", wrong)
	}
	for owner, seen := range l.seen {
		for version := range seen {
			if !l.committed[owner][version] {
				tb.Errorf("a client has got version %d of owner %d, which was never committed", version, owner)
			}
		}
		tb.Logf("owner %d: %d versions committed, %d seen, up to %d", owner, len(l.committed[owner]), len(seen),
			slices.Max(slices.Collect(maps.Keys(l.committed[owner]))))
		if len(seen) < 3 {
			tb.Errorf("clients have seen %d versions of owner %d", len(seen), owner)
		}
	}
}

// TestNotOlder: after a restart clients get no older document than before, though the state is old since the disk was
// full, and the database takes a while to answer.
func TestNotOlder(t *testing.T) {
	s := newPostgreSQL(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	s.exec(t, "INSERT INTO tenant_origins VALUES (?)", tenant(1))
	database := newPipe(t, strings.TrimSuffix(strings.TrimPrefix(s.url, "postgres://postgres@"), "/postgres"))
	url := "postgres://postgres@" + database.addr + "/postgres"
	head, _, _ := strings.Cut(template, "- rows")
	state := filepath.Join(t.TempDir(), "state")
	p := newPolicyd(t, url, s.fields+"state: "+state+"\n"+head)
	var old []byte
	var err error
	envoytest.Eventually(t, fleet.Recovery, "the state", func() bool {
		old, err = os.ReadFile(state)
		return err == nil
	})
	s.exec(t, "UPDATE tenant_origins SET origin = ?", tenant(2))
	envoytest.Eventually(t, fleet.Recovery, "the change", func() bool {
		return strings.Contains(p.must(t, "/v1/policies").text, tenant(2))
	})
	p.kill()
	if err := os.WriteFile(state, old, 0o600); err != nil {
		t.Fatal(err)
	}
	database.delay(20 * time.Millisecond)
	p.edit(t, "timeout: 1s", "timeout: 5s")
	launched := time.Now()
	p.launch(t)
	var first answer
	envoytest.Eventually(t, fleet.Recovery, "a document", func() bool {
		first, err = p.get("/v1/policies")
		return err == nil && first.StatusCode == http.StatusOK
	})
	// On a busy machine the database may take longer than it has.
	if took := time.Since(launched); strings.Contains(first.text, tenant(1)) && took < 2*time.Second {
		t.Error("what was removed is back for a moment")
	}
	// A database that doesn't answer has it served all the same, and soon.
	database.delay(0)
	p.kill()
	if err := os.WriteFile(state, old, 0o600); err != nil {
		t.Fatal(err)
	}
	database.cut(true)
	p.start(t)
	if a := p.must(t, "/v1/policies"); !strings.Contains(a.text, tenant(1)) {
		t.Errorf("without its database: %s %s", a.Status, a.text)
	}
	database.cut(false)
	envoytest.Eventually(t, fleet.Recovery, "what the rows say", func() bool {
		return strings.Contains(p.must(t, "/v1/policies").text, tenant(2))
	})
}

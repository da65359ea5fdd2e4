package database_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// table is cors-policyd's configuration for a policy whose origins its own command keeps.
const table = `timeout: 20s
policies:
- name: tenants
  allow_origins: [{table: true}]
`

// several is how many origins a command adds or removes at once.
const several = 500

// A changing is a command that changes the origins of a policy.
type changing struct {
	*exec.Cmd
	says *envoytest.Output
}

// changes returns the command that adds or removes several origins, which are others for each n.
func (p *policyd) changes(tb testing.TB, what string, n int) changing {
	tb.Helper()
	command := p.command(tb, "origins", what, "-c", p.config, "--policy", "tenants")
	for i := range several {
		command = append(command, fmt.Sprintf("https://n%d-%d.example", n, i))
	}
	c := changing{exec.Command(command[0], command[1:]...), &envoytest.Output{}}
	c.Stdout, c.Stderr = c.says, c.says
	return c
}

// run runs it to its end.
func (c changing) run(tb testing.TB) error {
	tb.Helper()
	if err := envoy.Spawn(c.Cmd, false); err != nil {
		tb.Fatal(err)
	}
	return c.Wait()
}

// done reports whether it has said that all is done.
func (c changing) done() bool {
	return strings.Contains(c.says.String(), fmt.Sprintf("ed %[1]d of %[1]d", several))
}

// several is how many of the origins of n are there.
func (s *store) several(tb testing.TB, n int) (count int) {
	tb.Helper()
	err := s.QueryRow(s.text("SELECT COUNT(*) FROM cors_origins WHERE origin LIKE ?"), fmt.Sprintf("https://n%d-%%", n)).Scan(&count)
	if err != nil {
		tb.Fatal(err)
	}
	return count
}

// TestOriginsKilled: the command that adds or removes origins is killed at any time. All is done, or nothing, and all
// if it has said so.
func TestOriginsKilled(t *testing.T) {
	kinds := stores
	if *soak == 1 {
		kinds = stores[:2] // the others' transactions are no different to the command
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			s := kind.make(t)
			p := configured(t, s.url, s.fields+table)
			began := time.Now()
			c := p.changes(t, "add", 0)
			if err := c.run(t); err != nil || !c.done() || s.several(t, 0) != several {
				t.Fatalf("%v, %s", err, c.says)
			}
			usual := time.Since(began)
			done, nothing := 0, 0
			for n := range 12 * *soak {
				for _, what := range []string{"add", "remove"} {
					if what == "remove" && s.several(t, n) == 0 {
						continue
					}
					c := p.changes(t, what, n)
					if err := envoy.Spawn(c.Cmd, false); err != nil {
						t.Fatal(err)
					}
					time.Sleep(rand.N(usual * 5 / 4))
					_ = c.Process.Kill() // unless it has ended
					_ = c.Wait()         // it was killed
					there := s.several(t, n)
					all := (there == several) == (what == "add")
					switch {
					case there != 0 && there != several:
						t.Errorf("%s is killed, and %d of %d are there", what, there, several)
					case c.done() && !all:
						t.Errorf("%s says %s, and %d are there", what, c.says, there)
					case all:
						done++
					default:
						nothing++
					}
				}
			}
			t.Logf("of commands that are killed within %s, %d have done all, and %d nothing", usual*5/4, done, nothing)
			if err := p.changes(t, "add", 0).run(t); err != nil || s.several(t, 0) != several {
				t.Errorf("after that: %v", err)
			}
		})
	}
}

// TestOriginsFullDisk: where origins don't fit on the disk of the database, the command that adds them says so, and
// none is there. The next one adds them, once there is room.
func TestOriginsFullDisk(t *testing.T) {
	s := newSQLite(t)
	p := configured(t, s.url, s.fields+table)
	if err := p.changes(t, "add", 0).run(t); err != nil {
		t.Fatal(err)
	}
	p.limits = "ulimit -f 80" // blocks of 512 bytes, in any file: the disk is full beyond
	c := p.changes(t, "add", 1)
	err := c.run(t)
	t.Logf("it ends with %v: %s", err, c.says)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 2 || !strings.Contains(c.says.String(), "disk") {
		t.Error("that isn't what it says of a full disk")
	}
	if n := s.several(t, 1); n != 0 {
		t.Errorf("%d are there", n)
	}
	p.limits = ""
	if err := p.changes(t, "add", 1).run(t); err != nil || s.several(t, 1) != several || s.several(t, 0) != several {
		t.Errorf("with room: %v", err)
	}
}

package hotreload_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// TestFetcherDies: again and again the VMs of all workers die, and with them that which
// fetches, if it isn't the main thread's, while the source holds the fetch for a minute. What
// takes their place serves the last document at once, and all have the next one within seconds.
func TestFetcherDies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "faults.wasm")
	if err := envoytest.BuildModule(path, "faults"); err != nil {
		t.Fatal(err)
	}
	f := deployWith(t, envoytest.Plugin{Module: path, FailurePolicy: "FAIL_RELOAD"}, 1, waiting)
	p := f.proxies[0]
	var took fleet.Durations
	var reloads int
	takenOver := 0
	for n := 2; n < 30 && takenOver < 2; n++ {
		// With another source the turn is anyone's.
		f.push(t, sourced(fmt.Sprintf("/%d.json", n), `"interval": "1s", "timeout": "2s", "wait": "60s"`))
		time.Sleep(2 * time.Second) // Envoy reloads no VM that is younger.
		envoytest.Eventually(t, fleet.Recovery, "both plugins to wait", func() bool { return f.source.waiting() > 1 })
		conns := dialWorkers(t, p)
		for _, conn := range conns {
			awaitVersion(t, conn, n-1)
		}
		for _, conn := range conns {
			if response, err := conn.Do(fatal); err != nil || response.Status != 503 {
				t.Fatalf("a fatal request: %v, %v", response, err)
			}
		}
		reloads += len(conns)
		f.source.publish(document(n))
		start := time.Now()
		for _, conn := range conns {
			if got := awaitVersion(t, conn, n); got != n-1 && got != n {
				t.Errorf("a new VM begins with version %d, want %d or the next", got, n-1)
			}
		}
		took = append(took, time.Since(start))
		if took[len(took)-1] > time.Second {
			takenOver++
		}
	}
	t.Logf("after the death of all workers' VMs a change is in every worker: %s", took)
	if most := took.Quantile(100); most > 9*time.Second {
		t.Errorf("a change took %s", most)
	}
	if takenOver < 2 {
		t.Error("the main thread's VM has always fetched")
	}
	stats := p.Stats(t)
	if n := stats["wasm.cors.vm_reload_success"]; int(n) != reloads {
		t.Errorf("%d VMs were loaded anew, want %d", n, reloads)
	}
	if n := stats["wasmcustom.cors.panics"]; n > 0 {
		t.Errorf("%d panics", n)
	}
}

// fatal is a request that the faulty module dies of.
var fatal = cases.Request{Host: "any.example",
	Headers: [][2]string{{"origin", app}, {"x-fault", "origin trap"}}}

// dialWorkers returns a connection to each worker.
func dialWorkers(t *testing.T, p *fleet.Proxy) []*envoytest.Conn {
	t.Helper()
	addr, _, _ := p.Address(byXDS)
	var conns []*envoytest.Conn
	for range workers {
		conn, err := envoytest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Do(requests[0]); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	p.CheckWorkers(t)
	return conns
}

// awaitVersion waits until a worker serves a version, and returns the first that it did.
func awaitVersion(t *testing.T, conn *envoytest.Conn, version int) (first int) {
	t.Helper()
	envoytest.Eventually(t, fleet.Recovery, "the next version", func() bool {
		response, err := conn.Do(requests[0])
		if err != nil {
			t.Fatal(err)
		}
		if response.Status == 503 {
			if first > 0 {
				t.Error("a new VM has died")
			}
			return false
		}
		n, err := versionOf(requests[0], response)
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = n
		}
		return n == version
	})
	return first
}

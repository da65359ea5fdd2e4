package hotreload_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// The sizes in bytes, near the limits, and numbers of updates of a whole soak.
const (
	largestDocument      = 1_800_000
	documents            = 1000
	largestConfiguration = 5_700_000
	configurations       = 50
)

// A whole soak takes an hour; what is not asked for by flags is a short one. See "make
// soak".
var (
	soakSize    = flag.Float64("soak.size", 0.3, "the size of documents, as a `part` of the largest")
	soakUpdates = flag.Float64("soak.updates", 0,
		"the number of updates, as a `part` of the whole; 0 for a few updates of one kind")
	soakPace    = flag.Duration("soak.pace", 0, "the least `time` from one update to the next")
	soakLongest = flag.Duration("soak.longest", 0, "fail if a request takes a longer `time`; 0 for any")
	soakFlood   = flag.Int("soak.flood", 500, "the `number` of denied preflights after each update")
)

// The parts that documents in turn are of the largest. Equal ones hide the worst: a
// collector that is open after a large one takes the small ones for live.
var (
	equal = []float64{1}
	mixed = []float64{1, 0.02, 0.02, 0.02, 0.02}
)

// TestSoak gives an Envoy one document after the other, each in the VMs of one plugin or
// of two that share them, each followed by a flood of denied preflights. Every answer is
// right, and Envoy's memory after the last is what it was after the first few.
func TestSoak(t *testing.T) {
	for _, s := range []soak{
		{"two plugins, mixed sizes", mixed, configurations, true, true},
		{"policy source, equal sizes", equal, documents, true, false},
		{"policy source, mixed sizes", mixed, documents, true, false},
		{"discovery service, equal sizes", equal, configurations, false, true},
		{"discovery service, mixed sizes", mixed, configurations, false, true},
	} {
		t.Run(s.name, s.run)
		if *soakUpdates == 0 {
			break
		}
	}
}

// A soak is one series of updates.
type soak struct {
	name        string
	parts       []float64
	updates     int  // of a whole soak
	bySource    bool // documents of the policy source
	byDiscovery bool // configurations of the discovery service
}

func (s soak) run(t *testing.T) {
	f := deployOf(t, 1, fmt.Sprintf(`"interval": %q, "timeout": "10s"`, sourceInterval))
	envoy := f.proxies[0]
	load := startLoad(t, f.proxies, byXDS, bySource)
	// The memory after the first few updates is compared with that after as many at the
	// end, the most in each, of sizes that both had.
	cycle := len(s.parts)
	few := max(5, cycle)
	updates := max(3*few, int(float64(s.updates)**soakUpdates))
	resident := make([]int, 0, updates)
	size := func(largest, i int) int { return int(float64(largest) * s.parts[i%cycle] * *soakSize) }
	for i := range updates {
		start, n := time.Now(), i+2
		if s.bySource {
			f.source.publish(largeDocument(n, size(largestDocument, i)))
			load.Await(t, bySource, n)
		}
		if s.byDiscovery {
			f.push(t, largeDocument(n, size(largestConfiguration, i)))
			load.Await(t, byXDS, n)
		}
		for _, listener := range envoy.Listeners {
			flood(t, envoy, listener, *soakFlood)
		}
		resident = append(resident, envoy.Resident(t))
		if *soakPace > 0 && i%100 == 99 {
			t.Logf("after %d updates: %d MiB", i+1, resident[i]>>20)
		}
		time.Sleep(time.Until(start.Add(*soakPace)))
	}
	envoy.CheckWorkers(t)
	load.Check(t)

	first, last := slices.Max(resident[:few]), slices.Max(resident[updates-few:])
	t.Logf("%d updates: %d MiB after the first %d, %d after the last %d, %d at most",
		updates, first>>20, few, last>>20, few, slices.Max(resident)>>20)
	if last > first+first/5 {
		t.Errorf("Envoy has %d MiB, a fifth more than the %d after the first updates; after each, in MiB: %v", last>>20,
			first>>20, mebibytes(resident))
	}
	longest := load.Took().Quantile(100)
	t.Logf("requests meanwhile: p50 %s, p99 %s, p99.9 %s, longest %s",
		load.Took().Quantile(50), load.Took().Quantile(99), load.Took().Quantile(99.9), longest)
	if *soakLongest > 0 && longest > *soakLongest {
		t.Errorf("a request took %s, more than %s", longest, *soakLongest)
	}
}

// flood sends preflights that are denied, each for a reason of its own, and checks each
// answer.
func flood(tb testing.TB, p *fleet.Proxy, listener string, n int) {
	tb.Helper()
	const clients = 4
	var sending sync.WaitGroup
	errs := make(chan error, clients)
	for c := range clients {
		sending.Go(func() { errs <- denied(p, listener, c, n, clients) })
	}
	sending.Wait()
	for range clients {
		if err := <-errs; err != nil {
			tb.Error(err)
		}
	}
}

// denied sends those of n denied preflights that are one client's, over a connection.
func denied(p *fleet.Proxy, listener string, begin, n, clients int) error {
	addr, _, _ := p.Address(listener)
	conn, err := envoytest.Dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	want := []string{"vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	for i := begin; i < n; i += clients {
		response, err := conn.Do(cases.Request{Host: "any.example", Method: "OPTIONS", Headers: [][2]string{
			{"origin", app}, {"access-control-request-method", "METHOD-" + strconv.Itoa(i)},
		}})
		if err != nil {
			return err
		}
		if got := envoytest.CORSLines(response); response.Status != 403 || !slices.Equal(got, want) {
			return fmt.Errorf("a denied preflight to listener %s: status %d and %q", listener, response.Status, got)
		}
	}
	return nil
}

func mebibytes(sizes []int) []int {
	list := make([]int, 0, len(sizes))
	for _, size := range sizes {
		list = append(list, size>>20)
	}
	return list
}

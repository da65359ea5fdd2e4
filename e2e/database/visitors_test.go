package database_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// An originsOf returns what gives the origins of a connection, each known or not.
type originsOf func(connection int) func(i int) (origin string, known bool)

// visit sends requests, or preflights, over four connections, each of which sends the next one when the
// last is answered, and returns how long each took.
func (d *deployment) visit(tb testing.TB, each int, preflight bool, from originsOf) (took fleet.Durations) {
	tb.Helper()
	const connections = 4
	addr, _, _ := d.proxies[0].Address(byLookup)
	var visiting sync.WaitGroup
	var mu sync.Mutex
	for c := range connections {
		visiting.Go(func() {
			conn, err := envoytest.Dial(addr)
			if err != nil {
				tb.Error(err)
				return
			}
			defer conn.Close()
			next := from(c)
			for i := range each {
				origin, known := next(i)
				request := lookupRequest(origin, preflight)
				start := time.Now()
				response, err := conn.Do(request)
				elapsed := time.Since(start)
				if err == nil {
					err = checkLookup(request, response, known)
				}
				if err != nil {
					tb.Error(err)
					return
				}
				mu.Lock()
				took = append(took, elapsed)
				mu.Unlock()
			}
		})
	}
	visiting.Wait()
	return took
}

// BenchmarkOriginLookup measures an Envoy of two workers that looks up origins, in a million of them: how long
// requests take whose origin is listed, remembered, asked for and allowed, asked for and not; how many look-ups
// a Zipf distribution saves; what is remembered costs; and all that in a flood of origins that are made up.
func BenchmarkOriginLookup(b *testing.B) {
	for _, s := range stores[:2] {
		b.Run(s.name, func(b *testing.B) { lookUp(b, s.make(b)) })
	}
}

func lookUp(b *testing.B, store *store) {
	b.Helper()
	store.customers(b, *origins)
	p := newPolicyd(b, store.url, store.fields+lookups)
	d := deployOn(b, store, p, 1, patient, byLookup)
	empty := d.proxies[0].Resident(b)
	turn := 0 // so that no origin comes twice that is to be new
	fresh := func(name string) originsOf {
		turn++
		return func(c int) func(int) (string, bool) {
			seed := fmt.Sprintf("%s%d-%d", name, turn, c)
			return func(i int) (string, bool) { return fmt.Sprintf("https://%s-%d.example", seed, i), false }
		}
	}
	// The customers from the end of the table, whom nobody else asks for.
	last := *origins
	rare := func(n int) originsOf {
		last -= 4 * n
		from := last
		return func(c int) func(int) (string, bool) {
			return func(i int) (string, bool) { return customer(from + c*n + i), true }
		}
	}
	listed := func(int) func(int) (string, bool) { return func(int) (string, bool) { return app, true } }
	again := func(int) func(int) (string, bool) {
		return func(i int) (string, bool) { return customer(i % 100), true }
	}
	zipf := func(c int) func(int) (string, bool) {
		v := newVisitors(uint64(c+turn*4), *origins)
		return func(int) (string, bool) { return v.next() }
	}
	const each = 1_000
	for _, preflight := range []bool{false, true} {
		kind := map[bool]string{false: "actual", true: "preflight"}[preflight]
		run := func(name string, from func() originsOf) {
			b.Run(kind+"/"+name, func(b *testing.B) {
				d.visit(b, 200, preflight, from()) // warm
				var took fleet.Durations
				for b.Loop() {
					took = append(took, d.visit(b, each, preflight, from())...)
				}
				took.Report(b, "", 50, 99)
				b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "requests/s")
				b.ReportMetric(0, "ns/op")
			})
		}
		run("listed", func() originsOf { return listed })
		run("remembered", func() originsOf { return again })
		run("allowed", func() originsOf { return rare(each) })
		run("denied", func() originsOf { return fresh("unknown") })
	}
	b.Run("zipf", func(b *testing.B) {
		turn++
		d.visit(b, 25_000, false, zipf) // fills what is remembered
		var took fleet.Durations
		hits := d.lookups(b, "hit", "stale")
		for b.Loop() {
			turn++
			took = append(took, d.visit(b, 10_000, false, zipf)...)
		}
		hits = d.lookups(b, "hit", "stale") - hits
		took.Report(b, "", 50, 99)
		b.ReportMetric(100*float64(hits)/float64(len(took)), "%hits")
		full := d.proxies[0].Resident(b)
		b.ReportMetric(mebibytes(full-empty)/workers, "MiB/worker")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("flood", func(b *testing.B) {
		before := d.proxies[0].Resident(b)
		stop := make(chan struct{})
		var flooding sync.WaitGroup
		for c := range 4 {
			flooding.Go(func() { d.flooding(b, c, stop) })
		}
		asked := d.lookups(b, "denied", "overloaded")
		var took fleet.Durations
		for b.Loop() {
			took = append(took, d.visit(b, each, false, again)...)
		}
		asked = d.lookups(b, "denied", "overloaded") - asked
		b.ReportMetric(float64(asked)/b.Elapsed().Seconds(), "made-up/s")
		close(stop)
		flooding.Wait()
		took.Report(b, "", 50, 99)
		b.ReportMetric(mebibytes(d.proxies[0].Resident(b)-before), "MiB/grown")
		b.ReportMetric(0, "ns/op")
	})
}

// flooding sends preflights from origins that are made up until it is told to stop.
func (d *deployment) flooding(tb testing.TB, c int, stop <-chan struct{}) {
	tb.Helper()
	addr, _, _ := d.proxies[0].Address(byLookup)
	conn, err := envoytest.Dial(addr)
	if err != nil {
		tb.Error(err)
		return
	}
	defer conn.Close()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		request := lookupRequest(fmt.Sprintf("https://made-up%d-%d.example", c, i), true)
		response, err := conn.Do(request)
		if err == nil {
			err = checkLookup(request, response, false)
		}
		if err != nil {
			tb.Error(err)
			return
		}
	}
}

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// A whole soak takes five million requests; what isn't asked for by the flag is a short one. See
// "make soak-requests".
var soakRequests = flag.Int("soak.requests", 10_000, "the `number` of requests of TestSoakRequests")

const (
	// soakRound is how many requests come between two readings of Envoy's memory at the least.
	soakRound = 5_000
	// soakBurst is how many requests of a kind follow each other.
	soakBurst = 50
	// soakGrowth is how much memory may come to an Envoy that has all that it caches.
	soakGrowth = 10 << 20
)

// A soakKind is a kind of traffic, with its share of it in percent.
type soakKind struct {
	name  string
	share int
	query
	// leaves is set where the client is gone before its answer.
	leaves bool
}

// denied is a query whose answer allows no origin.
func denied(q query) query {
	q.allowed = ""
	return q
}

// failing is a query whose answer has another status than 200.
func failing(status int, q query) query {
	q.status = status
	return q
}

// asking is a preflight for a method.
func asking(q query, method string) query {
	q.text = strings.Replace(q.text, "Request-Method: POST", "Request-Method: "+method, 1)
	return q
}

// soakKinds are the traffic of a soak: what a gateway sees, and more of all that might leave
// something behind than a gateway sees.
func soakKinds() []soakKind {
	of := func(kind, path, origin string) query { return ask(kind, "api.example", path, origin) }
	other := "https://other-" + serial + ".example"
	return []soakKind{
		{name: "no Origin", share: 14, query: of(noOrigin, "/items", "")},
		{name: "allowed", share: 15, query: of(actual, "/items/"+serial, origin)},
		{name: "allowed, answered by the upstream", share: 3, query: failing(404, of(actual, "/upstream", origin))},
		{name: "allowed, answered by an error", share: 5, query: failing(503, of(actual, "/nobody", origin))},
		{name: "denied", share: 15, query: denied(of(actual, "/items/"+serial, other))},
		{name: "malformed Origin", share: 5, query: denied(of(actual, "/items", "https://Other-"+serial+".example/"))},
		{name: "preflight", share: 15, query: of(preflight, "/items", origin)},
		{name: "preflight, origin denied", share: 10, query: denied(of(preflight, "/items/"+serial, other))},
		{name: "preflight, method denied", share: 5,
			query: denied(asking(of(preflight, "/items", origin), "METHOD-"+serial))},
		{name: "looked up", share: 3, query: of(actual, "/tenants", "https://actual-"+serial+".example")},
		{name: "looked up, preflight", share: 3, query: of(preflight, "/tenants", "https://preflight-"+serial+".example")},
		{name: "looked up, remembered", share: 3, query: of(actual, "/tenants", origin)},
		{name: "looked up, denied", share: 1, query: denied(of(actual, "/tenants", unknownOrigin+serial+".example"))},
		{name: "looked up, failed", share: 1, query: denied(of(actual, "/tenants", failingOrigin+serial+".example"))},
		{name: "looked up, left", share: 1, leaves: true,
			query: of(preflight, "/tenants", "https://leaver-"+serial+".example")},
		{name: "left", share: 1, leaves: true, query: failing(404, of(actual, "/upstream", origin))},
	}
}

// soakConfig has a policy with credentials, and one that looks origins up.
func soakConfig() string {
	return envoy.JSON(object{"policies": []object{
		common(object{"name": "site", "allow_origins": []string{origin}, "allow_credentials": true}),
		common(object{
			"name": "tenants", "match": object{"paths": []object{{"prefix": "/tenants"}}}, "allow_credentials": true,
			"origin_lookup": object{"cluster": "backend", "path": lookupPath, "authority": "backend", "timeout": "30s"},
		}),
	}})
}

// soakRoutes are to the upstream, to a cluster of no hosts, and to Envoy's own answer.
func soakRoutes() []any {
	to := func(prefix, cluster string) object {
		return object{
			"match": object{"prefix": prefix}, "route": object{"cluster": cluster},
			// How long the upstream took has not always the same number of digits.
			"response_headers_to_remove": []string{"x-envoy-upstream-service-time"},
		}
	}
	return []any{to("/upstream", "backend"), to("/nobody", "nobody"), direct(nil)}
}

// TestSoakRequests sends an Envoy requests of all kinds. Every answer is what the first of its kind
// was, and after all that, Envoy has no more memory than when its caches were full. A tenth of the
// requests goes to that.
func TestSoakRequests(t *testing.T) {
	s, addr := startSoak(t)
	kinds := soakKinds()
	exchanges := make([]*exchange, len(kinds))
	clients, err := dial(addr, varies, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer clients.close()
	for i, kind := range kinds {
		if exchanges[i], err = clients.learn(kind.query); err != nil {
			t.Fatalf("%s: %v", kind.name, err)
		}
	}

	var resident []int64
	began, every := time.Now(), max(soakRound, *soakRequests/50/soakRound*soakRound)
	for sent := 0; sent < *soakRequests; sent += soakRound {
		for _, i := range schedule(kinds) {
			if kinds[i].leaves {
				err = exchanges[i].abandon(addr, soakBurst)
			} else {
				err = exchanges[i].burst(soakBurst)
			}
			if err != nil {
				t.Fatalf("%s, after %d requests: %v\n%s", kinds[i].name, sent, err, s.Log())
			}
		}
		if (sent+soakRound)%every == 0 {
			rss, vms := s.memory(t)
			resident = append(resident, rss)
			t.Logf("%9d requests, %4.0f s: resident %.1f MiB, of which VMs %.1f", sent+soakRound,
				time.Since(began).Seconds(), mebibytes(rss), mebibytes(vms))
		}
	}
	s.atRest(t)

	warm := max(1, len(resident)/10) - 1
	first, last := resident[warm], slices.Max(resident[len(resident)-max(1, len(resident)/10):])
	t.Logf("%d requests: %.1f MiB after the first tenth, %.1f MiB at the end, by %+.2f MiB a million",
		*soakRequests, mebibytes(first), mebibytes(last), trend(resident[warm:])/float64(every)*1e6/(1<<20))
	if last > first+soakGrowth {
		t.Errorf("%.1f MiB have come to Envoy", mebibytes(last-first))
	}
}

// startSoak starts an Envoy for the soak, and returns the address of its listener.
func startSoak(t *testing.T) (s *server, addr string) {
	t.Helper()
	t.Chdir("..")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := envoy.Find("")
	if err != nil {
		t.Fatal(err)
	}
	b, err := startBackend()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	f := &files{envoy: binary, cors: "build/cors.wasm"}
	v := variant{listener: envoy.Listener{
		Name: "soak", Filters: copies(1, wasm(f.cors, soakConfig())), Routes: soakRoutes(),
	}}
	if s, err = startEnvoy(f, bootstrap{workers: 2, clusters: []any{b.cluster()}}, v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s, s.addrs["soak"]
}

// schedule is a round of bursts in random order, each the index of a kind.
func schedule(kinds []soakKind) (bursts []int) {
	for i, kind := range kinds {
		bursts = append(bursts, slices.Repeat([]int{i}, kind.share*soakRound/100/soakBurst)...)
	}
	rand.Shuffle(len(bursts), func(i, j int) { bursts[i], bursts[j] = bursts[j], bursts[i] })
	return bursts
}

// abandon sends n requests, each over a connection that is reset at once.
func (e *exchange) abandon(addr string, n int) error {
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		_, err = conn.Write(e.next())
		_ = conn.(*net.TCPConn).SetLinger(0) // or the ports run out
		conn.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// memory returns Envoy's resident memory, and that of its VMs.
func (s *server) memory(t *testing.T) (rss, vms int64) {
	t.Helper()
	rss, err := s.rss()
	if err != nil {
		t.Fatal(err)
	}
	if vms, err = s.vmMemory(); err != nil {
		t.Fatal(err)
	}
	return rss, vms
}

// atRest fails the test unless all requests have come to an end.
func (s *server) atRest(t *testing.T) {
	t.Helper()
	var active []string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		stats, err := s.Stats(context.Background(), "rq_active|rq_pending_active|panics")
		if err != nil {
			t.Fatal(err)
		}
		active = nil
		for name, n := range stats {
			// The admin interface serves this very request.
			if n > 0 && !strings.HasPrefix(name, "http.admin.") {
				active = append(active, fmt.Sprintf("%s: %d", name, n))
			}
		}
		if active == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %q", active)
		}
	}
}

// trend is the slope of the line that fits values best, per value.
func trend(values []int64) float64 {
	var meanX, meanY, xy, xx float64
	for i, v := range values {
		meanX += float64(i) / float64(len(values))
		meanY += float64(v) / float64(len(values))
	}
	for i, v := range values {
		xy += (float64(i) - meanX) * (float64(v) - meanY)
		xx += (float64(i) - meanX) * (float64(i) - meanX)
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// TestSchedule: the shares make up all of the traffic.
func TestSchedule(t *testing.T) {
	if got := len(schedule(soakKinds())) * soakBurst; got != soakRound {
		t.Errorf("a round has %d requests, want %d", got, soakRound)
	}
}

package database_test

import (
	"net/url"
	"syscall"
	"testing"
	"time"
)

// long is longer than all time-outs between an Envoy and cors-policyd, and between that and the
// database.
const long = 4 * time.Second

// TestFaults: every part is killed and started again, or cut off without a word, one after the
// other, under load. No request fails that would not have failed without the filter, every answer is
// by one version, what still runs goes on with what it had, and all catches up by itself.
func TestFaults(t *testing.T) {
	s := newPostgreSQL(t)
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	database := newPipe(t, address.Host)
	address.Host = database.addr
	s.url = address.String()
	s.fields = "poll: 1s\nnotify: cors_origins\n"
	d := deploy(t, s, hasty, byWait, byXDS)
	load := d.load(t)

	// begin is the time from which it is mended.
	back := func(what string, n int, begin time.Time) {
		t.Helper()
		d.await(t, load, n)
		t.Logf("%s: in every worker after %s", what, time.Since(begin).Round(time.Millisecond))
	}
	// goesOn is while nothing can reach the workers.
	goesOn := func(n int, pause time.Duration) {
		t.Helper()
		time.Sleep(pause)
		for _, listener := range d.listeners {
			load.Remains(t, listener, n)
		}
	}

	d.store.server.Kill()
	goesOn(d.version, 500*time.Millisecond)
	if a := d.policyd.must(t, "/readyz"); a.StatusCode != 200 {
		t.Errorf("without its database: %s %s", a.Status, a.text)
	}
	begin := time.Now()
	d.store.again(t)
	back("the database is killed and started", d.change(t), begin)

	d.policyd.kill()
	n := d.change(t)
	goesOn(n-1, 500*time.Millisecond)
	begin = time.Now()
	d.policyd.start(t)
	back("cors-policyd is killed and started", n, begin)

	for i, p := range d.proxies {
		p.Kill(t)
		n = d.change(t)
		for _, listener := range d.listeners {
			load.Await(t, listener, n, d.proxies[1-i])
		}
		begin = time.Now()
		d.begins(p)
		p.Launch(t)
		p.Ready(t)
		back(p.Node+" is killed and started", n, begin)
		p.CheckWorkers(t)
	}

	d.upstream.kill(t)
	time.Sleep(300 * time.Millisecond)
	begin = time.Now()
	back("the upstream is away, and a row changes", d.change(t), begin)
	d.upstream.back(t)

	d.policyd.signal(t, syscall.SIGSTOP)
	n = d.change(t)
	goesOn(n-1, long)
	begin = time.Now()
	d.policyd.signal(t, syscall.SIGCONT)
	back("cors-policyd is stopped and goes on", n, begin)

	d.http.cut(true)
	d.xds.cut(true)
	n = d.change(t)
	goesOn(n-1, long)
	begin = time.Now()
	d.http.cut(false)
	d.xds.cut(false)
	back("cors-policyd is cut off from the Envoys, and reached again", n, begin)

	database.cut(true)
	n = d.change(t)
	goesOn(n-1, long)
	begin = time.Now()
	database.cut(false)
	back("cors-policyd is cut off from the database, and reaches it again", n, begin)

	time.Sleep(long) // idle
	begin = time.Now()
	back("nothing is broken", d.change(t), begin)
	for _, p := range d.proxies {
		if n := p.Stats(t)["cluster.xds.upstream_cx_close_notify"]; n > 0 {
			t.Errorf("%s: cors-policyd has sent it away %d times", p.Node, n)
		}
	}
	load.Check(t)
	took := load.Took()
	t.Logf("answers meanwhile: p50 %s, p99 %s, longest %s", took.Quantile(50), took.Quantile(99), took.Quantile(100))
}

package filter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
)

// FuzzLookups: whatever is looked up, answered, replaced and forgotten, a look-up comes to what a small
// model says: what is remembered, for how long, what is asked for, and what there is no room for.
func FuzzLookups(f *testing.F) {
	choices.Seed(f, 2000, 400)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		m := &lookups{T: t, c: choices.Of(bytes), host: newFuzzedHost(t), caches: map[string]*knownAnswers{}}
		m.vm = &VM{Host: m.host}
		for m.c.More() && !t.Failed() {
			m.step()
			m.inspect()
		}
	})
}

// lookups is the model, and what it is of.
type lookups struct {
	*testing.T
	c       *choices.Choices
	host    *fuzzedHost
	vm      *VM
	plugins []*askingPlugin
	caches  map[string]*knownAnswers
}

type askingPlugin struct {
	*Plugin
	ttl   int64
	stale int64
	cache *knownAnswers
	asks  []*asked
}

// knownAnswers are what is remembered by plugins that ask for the same, the most recently used last.
type knownAnswers struct {
	name  string
	users int
	most  int
	list  []*knownAnswer
}

type knownAnswer struct {
	key            string
	allowed        bool
	expires, retry int64
}

// asked is a question that is under way. It is answered into the cache that its plugin had then.
type asked struct {
	key   string
	cache *knownAnswers
	ttl   int64
	fetch *fuzzedFetch
}

// lookupKinds are fields of origin_lookup.
var lookupKinds = []struct {
	more       string
	ttl, stale int64 // ms
	most       int
	cache      string // those that have the same remember together
}{
	{`"cluster": "a"`, 60_000, 3_600_000, 10_000, "a"},
	{`"cluster": "a", "ttl": 5, "stale": 10`, 5_000, 10_000, 10_000, "a"},
	{`"cluster": "a", "stale": 0, "max_entries": 2`, 60_000, 0, 2, "a 2"},
	{`"cluster": "a", "max_entries": 3`, 60_000, 3_600_000, 3, "a 3"},
	{`"cluster": "b"`, 60_000, 3_600_000, 10_000, "b"},
	{`"cluster": "a", "path": "/other", "ttl": 0`, 0, 3_600_000, 10_000, "a /other"},
	{`"cluster": "a", "authority": "b"`, 60_000, 3_600_000, 10_000, "a b"},
}

func (m *lookups) step() {
	m.Helper()
	if len(m.plugins) == 0 || len(m.plugins) < 4 && m.c.Yes(24) {
		p := &askingPlugin{Plugin: m.vm.NewPluginContext(uint32(len(m.plugins) + 1)).(*Plugin)}
		m.plugins = append(m.plugins, p)
		m.configure(p)
	}
	p := choices.One(m.c, m.plugins...)
	switch m.c.N(16) {
	case 0:
		if m.c.Yes(3) {
			m.configure(p)
		}
	case 1:
		if m.c.Yes(3) {
			m.remove(p)
		}
	case 2:
		m.host.unreachable = m.c.Yes(3)
	case 3, 4:
		m.host.now += choices.One[int64](m.c, 1, 999, 1000, 5000, 10_000, 60_000, 3_600_000)
	case 5, 6, 7, 8:
		m.answer(p)
	case 9:
		if m.c.Yes(8) { // more than may be asked for at once
			for i := range 60 {
				m.lookUp(p, "flood.example", fmt.Sprintf("https://o%d.example", i))
			}
		}
	default:
		m.lookUp(p, choices.One(m.c, "a.example", "A.example", "b.example", strings.Repeat("a", maxAuthority+1)),
			choices.One(m.c, "https://a.example", "https://b.example", "https://c.example"))
	}
}

// configure gives a plugin other policies.
func (m *lookups) configure(p *askingPlugin) {
	m.Helper()
	kind := choices.One(m.c, lookupKinds...)
	document, problems := config.Parse(`{"origin_lookup": {` + kind.more + `}}`)
	if document == nil {
		m.Fatal(problems)
	}
	p.use(document, nil)
	before := p.cache
	cache := m.caches[kind.cache]
	if cache == nil {
		cache = &knownAnswers{name: kind.cache, most: kind.most}
		m.caches[kind.cache] = cache
	}
	cache.users++
	p.cache, p.ttl, p.stale = cache, kind.ttl, kind.stale
	m.forget(before)
}

func (m *lookups) forget(cache *knownAnswers) {
	if cache == nil {
		return
	}
	if cache.users--; cache.users == 0 {
		delete(m.caches, cache.name)
	}
}

// remove removes a plugin. What it has asked for isn't answered any more.
func (m *lookups) remove(p *askingPlugin) {
	p.Gone()
	m.forget(p.cache)
	m.plugins = slices.DeleteFunc(m.plugins, func(other *askingPlugin) bool { return other == p })
	for _, a := range p.asks {
		m.host.fetches = slices.DeleteFunc(m.host.fetches, func(f *fuzzedFetch) bool { return f == a.fetch })
	}
}

func (m *lookups) underWay() (n int) {
	for _, p := range m.plugins {
		n += len(p.asks)
	}
	return n
}

// lookUp looks an origin up, and compares what comes of it.
func (m *lookups) lookUp(p *askingPlugin, host, origin string) {
	m.Helper()
	want, sends := m.expect(p, host, origin)
	before := len(m.host.fetches)
	found := p.lookUp(p.lookups[0], host, origin)
	if found.result != want {
		m.Fatalf("%s at %s is %d, want %d", origin, host, found.result, want)
	}
	sent := m.host.fetches[before:]
	if len(sent) != len(sends) {
		m.Fatalf("%s at %s has %d asked for, want %d", origin, host, len(sent), len(sends))
	}
	for i, a := range sends {
		a.fetch = sent[i]
		path, _ := header(a.fetch.headers, ":path")
		if !strings.Contains(path, "policy=default&host="+strings.ToLower(host)+"&origin=https%3A%2F%2F"+origin[8:]) {
			m.Errorf("%s at %s is asked for by %s", origin, host, path)
		}
		p.asks = append(p.asks, a)
	}
}

// expect is what a look-up comes to, and what is asked for then.
func (m *lookups) expect(p *askingPlugin, host, origin string) (cors.LookupResult, []*asked) {
	if len(host) > maxAuthority {
		return cors.LookupDenies, nil
	}
	key := strings.ToLower(host) + " " + origin
	isAsked := slices.ContainsFunc(p.asks, func(a *asked) bool { return a.key == key && a.cache == p.cache })
	mayAsk := m.underWay() < maxAsked
	ask := &asked{key: key, cache: p.cache, ttl: p.ttl}
	known := p.cache.find(key)
	p.cache.use(known)
	if known != nil && m.host.now < known.expires+p.stale {
		result := cors.LookupDenies
		if known.allowed {
			result = cors.LookupAllows
		}
		if m.host.now < known.expires || isAsked || !mayAsk || m.host.now < known.retry {
			return result, nil
		}
		if m.host.unreachable {
			known.retry = m.host.now + 1000
			return result, nil
		}
		return result, []*asked{ask}
	}
	switch {
	case isAsked:
		return cors.NotLookedUp, nil
	case !mayAsk:
		return cors.LookupOverloaded, nil
	case m.host.unreachable:
		if known != nil {
			known.retry = m.host.now + 1000
		}
		return cors.LookupFailed, nil
	}
	return cors.NotLookedUp, []*asked{ask}
}

func (k *knownAnswers) find(key string) *knownAnswer {
	for _, answer := range k.list {
		if answer.key == key {
			return answer
		}
	}
	return nil
}

func (k *knownAnswers) drop(key string) {
	k.list = slices.DeleteFunc(k.list, func(a *knownAnswer) bool { return a.key == key })
}

// use makes an answer the most recently used.
func (k *knownAnswers) use(a *knownAnswer) {
	if a != nil {
		k.drop(a.key)
		k.list = append(k.list, a)
		k.list = k.list[max(0, len(k.list)-k.most):]
	}
}

// answer answers a question of a plugin's.
func (m *lookups) answer(p *askingPlugin) {
	m.Helper()
	if len(p.asks) == 0 {
		return
	}
	a := choices.One(m.c, p.asks[:min(len(p.asks), 256)]...)
	p.asks = slices.DeleteFunc(p.asks, func(other *asked) bool { return other == a })
	status := choices.One(m.c, 200, 204, 404, 403, 500, 0, 302)
	control := choices.One(m.c, "", "", "", "max-age=0", "max-age=30", "no-store")
	known := a.cache.find(a.key)
	switch allowed := status == 200 || status == 204; {
	case !allowed && status != 404 && status != 403:
		if known != nil {
			known.retry = m.host.now + 1000
		}
	case control == "no-store":
		a.cache.drop(a.key)
	default:
		age := a.ttl
		if control != "" {
			age = map[string]int64{"max-age=0": 0, "max-age=30": 30_000}[control]
		}
		a.cache.use(&knownAnswer{a.key, allowed, m.host.now + age, 0})
	}
	m.host.give(a.fetch, status, map[string]string{"cache-control": control}, "")
}

// inspect compares what is remembered, in its order.
func (m *lookups) inspect() {
	m.Helper()
	if n := m.underWay(); m.vm.asked != n || len(m.host.fetches) != n || len(m.vm.caches) != len(m.caches) {
		m.Fatalf("%d are asked for, %d fetches are under way, of %d caches; want %d, of %d", m.vm.asked, len(m.host.fetches),
			len(m.vm.caches), n, len(m.caches))
	}
	for _, p := range m.plugins {
		var got, want []string
		for e := p.lookups[0].cache.last; e != nil; e = e.previous {
			_, key, _ := strings.Cut(e.key, "\x00")
			got = append(got, fmt.Sprint(strings.Replace(key, "\x00", " ", 1), e.allowed, e.expires))
		}
		for _, e := range p.cache.list {
			want = append(want, fmt.Sprint(e.key, e.allowed, e.expires))
		}
		if !slices.Equal(got, want) {
			m.Fatalf("remembered are %q, want %q", got, want)
		}
	}
}

// FuzzCaches: caches that are filled in any order have no more than their room together, forget what was
// used the longest time ago, and know how much they have.
func FuzzCaches(f *testing.F) {
	choices.Seed(f, 50, 100)
	large := strings.Repeat("k", maxCached)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c, all := choices.Of(bytes), caches{}
		used := map[*cache][]string{} // keys, the most recently used last
		for c.More() {
			one := all.acquire(&config.OriginLookup{Path: choices.One(c, "/a", "/b", "/c"), MaxEntries: 1 + c.N(20)})
			all.trim()
			key := large[:1+c.N(8)*maxCached/8+c.N(4)]
			use := func(keep bool) {
				list := slices.DeleteFunc(used[one], func(k string) bool { return k == key })
				if used[one] = list; keep {
					used[one] = append(list, key)
				}
			}
			switch c.N(4) {
			case 0:
				known := slices.Contains(used[one], key)
				if e := one.get([]byte(key)); (e != nil) != known {
					t.Fatalf("%d bytes are known: %t", len(key), e != nil)
				}
				use(known)
			case 1:
				one.drop(key)
				use(false)
			default:
				one.put(key, true, 0)
				use(true)
			}
			for _, cache := range all {
				used[cache] = checkRoom(t, cache, used[cache], len(all))
			}
		}
	})
}

// checkRoom checks that a cache has the newest of the keys for which there is room, of which it has its share.
func checkRoom(t *testing.T, c *cache, keys []string, shares int) []string {
	t.Helper()
	size := func() (n int) {
		for _, key := range keys {
			n += len(key) + entryCost
		}
		return n
	}
	for len(keys) > c.key.max || len(keys) > 1 && size() > maxCached/shares {
		keys = keys[1:]
	}
	if c.size != size() || len(c.entries) != len(keys) {
		t.Fatalf("%d entries of %d bytes, want %d of %d", len(c.entries), c.size, len(keys), size())
	}
	for _, key := range keys {
		if c.entries[key] == nil {
			t.Fatalf("a key of %d bytes is forgotten", len(key))
		}
	}
	return keys
}

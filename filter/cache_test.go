package filter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// TestCache: a cache knows what was put into it last or asked for last, in whatever order that
// comes, and its size.
func TestCache(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := caches{}.acquire(&config.OriginLookup{MaxEntries: 5})
	var recent []string // keys, the most recently used last
	allowed := map[string]bool{}
	for range 10_000 {
		key := strings.Repeat("k", random.IntN(9))
		used := func(key string) bool {
			i := slices.Index(recent, key)
			if i >= 0 {
				recent = slices.Delete(recent, i, i+1)
			}
			return i >= 0
		}
		switch random.IntN(5) {
		case 0, 1:
			used(key)
			recent, allowed[key] = append(recent, key), random.IntN(2) == 0
			recent = recent[max(0, len(recent)-5):]
			c.put(key, allowed[key], 0)
		case 2, 3:
			e, known := c.get([]byte(key)), used(key)
			if known {
				recent = append(recent, key)
			}
			if (e != nil) != known || known && (e.key != key || e.allowed != allowed[key]) {
				t.Fatalf("%q is %+v; known are %q, %v", key, e, recent, allowed)
			}
		default:
			used(key)
			c.drop(key)
		}
		size := 0
		var previous *entry
		var order []string
		for e := c.first; e != nil; previous, e = e, e.next {
			if order = append(order, e.key); e.previous != previous || c.entries[e.key] != e {
				t.Fatalf("%q is not linked", e.key)
			}
			size += e.size()
		}
		slices.Reverse(order)
		if !slices.Equal(order, recent) || c.last != previous || size != c.size || len(c.entries) != len(recent) {
			t.Fatalf("%q, %d bytes, want %q, %d", order, c.size, recent, size)
		}
	}
}

// TestCachesTogether: caches share the room for all, also where there was one that had all of it
// before the others came.
func TestCachesTogether(t *testing.T) {
	vm := &VM{}
	for i := range 6 {
		p := vm.Unconfigured()
		p.use(askingFor(t, fmt.Sprintf(`"path": "/%d", "max_entries": 100000`, i)), nil)
		c := p.lookups[0].cache
		for j := range 20_000 {
			c.put(fmt.Sprintf("%05d%s", j, strings.Repeat("x", 2000)), true, 0)
		}
		size := 0
		for _, c := range vm.caches {
			size += c.size
		}
		if size > maxCached || size < maxCached*9/10 {
			t.Errorf("%d caches have %d bytes, want nearly %d", i+1, size, maxCached)
		}
	}
}

// TestCachesGone: a cache is there for as long as some policy asks for what is in it.
func TestCachesGone(t *testing.T) {
	vm := &VM{}
	first, second := vm.Unconfigured(), vm.Unconfigured()
	for i, step := range []struct {
		do   func()
		want int
	}{
		{func() { first.use(askingFor(t, `"path": "/a"`), nil) }, 1},
		{func() { second.use(askingFor(t, `"path": "/a"`), nil) }, 1},
		{func() { second.use(askingFor(t, `"path": "/b"`), nil) }, 2},
		{func() { second.use(askingFor(t, `"path": "/a"`), nil) }, 1},
		{func() { second.use(askingFor(t, `"path": "/a", "authority": "b.example"`), nil) }, 2},
		{func() { second.use(askingFor(t, `"path": "/a", "max_entries": 5`), nil) }, 2},
		{func() { second.use(askingFor(t, `"path": "/a"`), nil) }, 1},
		{first.Gone, 1},
		{func() { second.use(askingFor(t, `"path": "/a"`), nil) }, 1},
		{second.Gone, 0},
	} {
		if step.do(); len(vm.caches) != step.want {
			t.Errorf("step %d: %d caches, want %d", i, len(vm.caches), step.want)
		}
	}
}

// askingFor is a document whose policy looks origins up, with more fields than the cluster.
func askingFor(t *testing.T, more string) *config.Document {
	t.Helper()
	document, problems := config.Parse(`{"origin_lookup": {"cluster": "policies", ` + more + `}}`)
	if document == nil {
		t.Fatal(problems)
	}
	return document
}

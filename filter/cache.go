package filter

import (
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// monotonic is a time in milliseconds that is never set back.
var monotonic = func() int64 { return time.Since(started).Milliseconds() }

var started = time.Now()

// maxCached bounds about how many bytes all answers take that a VM remembers. A host and an
// origin may be a hundred times as long as they mostly are.
const maxCached = 32 << 20

// caches are what a VM remembers of what it has looked up. They outlive the plugins, so that
// an update asks for nothing anew.
type caches map[cacheKey]*cache

// A cacheKey is what makes the answers of two look-ups the same, and what bounds them.
type cacheKey struct {
	cluster, authority, path string
	max                      int
}

// acquire returns the cache for a look-up, to be given up by forget.
func (c caches) acquire(of *config.OriginLookup) *cache {
	key := cacheKey{of.Cluster, of.Authority, of.Path, of.MaxEntries}
	if c[key] == nil {
		c[key] = &cache{caches: c, key: key, entries: map[string]*entry{}}
	}
	c[key].users++
	return c[key]
}

// trim has caches give room to others that have come.
func (c caches) trim() {
	for _, one := range c {
		one.trim()
	}
}

// A cache has answers, the most recently used first. What links them is not inlined, nor are the
// methods of an [ask] that do: each time it would be some hundred bytes of code, 5 kB together.
type cache struct {
	caches      caches
	key         cacheKey
	users       int
	entries     map[string]*entry
	first, last *entry
	size        int
	logged      int64 // when trouble may be logged again
	trouble     bool
}

// forget gives up the caches of look-ups, each of which is gone with its last user.
func forget(lookups []*lookup) {
	for _, l := range lookups {
		if c := l.cache; c.users == 1 {
			delete(c.caches, c.key)
		} else {
			c.users--
		}
	}
}

// An entry is a remembered answer.
type entry struct {
	_              incomparable
	key            string
	previous, next *entry
	expires        int64
	retry          int64 // when it may be asked for again after that failed
	allowed        bool
}

// entryCost is about how many bytes an entry takes beside its key.
const entryCost = 150

func (e *entry) size() int { return entryCost + len(e.key) }

// result is what the entry says of its origin.
func (e *entry) result() cors.LookupResult {
	if e.allowed {
		return cors.LookupAllows
	}
	return cors.LookupDenies
}

// get returns what is remembered of a key, which it makes the most recently used, or nil.
func (c *cache) get(key []byte) *entry {
	e := c.entries[string(key)]
	if e != nil && e != c.first {
		c.unlink(e)
		c.link(e)
	}
	return e
}

// put remembers an answer until a time.
func (c *cache) put(key string, allowed bool, expires int64) {
	e := c.entries[key]
	if e == nil {
		e = &entry{key: key}
		c.entries[key] = e
		c.size += e.size()
	} else {
		c.unlink(e)
	}
	e.allowed, e.expires, e.retry = allowed, expires, 0
	c.link(e)
	c.trim()
}

// trim forgets what there is no room for, of which each cache has its share. It isn't inlined,
// as those below aren't: the copies would add 3 kB to the module.
//
//go:noinline
func (c *cache) trim() {
	for len(c.entries) > c.key.max || c.size > maxCached/max(1, len(c.caches)) && len(c.entries) > 1 {
		c.remove(c.last)
	}
}

// drop forgets what is remembered of a key.
func (c *cache) drop(key string) {
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
}

//go:noinline
func (c *cache) remove(e *entry) {
	c.unlink(e)
	delete(c.entries, e.key)
	c.size -= e.size()
}

//go:noinline
func (c *cache) link(e *entry) {
	e.previous, e.next = nil, c.first
	if c.first != nil {
		c.first.previous = e
	} else {
		c.last = e
	}
	c.first = e
}

//go:noinline
func (c *cache) unlink(e *entry) {
	if e.previous != nil {
		e.previous.next = e.next
	} else {
		c.first = e.next
	}
	if e.next != nil {
		e.next.previous = e.previous
	} else {
		c.last = e.previous
	}
}

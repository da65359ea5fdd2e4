package browser

import (
	"slices"
	"strconv"
	"strings"
)

// A PreflightCache is the CORS-preflight cache of a browser, as Chromium has it: an answer for
// each origin and URL, of which a later one takes the place. Time stands still in it: what
// may be remembered at all is still remembered. The zero value is empty.
//
// The standard has an entry for each method and header name instead, so that it remembers
// all that several answers allow. Chromium drops an answer that doesn't cover a request, and
// asks again.
//
// See https://fetch.spec.whatwg.org/#cors-preflight-cache, and
// services/network/cors/preflight_cache.cc and preflight_result.cc in Chromium's source. What
// Chromium does is tested in e2e/browser.
type PreflightCache struct {
	entries map[preflightKey]preflightEntry
	order   []preflightKey // of the entries
}

const (
	// ChromiumMaxAge is for how many seconds Chromium remembers an answer at the most.
	ChromiumMaxAge = 7200
	// maxCached is how many answers Chromium remembers. With one more it forgets some of them,
	// as many as forgotten. In later versions it is 32 for the pages of a site.
	maxCached = 1024
	forgotten = 10
	// maxCachedURL is how long a URL may be.
	maxCachedURL = 1023
)

// A preflightKey is what an answer is remembered for. Chromium also keeps the answers of
// each site that is visited apart.
type preflightKey struct{ origin, url string }

// A preflightEntry is what an answer allows.
type preflightEntry struct {
	credentials      bool
	methods, headers []string
	anyMethod        bool
	anyHeader        bool
}

// Covers reports whether the browser remembers an answer that covers a request, so that it
// makes no preflight. One that doesn't cover it is forgotten.
func (c *PreflightCache) Covers(r Request) bool {
	key := keyOf(r)
	e, ok := c.entries[key]
	if !ok || e.covers(r) {
		return ok
	}
	c.remove(key)
	return false
}

// Store remembers the answer to the preflight of a request, if it may be remembered. The
// answer has passed [PreflightCheck].
func (c *PreflightCache) Store(r Request, headers [][2]string) {
	key := keyOf(r)
	c.remove(key)
	if CachedFor(headers) == 0 || len(key.url) > maxCachedURL {
		return
	}
	if len(c.order) >= maxCached {
		for range forgotten { // Which ones is left to chance.
			c.remove(c.order[0])
		}
	}
	e := preflightEntry{credentials: r.CredentialsInclude}
	e.methods, _ = tokens(headers, "access-control-allow-methods")
	names, _ := tokens(headers, "access-control-allow-headers")
	for _, name := range names {
		e.headers = append(e.headers, asciiLower(name))
	}
	e.anyMethod = !r.CredentialsInclude && slices.Contains(e.methods, "*")
	e.anyHeader = !r.CredentialsInclude && slices.Contains(e.headers, "*")
	if c.entries == nil {
		c.entries = map[preflightKey]preflightEntry{}
	}
	c.entries[key] = e
	c.order = append(c.order, key)
}

// CachedFor is for how many seconds Chromium remembers the answer to a preflight. Where
// Access-Control-Max-Age is no number it does as the standard; below zero is zero to it, and
// what is beyond 64 bits is none.
func CachedFor(headers [][2]string) int {
	value, _ := get(headers, "access-control-max-age")
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || value[0] == '+' {
		return min(MaxAge(nil), ChromiumMaxAge)
	}
	return int(min(max(seconds, 0), ChromiumMaxAge))
}

func keyOf(r Request) preflightKey {
	url, _, _ := strings.Cut(r.URL, "#")
	return preflightKey{r.Origin, url}
}

func (c *PreflightCache) remove(key preflightKey) {
	delete(c.entries, key)
	c.order = slices.DeleteFunc(c.order, func(k preflightKey) bool { return k == key })
}

// covers reports whether an answer covers a request. Without credentials it covers none with
// them, and the other way round it does.
func (e preflightEntry) covers(r Request) bool {
	if r.CredentialsInclude && !e.credentials {
		return false
	}
	if method := NormalizeMethod(r.Method); !SafelistedMethod(method) && !e.anyMethod &&
		!slices.Contains(e.methods, method) {
		return false
	}
	for _, name := range r.unsafeNames() {
		// "*" is no match for Authorization here, though it is to Chromium in the answer itself.
		if !slices.Contains(e.headers, name) && (!e.anyHeader || name == "authorization") {
			return false
		}
	}
	return true
}

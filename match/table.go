package match

import (
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
)

// A Table finds the value that applies to a request. It is immutable, and a look-up
// costs the same whatever the number of matches. Values are pointers as a rule, so that
// the zero value says that nothing applies.
type Table[T any] struct {
	values []T
	index  index
}

// Everything returns a table in which a value is for every request.
func Everything[T any](value T) *Table[T] {
	return &Table[T]{[]T{value}, index{every: hostTable{own: pathTable{every: 1}}}}
}

// Map returns the table with other values, each made of the one in its place.
func Map[T, U any](t *Table[T], value func(T) U) *Table[U] {
	values := make([]U, len(t.values))
	for i, v := range t.values {
		values[i] = value(v)
	}
	return &Table[U]{values, t.index}
}

// All are the values in the order in which they were added.
func (t *Table[T]) All() []T { return t.values }

// ByRoute reports whether a look-up depends on the route's name.
func (t *Table[T]) ByRoute() bool { return len(t.index.routes) > 0 }

// ByHost reports whether a look-up depends on the host.
func (t *Table[T]) ByHost() bool { return t.index.byHost }

// ByPath reports whether a look-up depends on the path.
func (t *Table[T]) ByPath() bool { return t.index.byPath }

// Complete reports whether a value applies to each request.
func (t *Table[T]) Complete() bool { return t.index.every.own.every != 0 }

// Everywhere is the value that applies to every request; the zero value if that depends
// on the request.
func (t *Table[T]) Everywhere() (value T) {
	if t.Complete() && len(t.values) == 1 {
		return t.values[0]
	}
	return value
}

// Lookup returns the value that applies to a request, the zero value if none does: the
// value for its route; or else for its host, for the longest wildcard over its host, for
// every host; and of each of these for its path, for the longest prefix, for every path.
func (t *Table[T]) Lookup(k Key) (value T) {
	if n := t.index.lookup(k, true); n != 0 {
		return t.values[n-1]
	}
	return value
}

// LookupHost is Lookup for a request whose path isn't known. It returns false if that
// matters.
func (t *Table[T]) LookupHost(k Key) (value T, ok bool) {
	switch n := t.index.lookup(k, false); n {
	case pathMatters:
		return value, false
	case 0:
		return value, true
	default:
		return t.values[n-1], true
	}
}

// An index finds the number of the value that applies to a request.
type index struct {
	routes map[string]number
	hosts  map[string]*hostTable // exact, in lower case, with or without a port
	// suffixes are the hosts after "*."; depths has bit n set where one has n labels.
	suffixes map[string]*hostTable
	depths   uint64
	ports    bool      // a host has a port
	every    hostTable // for every host

	byHost bool
	byPath bool
}

// A number is a value's index in the table plus one. Zero is no value.
type number int32

// pathMatters is no value's number: which it is depends on a path that isn't known.
const pathMatters number = -1

func (x *index) lookup(k Key, known bool) number {
	if n := x.routes[k.Route]; n != 0 {
		return n
	}
	p := target{known: known}
	p.path, _, _ = strings.Cut(k.Path, "?")
	if x.byHost {
		if n := x.lookupHost(k.Host, p); n != 0 {
			return n
		}
	}
	return x.every.lookup(p)
}

// lookupHost returns the number for the most specific host that has one for the path.
func (x *index) lookupHost(host string, p target) number {
	var a authority
	if !a.set(host) {
		return 0
	}
	if n := x.lookupIn(x.hosts, &a, 0, p); n != 0 {
		return n
	}
	// From the left, so that the longest wildcard comes first.
	from := 0
	for labels := a.dots; labels > 0; labels-- {
		for a.bytes[from] != '.' {
			from++
		}
		from++
		if x.depths>>labels&1 == 0 {
			continue
		}
		if n := x.lookupIn(x.suffixes, &a, from, p); n != 0 {
			return n
		}
	}
	return 0
}

// lookupIn looks an authority up, from an offset of its host on: as it is if it has a
// port, and without the port.
func (x *index) lookupIn(hosts map[string]*hostTable, a *authority, from int, p target) number {
	if x.ports && a.end < a.length {
		if n := hosts[string(a.bytes[from:a.length])].lookup(p); n != 0 {
			return n
		}
	}
	return hosts[string(a.bytes[from:a.end])].lookup(p)
}

// An authority is one in the form in which hosts are compared: in lower case, and
// without a dot at the host's end, which names the same host (RFC 1034, section 3.1).
type authority struct {
	bytes  [origin.MaxHost + len(":65535")]byte
	end    int // of the host
	dots   int // in the host
	length int // of host and port
}

// set takes a request's authority, and reports whether it can be that of a host.
func (a *authority) set(s string) bool {
	if len(s) > len(a.bytes) {
		return false
	}
	end := len(s) // of the host without its port
	for i := end - 1; i >= 0 && ('0' <= s[i] && s[i] <= '9' || s[i] == ':'); i-- {
		if s[i] == ':' {
			end = i
			break
		}
	}
	host, port := s[:end], s[end:]
	a.end = copy(a.bytes[:], strings.TrimSuffix(host, "."))
	for i, c := range a.bytes[:a.end] {
		switch {
		case 'A' <= c && c <= 'Z':
			a.bytes[i] = c + ('a' - 'A')
		case c == '.':
			a.dots++
		}
	}
	a.length = a.end + copy(a.bytes[a.end:], port)
	return true
}

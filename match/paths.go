package match

import "strings"

// A hostTable finds the number for a path of a host. The zero value has none, and so
// has nil.
type hostTable struct {
	own pathTable
	// shared are the tables that the host has in common with others, because a match
	// lists all of them: a table for each host would take the product of the two lists.
	shared []*pathTable
}

// A target is the path of a request, if it is known.
type target struct {
	path  string
	known bool
}

func (t *hostTable) lookup(p target) number {
	switch {
	case t == nil:
		return 0
	case p.known:
	case t.shared == nil && t.own.len() == 0:
		return t.own.every
	default:
		return pathMatters
	}
	best, length := t.own.lookup(p.path)
	for _, shared := range t.shared {
		if n, l := shared.lookup(p.path); l > length {
			best, length = n, l
		}
	}
	return best
}

// A pathTable finds the number for a path.
type pathTable struct {
	every number // for every path
	// few has the paths while there are no more than fewPaths, which are found faster one
	// by one; exact and prefixes have them otherwise.
	few      []claimedPath
	exact    map[string]number
	prefixes map[string]number // without a slash at the end
	// depths has bit n set where a prefix has n segments, so that only as many beginnings
	// of a path are looked up as there are lengths of prefixes.
	depths uint64
}

// A claimedPath is a path of a pathTable in its canonical form, and its number.
type claimedPath struct {
	path   Path
	number number
}

const fewPaths = 8

// maxSegments bounds the segments of a prefix, and so the look-ups for a path.
const maxSegments = 63

// exactly is the length of a match that no prefix beats.
const exactly = 1 << 30

// lookup returns the number for a path: that of the path itself, of the longest prefix,
// or of every path. The length tells how specific it is; it is -1 if there is none.
func (t *pathTable) lookup(path string) (best number, length int) {
	length = -1
	if t.every != 0 {
		best, length = t.every, 0
	}
	for i := range t.few {
		p := &t.few[i]
		if !p.path.Prefix {
			if p.path.Path == path {
				return p.number, exactly
			}
		} else if len(p.path.Path) >= length && p.path.reaches(path) {
			best, length = p.number, len(p.path.Path)+1
		}
	}
	if n := t.exact[path]; n != 0 {
		return n, exactly
	}
	if t.depths != 0 && strings.HasPrefix(path, "/") {
		if n, l := t.lookupPrefix(path); n != 0 {
			return n, l
		}
	}
	return best, length
}

// reaches reports whether a canonical prefix covers a path: one that goes on does so at
// a slash. It does in one go what covers does in plain steps.
func (p *Path) reaches(path string) bool {
	prefix := p.Path
	return len(path) >= len(prefix) && path[:len(prefix)] == prefix &&
		(len(path) > len(prefix) && path[len(prefix)] == '/' || len(path) == len(prefix) && path != "")
}

// lookupPrefix returns the number of the longest of the prefixes that cover a path, and
// the prefix's length plus one.
func (t *pathTable) lookupPrefix(path string) (number, int) {
	var ends [maxSegments + 1]int // of the first segments, none of them first
	segments := 0
	for i := 1; segments < maxSegments; segments++ {
		end := strings.IndexByte(path[i:], '/')
		if end < 0 {
			segments++
			ends[segments] = len(path)
			break
		}
		ends[segments+1] = i + end
		i += end + 1
	}
	for n := segments; n >= 0; n-- {
		if t.depths>>n&1 == 0 {
			continue
		}
		if number := t.prefixes[path[:ends[n]]]; number != 0 {
			return number, ends[n] + 1
		}
	}
	return 0, 0
}

// get returns the number of exactly this canonical path.
func (t *pathTable) get(path Path) number {
	for i := range t.few {
		if t.few[i].path == path {
			return t.few[i].number
		}
	}
	switch {
	case path == Path{}:
		return t.every
	case path.Prefix:
		return t.prefixes[path.Path]
	}
	return t.exact[path.Path]
}

// add adds a path that isn't there.
func (t *pathTable) add(p claimedPath) {
	switch {
	case p.path == Path{}:
		t.every = p.number
	case t.len() < fewPaths:
		t.few = append(t.few, p)
	default:
		for _, p := range append(t.few, p) {
			t.index(p)
		}
		t.few = nil
	}
}

func (t *pathTable) index(p claimedPath) {
	m := &t.exact
	if p.path.Prefix {
		m = &t.prefixes
		t.depths |= 1 << strings.Count(p.path.Path, "/")
	}
	if *m == nil {
		*m = make(map[string]number, 2*fewPaths)
	}
	(*m)[p.path.Path] = p.number
}

// len is the number of paths, without every path.
func (t *pathTable) len() int { return len(t.few) + len(t.exact) + len(t.prefixes) }

// all yields the paths, without every path.
func (t *pathTable) all(yield func(Path, number) bool) {
	for _, p := range t.few {
		if !yield(p.path, p.number) {
			return
		}
	}
	for text, number := range t.exact {
		if !yield(Path{text, false}, number) {
			return
		}
	}
	for text, number := range t.prefixes {
		if !yield(Path{text, true}, number) {
			return
		}
	}
}

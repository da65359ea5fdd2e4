package cors

import "strings"

// A hostTable finds the policy for a path of a host. The zero value has none, and so
// has nil.
type hostTable struct {
	own pathTable
	// shared are the tables that the host has in common with others, because a rule
	// lists all of them: a table for each host would take the product of the two lists.
	shared []*pathTable
}

func (t *hostTable) lookup(path string) number {
	if t == nil {
		return 0
	}
	best, length := t.own.lookup(path)
	for _, shared := range t.shared {
		if n, l := shared.lookup(path); l > length {
			best, length = n, l
		}
	}
	return best
}

// A pathTable finds the policy for a path.
type pathTable struct {
	any number
	// few has the paths while there are no more than fewPaths, which are found faster one
	// by one; exact and prefixes have them otherwise.
	few      []path
	exact    map[string]number
	prefixes map[string]number // without a slash at the end
	// depths has bit n set where a prefix has n segments, so that only as many beginnings
	// of a path are looked up as there are lengths of prefixes.
	depths uint64
}

// A path is a path of a pathTable, and its policy.
type path struct {
	pathKey
	policy number
}

// A pathKey is a path, or a prefix without a slash at the end.
type pathKey struct {
	text   string
	prefix bool
}

const fewPaths = 8

// maxSegments bounds the segments of a prefix, and so the look-ups for a path.
const maxSegments = 63

// exactly is the length of a match that no prefix beats.
const exactly = 1 << 30

// lookup returns the policy for a path: that of the path itself, of the longest prefix,
// or of every path. The length tells how specific it is; it is -1 if there is none.
func (t *pathTable) lookup(path string) (best number, length int) {
	length = -1
	if t.any != 0 {
		best, length = t.any, 0
	}
	for i := range t.few {
		p := &t.few[i]
		if !p.prefix {
			if p.text == path {
				return p.policy, exactly
			}
		} else if len(p.text) >= length && p.covers(path) {
			best, length = p.policy, len(p.text)+1
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

// covers reports whether a prefix covers a path: one that goes on does so at a slash.
func (p *path) covers(path string) bool {
	return len(path) >= len(p.text) && path[:len(p.text)] == p.text &&
		(len(path) > len(p.text) && path[len(p.text)] == '/' || len(path) == len(p.text) && path != "")
}

// lookupPrefix returns the policy of the longest of the prefixes that cover a path, and
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
		if policy := t.prefixes[path[:ends[n]]]; policy != 0 {
			return policy, ends[n] + 1
		}
	}
	return 0, -1
}

// get returns the policy of exactly this entry.
func (t *pathTable) get(key pathKey) number {
	for i := range t.few {
		if t.few[i].pathKey == key {
			return t.few[i].policy
		}
	}
	if key.prefix {
		return t.prefixes[key.text]
	}
	return t.exact[key.text]
}

// add adds an entry that isn't there.
func (t *pathTable) add(p path) {
	if t.exact == nil && t.prefixes == nil {
		if len(t.few) < fewPaths {
			t.few = append(t.few, p)
			return
		}
		for _, p := range t.few {
			t.index(p)
		}
		t.few = nil
	}
	t.index(p)
}

func (t *pathTable) index(p path) {
	m := &t.exact
	if p.prefix {
		m = &t.prefixes
		t.depths |= 1 << strings.Count(p.text, "/")
	}
	if *m == nil {
		*m = make(map[string]number, 2*fewPaths)
	}
	(*m)[p.text] = p.policy
}

// len is the number of entries.
func (t *pathTable) len() int { return len(t.few) + len(t.exact) + len(t.prefixes) }

// all yields the entries.
func (t *pathTable) all(yield func(path) bool) {
	for _, p := range t.few {
		if !yield(p) {
			return
		}
	}
	for text, policy := range t.exact {
		if !yield(path{pathKey{text, false}, policy}) {
			return
		}
	}
	for text, policy := range t.prefixes {
		if !yield(path{pathKey{text, true}, policy}) {
			return
		}
	}
}

package filter

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// A record is what the proxy's VMs know together of a policy source, in the proxy's shared
// data. One of them fetches for all: who asks writes that it does, again and again, and nobody
// else asks unless it falls silent. The document has a key of its own, so that looking whether
// there is a new one costs nothing.
type record struct {
	owner    uint64 // who fetches, or did last; 0 if it has gone
	began    int64  // when the fetch was sent, or its answer came
	until    int64  // until when nobody else fetches, 0 if no fetch is under way
	due      int64  // when the owner is to send the next
	failures int64  // in a row
	number   uint64 // of the document, a higher one than before, odd while it is being written
	etag     string // of the document
	queues   string // of the VMs that want to know of a new document, four bytes each
}

// never is a number that no document has.
const never = 1<<64 - 1

// writing reports whether the document is being written.
func (r *record) writing() bool { return r.number%2 != 0 }

const (
	recordNumbers = 6
	recordHead    = recordNumbers*8 + 4
	queueSize     = 4
	// maxQueues bounds the queues in a record, for a VM that dies leaves its own there.
	maxQueues = 512
)

// encode returns the record as it is in shared data.
func (r *record) encode() string {
	var head [recordHead]byte
	for i, n := range [recordNumbers]uint64{r.owner, uint64(r.began), uint64(r.until), uint64(r.due),
		uint64(r.failures), r.number} {
		binary.LittleEndian.PutUint64(head[8*i:], n)
	}
	binary.LittleEndian.PutUint32(head[recordHead-4:], uint32(len(r.etag)))
	return string(head[:]) + r.etag + r.queues
}

// decodeRecord reads a record, of which texts are parts. What none wrote is an empty one.
func decodeRecord(text string) (r record) {
	if len(text) < recordHead {
		return r
	}
	var n [recordNumbers]uint64
	for i := range n {
		n[i] = binary.LittleEndian.Uint64([]byte(text[8*i : 8*i+8]))
	}
	etag := int(binary.LittleEndian.Uint32([]byte(text[recordHead-4 : recordHead])))
	if etag > len(text)-recordHead {
		return r
	}
	r.owner, r.began, r.until, r.due = n[0], int64(n[1]), int64(n[2]), int64(n[3])
	r.failures, r.number = int64(n[4]), n[5]
	r.etag, r.queues = text[recordHead:recordHead+etag], text[recordHead+etag:]
	return r
}

// wakes reports whether a queue is one of the record's.
func (r *record) wakes(queue uint32) bool {
	for i := 0; i+queueSize <= len(r.queues); i += queueSize {
		if r.queue(i) == queue {
			return true
		}
	}
	return false
}

// queue is the queue at an index of queues.
func (r *record) queue(i int) uint32 {
	return binary.LittleEndian.Uint32([]byte(r.queues[i : i+queueSize]))
}

// setQueue adds a queue to those of the record, or takes it out.
func (r *record) setQueue(queue uint32, wanted bool) {
	own, list := string(binary.LittleEndian.AppendUint32(nil, queue)), ""
	if wanted {
		list = own
	}
	for i := 0; i+queueSize <= len(r.queues) && len(list) < maxQueues*queueSize; i += queueSize {
		if other := r.queues[i : i+queueSize]; other != own {
			list += other
		}
	}
	r.queues = list
}

// wake has the VMs of the record's queues look for a new document. The one that has
// fetched it may have other plugins with the same source.
func (r *record) wake(host Host) {
	for i := 0; i+queueSize <= len(r.queues); i += queueSize {
		host.Wake(r.queue(i))
	}
}

// A watch is what the sources of a VM have in common: the queue by which the proxy tells
// the VM that a source has a new document.
type watch struct {
	name    string // of the queue, "" until there is one
	queue   uint32
	sources []*source
}

// add takes a source in. A VM that has a queue hears of new documents through the newest one
// at once: the one that it replaces may go before the next tick. Others may be thrown away,
// and have none.
func (w *watch) add(s *source) {
	w.sources = append(w.sources, s)
	if w.name != "" {
		w.queue = s.plugin.host.Listen(w.name)
	}
}

// listen makes sure, at each tick, that the VM hears of new documents. The proxy tells the
// plugin that has asked last, if it is still there: that is the newest.
func (w *watch) listen(s *source) {
	if w.name == "" {
		number := rand.Uint64() //nolint:gosec // no secret
		w.name = string(binary.LittleEndian.AppendUint64([]byte("proxy-wasm-cors "), number))
	} else if s != w.sources[len(w.sources)-1] {
		return
	}
	w.queue = s.plugin.host.Listen(w.name)
}

// sync has all sources of the VM look for a new document, whichever plugin the callback
// is for.
func (w *watch) sync() {
	for _, s := range w.sources {
		s.plugin.host.Enter(s.plugin.id)
		s.sync()
	}
}

// older reports whether an id is of a source with the key of s, which the VM had before it.
func (w *watch) older(id uint64, s *source) bool {
	for _, other := range w.sources {
		if other == s || other.id == id {
			return other != s
		}
	}
	return false
}

// remove takes a source that goes out, and reports whether it was the VM's last one of its
// kind.
func (w *watch) remove(s *source) bool {
	last, left := true, w.sources[:0]
	for _, other := range w.sources {
		if other != s {
			left = append(left, other)
			last = last && other.key != s.key
		}
	}
	clear(w.sources[len(left):])
	w.sources = left
	return last
}

// now is the time in milliseconds.
var now = func() int64 { return time.Now().UnixMilli() }

// What is in shared data: the record of a source after recordKey and the hash that tells
// sources apart, its document after that and documentKey, and at sourcesKey the hashes of all
// that there are, the latest first.
const (
	recordKey   = "proxy-wasm-cors source 1 "
	documentKey = " document"
	sourcesKey  = "proxy-wasm-cors sources"
)

// maxSources is of how many sources the proxy keeps what it has of them, beside those in
// use. Shared data can't be deleted.
const maxSources = 32

// remember notes that the source is in use, and empties what there is of those that have been
// replaced long ago.
func (s *source) remember() {
	host, own := s.plugin.host, s.key[len(recordKey):]
	for range tries {
		list, version, _ := host.Shared(sourcesKey)
		kept, old := own, ""
		for i := 0; i+hashSize <= len(list); i += hashSize {
			switch other := list[i : i+hashSize]; {
			case other == own:
			case len(kept) >= maxSources*hashSize && !used(host, recordKey+other):
				old += other
			default:
				kept += other
			}
		}
		if kept != list && !host.SetShared(sourcesKey, kept, version) {
			continue
		}
		for ; old != ""; old = old[hashSize:] {
			key := recordKey + old[:hashSize]
			host.SetShared(key, "", 0)
			host.SetShared(key+documentKey, "", 0)
		}
		return
	}
}

// used reports whether a VM fetches, or is about to, by the record at a key.
func used(host Host, key string) bool {
	text, _, _ := host.Shared(key)
	r := decodeRecord(text)
	return r.owner != 0 && max(r.until, r.due)+slowest.Milliseconds() > now()
}

package filter

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// A record is what the proxy's VMs know together of a policy source, in the proxy's shared
// data. One of them fetches for all: who asks writes until when it may take, and nobody
// else asks before that. The document has a key of its own, so that looking whether there is
// a new one costs nothing.
type record struct {
	owner    uint64 // who fetches, or did last; 0 if it has gone
	began    int64  // when the fetch was sent, or its answer came
	until    int64  // until when the fetch may take, 0 if none is under way
	due      int64  // when the owner is to send the next
	failures int64  // in a row
	number   uint64 // of the document: how many there were
	etag     string // of the document
	queues   string // of the VMs that want to know of a new document, four bytes each
}

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

// wake has the VMs of the record's queues look for a new document, but the one of own.
func (r *record) wake(host Host, own uint32) {
	for i := 0; i+queueSize <= len(r.queues); i += queueSize {
		if queue := binary.LittleEndian.Uint32([]byte(r.queues[i : i+queueSize])); queue != own {
			host.Wake(queue)
		}
	}
}

// A watch is what the sources of a VM have in common: the queue by which the proxy tells
// the VM that a source has a new document.
type watch struct {
	name    string // of the queue, "" until there is one
	queue   uint32
	sources []*source
}

// listen makes sure that the VM hears of new documents. The proxy tells the plugin that has
// asked last, which may go, so that each asks again and again.
func (w *watch) listen(host Host) {
	if w.name == "" {
		w.name = string(binary.LittleEndian.AppendUint64([]byte("proxy-wasm-cors "), rand.Uint64()))
	}
	w.queue = host.Listen(w.name)
}

// sync has all sources of the VM look for a new document.
func (w *watch) sync() {
	for _, s := range w.sources {
		s.sync()
	}
}

// remove takes a source that goes out, and reports whether it was the VM's last one of its
// kind.
func (w *watch) remove(s *source) bool {
	last, rest := true, w.sources[:0]
	for _, other := range w.sources {
		if other != s {
			rest, last = append(rest, other), last && other.key != s.key
		}
	}
	clear(w.sources[len(rest):])
	w.sources = rest
	return last
}

// now is the time in milliseconds.
var now = func() int64 { return time.Now().UnixMilli() }

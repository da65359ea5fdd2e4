package filter

import (
	"encoding/binary"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A header map is how proxy-wasm passes header lines (ABI 0.2.0, "Header map"):
// their number, then for each the sizes of name and value, all as 32-bit
// little-endian integers, then each name and each value, followed by a zero byte.

// appendHeaderMap appends the header map of headers to b.
func appendHeaderMap(b []byte, headers []cors.Header) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(headers)))
	for _, h := range headers {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(h.Name)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(h.Value)))
	}
	for _, h := range headers {
		b = append(append(b, h.Name...), 0)
		b = append(append(b, h.Value...), 0)
	}
	return b
}

// get are the headers of a request of the filter's own, with those that it has besides.
func get(path, authority string, more ...cors.Header) []cors.Header {
	return append(append([]cors.Header{
		{Name: ":method", Value: "GET"}, {Name: ":path", Value: path}, {Name: ":authority", Value: authority},
		{Name: ":scheme", Value: "http"},
	}, more...), cors.Header{Name: "user-agent", Value: "proxy-wasm-cors"})
}

// replies are the header maps of a policy's answers to allowed preflights, by
// [cors.Decision.Variant], each made when the first preflight needs it.
type replies [2]reply

// A reply is a header map with a hole where the value of its first header goes, the
// origin: head goes before the value, and has its size at sizeOffset; tail goes after it.
type reply struct {
	head, tail []byte
	status     int
}

const sizeOffset = 8

// size is how many bytes the reply takes, about.
func (r *reply) size() int {
	if r.head == nil {
		return 0
	}
	return 64 + len(r.head) + len(r.tail)
}

// maxReplies bounds the bytes of all replies that are kept. Thousands of policies may
// inherit a long list, and each would have a copy; beyond the bound a reply is made when
// it is needed.
const maxReplies = 4 << 20

// replyFor returns the reply that fits a decision of a variant; nil if there is no room
// for it.
func (p *Plugin) replyFor(s *served, d *cors.Decision, variant int) *reply {
	switch {
	case s.replies != nil && s.replies[variant].head != nil:
		return &s.replies[variant]
	case p.replySize > maxReplies:
		return nil
	case s.replies == nil:
		s.replies = &replies{}
	}
	s.replies[variant] = newReply(d)
	p.replySize += s.replies[variant].size()
	return &s.replies[variant]
}

func newReply(d *cors.Decision) reply {
	headers := d.AppendHeaders(nil)
	m := appendHeaderMap(nil, headers)
	hole := 4 + 8*len(headers) + len(headers[0].Name) + 1
	return reply{m[:hole:hole], m[hole+len(d.Origin()):], d.Status()}
}

// with appends the header map with the origin filled in to b.
func (r *reply) with(b []byte, origin string) []byte {
	start := len(b)
	b = append(b, r.head...)
	binary.LittleEndian.PutUint32(b[start+sizeOffset:], uint32(len(origin)))
	return append(append(b, origin...), r.tail...)
}

// appendReply appends the header map of the answer to a preflight.
func (p *Plugin) appendReply(b []byte, s *served, d *cors.Decision) []byte {
	if variant, ok := d.Variant(); ok {
		if r := p.replyFor(s, d, variant); r != nil {
			return r.with(b, d.Origin())
		}
	}
	var buf [8]cors.Header
	return appendHeaderMap(b, d.AppendHeaders(buf[:0]))
}

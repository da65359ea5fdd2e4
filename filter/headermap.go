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

// replies are the header maps of a policy's answers to allowed preflights, with a
// hole where the origin goes: without and with the private-network header.
type replies [2]reply

// A reply is a header map whose first header has an empty value: head goes before
// the value, and has its size at sizeOffset; tail goes after it.
type reply struct{ head, tail []byte }

const sizeOffset = 8

func newReplies(policy *cors.Policy) *replies {
	r := &replies{newReply(policy, false)}
	if policy.AsksPrivateNetwork() {
		r[1] = newReply(policy, true)
	}
	return r
}

// size is how many bytes the replies take, about.
func (r *replies) size() int {
	n := 0
	for _, reply := range r {
		n += 64 + len(reply.head) + len(reply.tail)
	}
	return n
}

// maxReplies bounds the bytes of all replies that are kept. Thousands of policies may
// inherit a long list, and each would have a copy; beyond the bound a reply is made when
// it is needed.
const maxReplies = 4 << 20

// repliesOf returns the replies of a policy, made when the first preflight needs them; nil if
// there is no room for them.
func (p *Plugin) repliesOf(policy *cors.Policy) *replies {
	if r := p.replies[policy]; r != nil {
		return r
	}
	if p.replySize > maxReplies {
		return nil
	}
	r := newReplies(policy)
	p.replies[policy] = r
	p.replySize += r.size()
	return r
}

func newReply(policy *cors.Policy, privateNetwork bool) reply {
	const name = "access-control-allow-origin"
	headers := policy.AppendPreflight([]cors.Header{{Name: name}}, privateNetwork)
	m := appendHeaderMap(nil, headers)
	hole := 4 + 8*len(headers) + len(name) + 1
	return reply{m[:hole:hole], m[hole:]}
}

// with appends the header map with the origin filled in to b.
func (r reply) with(b []byte, origin string) []byte {
	start := len(b)
	b = append(b, r.head...)
	binary.LittleEndian.PutUint32(b[start+sizeOffset:], uint32(len(origin)))
	return append(append(b, origin...), r.tail...)
}

// reply answers a preflight.
func (p *Plugin) reply(d *cors.Decision) {
	details := "cors: preflight allowed"
	if !d.Allowed() {
		details = "cors: " + d.Explain()
	}
	p.scratch = p.appendReply(p.scratch[:0], d)
	p.host.Reply(d.Status(), details, p.scratch)
}

func (p *Plugin) appendReply(b []byte, d *cors.Decision) []byte {
	if d.Allowed() && d.Static() {
		variant := 0
		if d.PrivateNetwork() {
			variant = 1
		}
		if r := p.repliesOf(d.Policy()); r != nil {
			return r[variant].with(b, d.Origin())
		}
	}
	var buf [8]cors.Header
	return appendHeaderMap(b, d.AppendHeaders(buf[:0]))
}

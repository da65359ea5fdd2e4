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

// A headerReader reads the lines of a header map. A map that is cut off ends where
// it is cut off.
type headerReader struct {
	m           string
	sizes, data int // where the sizes and the bytes of the next line are
	lines       int // lines left
	name, value string
}

func readHeaders(m string) headerReader {
	n, ok := uint32At(m, 0)
	if !ok || int(n) > len(m)/8 {
		return headerReader{}
	}
	return headerReader{m: m, sizes: 4, data: 4 + 8*int(n), lines: int(n)}
}

// next reads the next line into name and value.
func (r *headerReader) next() bool {
	if r.lines == 0 {
		return false
	}
	nameSize, _ := uint32At(r.m, r.sizes)
	valueSize, _ := uint32At(r.m, r.sizes+4)
	value := r.data + int(nameSize) + 1
	end := value + int(valueSize)
	if end > len(r.m) {
		return false
	}
	r.name, r.value = r.m[r.data:value-1], r.m[value:end]
	r.lines, r.sizes, r.data = r.lines-1, r.sizes+8, end+1
	return true
}

func uint32At(s string, i int) (n uint32, ok bool) {
	if i+4 > len(s) {
		return 0, false
	}
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24, true
}

// replies are the header maps of a policy's answers to allowed preflights, with a
// hole where the origin goes: without and with the private-network header.
type replies [2]reply

// A reply is a header map whose first header has an empty value: head goes before
// the value, and has its size at sizeOffset; tail goes after it.
type reply struct{ head, tail []byte }

const sizeOffset = 8

func newReplies(policy *cors.Policy) (r replies) {
	r[0] = newReply(policy, false)
	if policy.AsksPrivateNetwork() {
		r[1] = newReply(policy, true)
	}
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
	if d.Allowed() && d.Static() {
		variant := 0
		if d.PrivateNetwork() {
			variant = 1
		}
		p.scratch = p.replies[d.Policy()][variant].with(p.scratch[:0], d.Origin())
	} else {
		var buf [8]cors.Header
		p.scratch = appendHeaderMap(p.scratch[:0], d.AppendHeaders(buf[:0]))
	}
	p.host.Reply(d.Status(), details, p.scratch)
}

package wasmhost

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A headerMap is a message's header lines as Envoy keeps them: names in lower
// case, pseudo-headers first, and the values of an inline header in one line.
type headerMap struct {
	lines  [][2]string
	inline []string
}

// Envoy's inline headers: it joins their lines as they come in. Measured in
// Envoy 1.40, whose binary has every extension, of which those for CORS and
// compression register most of these.
var (
	inlineRequest = []string{
		"accept", "access-control-request-headers", "access-control-request-method",
		"access-control-request-private-network", "authorization", "cache-control", "connection",
		"content-encoding", "content-type", "origin", "upgrade",
	}
	inlineResponse = []string{
		"access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods",
		"access-control-allow-origin", "access-control-allow-private-network", "access-control-expose-headers",
		"access-control-max-age", "cache-control", "connection", "content-type", "date", "etag", "location",
		"server", "upgrade", "vary",
	}
)

func newHeaderMap(inline []string, lines ...[2]string) *headerMap {
	h := &headerMap{inline: inline}
	for _, line := range lines {
		h.add(line[0], strings.Trim(line[1], " \t"))
	}
	return h
}

func (h *headerMap) index(name string) int {
	return slices.IndexFunc(h.lines, func(line [2]string) bool { return line[0] == strings.ToLower(name) })
}

// get returns the first line's value, as Envoy does for a header that isn't
// inline, too.
func (h *headerMap) get(name string) (value string, ok bool) {
	if i := h.index(name); i >= 0 {
		return h.lines[i][1], true
	}
	return "", false
}

func (h *headerMap) add(name, value string) {
	name = strings.ToLower(name)
	if i := h.index(name); i >= 0 && slices.Contains(h.inline, name) {
		if old := &h.lines[i][1]; *old == "" {
			*old = value
		} else if value != "" {
			*old += "," + value
		}
		return
	}
	at := len(h.lines)
	if strings.HasPrefix(name, ":") {
		if at = slices.IndexFunc(h.lines, func(line [2]string) bool { return line[0][0] != ':' }); at < 0 {
			at = len(h.lines)
		}
	}
	h.lines = slices.Insert(h.lines, at, [2]string{name, value})
}

// replace leaves one line, and it goes to the end.
func (h *headerMap) replace(name, value string) {
	h.remove(name)
	h.add(name, value)
}

func (h *headerMap) remove(name string) {
	name = strings.ToLower(name)
	h.lines = slices.DeleteFunc(h.lines, func(line [2]string) bool { return line[0] == name })
}

// regular returns a copy of the lines without pseudo-headers.
func (h *headerMap) regular() [][2]string {
	return slices.DeleteFunc(slices.Clone(h.lines), func(line [2]string) bool { return line[0][0] == ':' })
}

// encodePairs serializes lines: their number, the sizes of each name and value,
// and each name and value with a zero byte after it.
func encodePairs(lines [][2]string) string {
	if len(lines) == 0 {
		return ""
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(lines)))
	for _, line := range lines {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(line[0])))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(line[1])))
	}
	for _, line := range lines {
		b = append(append(b, line[0]...), 0)
		b = append(append(b, line[1]...), 0)
	}
	return string(b)
}

// decodePairs is the inverse of encodePairs. What isn't pairs is none, as in
// Envoy.
func decodePairs(s string) [][2]string {
	word := func(i int) int { return int(binary.LittleEndian.Uint32([]byte(s[4*i:]))) }
	if len(s) < 4 || len(s) < 4+8*word(0) {
		return nil
	}
	lines, at := make([][2]string, word(0)), 4+8*word(0)
	for i := range lines {
		for j := range 2 {
			end := at + word(1+2*i+j)
			if end >= len(s) {
				return nil
			}
			lines[i][j], at = s[at:end], end+1
		}
	}
	return lines
}

// list renders lines for a record of calls.
func list(lines [][2]string) string {
	words := make([]string, len(lines))
	for i, line := range lines {
		words[i] = line[0] + ": " + line[1]
	}
	return "[" + strings.Join(words, ", ") + "]"
}

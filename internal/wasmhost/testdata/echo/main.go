//go:build wasip1

// Command echo is a proxy-wasm module that does as it is told and logs what
// the host answered. The plugin configuration, the request header "on-request"
// and the request header "on-response" hold commands, separated by ";", words
// separated by "|", for the callback of that name; what precedes "//" in the plugin
// configuration is for the creation of the context:
//
//	get|MAP|NAME  pairs|MAP  add|MAP|NAME|VALUE  replace|MAP|NAME|VALUE  remove|MAP|NAME
//	set|MAP|NAME|VALUE…  property|PATH  buffer|TYPE|START|LENGTH
//	reply|STATUS|DETAILS|NAME|VALUE…  count|METRIC|OFFSET  increment|ID|OFFSET  say|TEXT
//	context|ID  tick|MS  call|CLUSTER|NAME|VALUE…  print|TEXT  pause  refuse  stay  trap
//	exit  sleep
package main

import (
	"encoding/binary"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

func main() {}

//go:wasmimport env proxy_log
func hostLog(level uint32, p unsafe.Pointer, n uint32) uint32

//go:wasmimport env proxy_get_header_map_value
func hostGet(m uint32, p unsafe.Pointer, n uint32, out, size unsafe.Pointer) uint32

//go:wasmimport env proxy_get_header_map_pairs
func hostPairs(m uint32, out, size unsafe.Pointer) uint32

//go:wasmimport env proxy_set_header_map_pairs
func hostSetPairs(m uint32, p unsafe.Pointer, n uint32) uint32

//go:wasmimport env proxy_add_header_map_value
func hostAdd(m uint32, p unsafe.Pointer, n uint32, v unsafe.Pointer, vn uint32) uint32

//go:wasmimport env proxy_replace_header_map_value
func hostReplace(m uint32, p unsafe.Pointer, n uint32, v unsafe.Pointer, vn uint32) uint32

//go:wasmimport env proxy_remove_header_map_value
func hostRemove(m uint32, p unsafe.Pointer, n uint32) uint32

//go:wasmimport env proxy_get_property
func hostProperty(p unsafe.Pointer, n uint32, out, size unsafe.Pointer) uint32

//go:wasmimport env proxy_set_property
func hostSetProperty(p unsafe.Pointer, n uint32, v unsafe.Pointer, vn uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func hostBuffer(t, start, length uint32, out, size unsafe.Pointer) uint32

//go:wasmimport env proxy_send_local_response
func hostReply(status uint32, d unsafe.Pointer, dn uint32, b unsafe.Pointer, bn uint32, h unsafe.Pointer, hn,
	grpc uint32) uint32

//go:wasmimport env proxy_define_metric
func hostDefine(kind uint32, p unsafe.Pointer, n uint32, id unsafe.Pointer) uint32

//go:wasmimport env proxy_increment_metric
func hostIncrement(id uint32, offset int64) uint32

//go:wasmimport env proxy_set_effective_context
func hostContext(id uint32) uint32

//go:wasmimport env proxy_set_tick_period_milliseconds
func hostTick(ms uint32) uint32

//go:wasmimport env proxy_http_call
func hostCall(c unsafe.Pointer, cn uint32, h unsafe.Pointer, hn uint32, b unsafe.Pointer, bn uint32, t unsafe.Pointer,
	tn, ms uint32, token unsafe.Pointer) uint32

// kept holds what the host asked memory for, until the callback that caused it
// has returned.
var kept [][]byte

// later holds the commands for the response callback, by context.
var later = map[uint32]string{}

//go:wasmexport proxy_abi_version_0_2_0
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(n uint32) unsafe.Pointer {
	b := make([]byte, max(n, 1))
	kept = append(kept, b)
	return unsafe.Pointer(unsafe.SliceData(b))
}

//go:wasmexport proxy_on_context_create
func contextCreate(id, root uint32) {
	say("context " + num(id) + " of " + num(root))
	if root == 0 {
		configuration := fetch(func(out, n unsafe.Pointer) uint32 { return hostBuffer(7, 0, 1<<20, out, n) }).value
		if commands, _, ok := strings.Cut(configuration, "//"); ok {
			run(id, commands)
		}
	}
}

//go:wasmexport proxy_on_vm_start
func vmStart(id, size uint32) uint32 {
	say("start " + num(id) + " " + num(size))
	return 1
}

//go:wasmexport proxy_on_configure
func configure(id, size uint32) uint32 {
	say("configure " + num(id) + " " + num(size))
	configuration := fetch(func(out, n unsafe.Pointer) uint32 { return hostBuffer(7, 0, size, out, n) }).value
	_, commands, ok := strings.Cut(configuration, "//")
	if !ok {
		commands = configuration
	}
	return 1 - run(id, commands)
}

//go:wasmexport proxy_on_request_headers
func requestHeaders(id, n, end uint32) uint32 {
	say("request " + num(id) + " " + num(n) + " " + num(end))
	later[id] = get(0, "on-response").value
	return run(id, get(0, "on-request").value)
}

//go:wasmexport proxy_on_response_headers
func responseHeaders(id, n, end uint32) uint32 {
	say("response " + num(id) + " " + num(n) + " " + num(end))
	return run(id, later[id])
}

//go:wasmexport proxy_on_tick
func tick(id uint32) { say("tick " + num(id)) }

//go:wasmexport proxy_on_http_call_response
func httpCallResponse(id, token, headers, body, trailers uint32) {
	say("answer " + num(id) + " " + num(token) + " " + num(headers) + " " + num(body) + " " + num(trailers))
	run(id, "pairs|6;buffer|4|0|99")
}

// stays says that a root isn't done when the host asks.
var stays bool

//go:wasmexport proxy_on_done
func done(id uint32) uint32 {
	say("done " + num(id))
	if stays {
		return 0
	}
	return 1
}

//go:wasmexport proxy_on_log
func log(id uint32) { say("log " + num(id)) }

//go:wasmexport proxy_on_delete
func del(id uint32) {
	say("delete " + num(id))
	delete(later, id)
	kept = nil
}

// run runs commands and returns 1 if one of them asks for a pause or a refusal.
func run(id uint32, commands string) (result uint32) {
	for command := range strings.SplitSeq(commands, ";") {
		w := strings.Split(strings.TrimSpace(command), "|")
		arg := func(i int) string {
			if i < len(w) {
				return w[i]
			}
			return ""
		}
		n := func(i int) uint32 {
			v, _ := strconv.ParseUint(arg(i), 10, 32)
			return uint32(v)
		}
		var a answer
		switch w[0] {
		case "get":
			a = get(n(1), w[2])
		case "pairs":
			a = fetch(func(out, size unsafe.Pointer) uint32 { return hostPairs(n(1), out, size) })
			a.value = decode(a.value)
		case "set":
			p, size := ref(encode(w[2:]))
			a.status = hostSetPairs(n(1), p, size)
		case "add", "replace":
			p, size := ref(w[2])
			v, vsize := ref(w[3])
			if w[0] == "add" {
				a.status = hostAdd(n(1), p, size, v, vsize)
			} else {
				a.status = hostReplace(n(1), p, size, v, vsize)
			}
		case "remove":
			p, size := ref(w[2])
			a.status = hostRemove(n(1), p, size)
		case "property":
			p, size := ref(strings.ReplaceAll(w[1], ".", "\x00"))
			a = fetch(func(out, n unsafe.Pointer) uint32 { return hostProperty(p, size, out, n) })
		case "setproperty":
			p, size := ref(strings.ReplaceAll(w[1], ".", "\x00"))
			v, vsize := ref(w[2])
			a.status = hostSetProperty(p, size, v, vsize)
		case "buffer":
			a = fetch(func(out, size unsafe.Pointer) uint32 { return hostBuffer(n(1), n(2), n(3), out, size) })
		case "reply":
			d, dn := ref(w[2])
			h, hn := ref(encode(w[3:]))
			a.status = hostReply(n(1), d, dn, nil, 0, h, hn, ^uint32(0))
			result = 1
		case "count":
			p, size := ref(w[1])
			var metric uint64
			if a.status = hostDefine(0, p, size, unsafe.Pointer(&metric)); a.status == 0 {
				a.status = hostIncrement(uint32(metric), int64(n(2)))
			}
		case "increment":
			a.status = hostIncrement(n(1), int64(n(2)))
		case "context":
			a.status = hostContext(n(1))
		case "tick":
			a.status = hostTick(n(1))
		case "call":
			c, cn := ref(w[1])
			h, hn := ref(encode(w[2:]))
			var token uint64
			a.status = hostCall(c, cn, h, hn, nil, 0, nil, 0, 1000, unsafe.Pointer(&token))
		case "say":
		case "print":
			os.Stdout.WriteString(w[1] + "\n")
		case "pause", "refuse":
			result = 1
		case "stay":
			stays = true
		case "trap":
			panic("trap")
		case "exit":
			os.Exit(3)
		case "sleep":
			time.Sleep(time.Millisecond)
		default:
			continue
		}
		say(strings.TrimSpace(command) + " -> " + num(a.status) + " " + strconv.Quote(a.value) + a.pointer)
	}
	return result
}

// An answer is what the host answered to one call.
type answer struct {
	status         uint32
	value, pointer string
}

// fetch makes a call that answers with a pointer and a size.
func fetch(call func(out, size unsafe.Pointer) uint32) answer {
	// All ones show whether the host wrote at all; the upper half of a slot is
	// not the host's to write.
	out, size := uint64(0xffffffff), uint64(0xffffffff)
	status := call(unsafe.Pointer(&out), unsafe.Pointer(&size))
	switch {
	case out>>32 != 0 || size>>32 != 0:
		return answer{status, "", " wrote too much"}
	case out == 0xffffffff && size == 0xffffffff:
		return answer{status, "", " nothing written"}
	case size == 0:
		return answer{status, "", " pointer " + strconv.FormatUint(out, 10)}
	}
	return answer{status, strings.Clone(unsafe.String((*byte)(unsafe.Add(nil, out)), size)), ""}
}

func get(m uint32, name string) answer {
	p, n := ref(name)
	return fetch(func(out, size unsafe.Pointer) uint32 { return hostGet(m, p, n, out, size) })
}

func say(text string) {
	p, n := ref(text)
	hostLog(2, p, n)
	runtime.KeepAlive(text)
}

func ref(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func num(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// encode serializes names and values as proxy-wasm does.
func encode(words []string) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(words)/2))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(w)))
	}
	for _, w := range words {
		b = append(append(b, w...), 0)
	}
	return string(b)
}

// decode is the inverse of encode, for people.
func decode(s string) string {
	if s == "" {
		return ""
	}
	b := []byte(s)
	n := int(binary.LittleEndian.Uint32(b))
	text, lines := b[4+8*n:], []string(nil)
	for i := range 2 * n {
		size := binary.LittleEndian.Uint32(b[4+4*i:])
		if word := string(text[:size]); i%2 == 0 {
			lines = append(lines, word)
		} else {
			lines[i/2] += ": " + word
		}
		text = text[size+1:]
	}
	return strings.Join(lines, "\n")
}

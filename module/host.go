package main

import (
	"strings"
	"time"
	"unsafe"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/filter"
)

// The ABI's numbers (https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.0).
const (
	requestHeaders  = uint32(0) // of proxy_map_type_t
	responseHeaders = uint32(2)
	fetchedHeaders  = uint32(6)
	fetchedBody     = uint32(4) // of proxy_buffer_type_t
	configuration   = uint32(7)
	counter         = uint32(0) // of proxy_metric_type_t
	request         = uint32(0) // of proxy_stream_type_t
	response        = uint32(1)
	statusOK        = uint32(0) // of proxy_status_t
	notFound        = uint32(1)
	noMemory        = uint32(6) // InvalidMemoryAccess: there was none for the value
	noGRPCStatus    = -1
)

// A host is the proxy, for package filter. Methods of the pointer need no wrappers to be
// called through an interface.
type host struct{}

var proxy host

func (*host) Log(level filter.Level, line string) {
	proxyLog(uint32(level), data(line), size(line))
}

func (*host) Configuration() string {
	documentRead = true
	const everything = 1<<32 - 1
	if proxyGetBufferBytes(configuration, 0, everything, unsafe.Pointer(&slots.data),
		unsafe.Pointer(&slots.size)) != statusOK {
		return ""
	}
	return value()
}

func (*host) PluginName() string {
	name, _ := property("plugin_name")
	name = strings.Clone(name)
	if root, ok := property("plugin_root_id"); ok && root != "" {
		name += " " + root
	}
	return name
}

func (*host) RequestHeader(name string) (string, bool) {
	fault(name)
	return header(requestHeaders, name)
}

func (*host) ResponseHeader(name string) (string, bool) {
	fault(name)
	return header(responseHeaders, name)
}

func header(headers uint32, name string) (string, bool) {
	switch ask(headers, name) {
	case statusOK:
		return value(), true
	case notFound:
		return "", false
	case noMemory:
		// The header is there, and has no value of any use. But which policy applies isn't known then.
		if name[0] == ':' {
			deny()
		}
	default:
		deny()
	}
	return "", true
}

func ask(headers uint32, name string) (status uint32) {
	return proxyGetHeaderMapValue(headers, data(name), size(name), unsafe.Pointer(&slots.data),
		unsafe.Pointer(&slots.size))
}

// deny is for when the host could not do what it was asked: the stream's answer loses its CORS
// headers. To say that a header or a property isn't there is no such failure.
func deny() {
	if serving != nil {
		serving.Deny()
	}
}

func (*host) ObserveRequest(facts *filter.Facts) {
	fault("access-control-request-headers")
	lines, ok := headerLinesOf(requestHeaders)
	if !ok {
		deny()
	}
	for range lines.left {
		name, value := lines.next()
		facts.Observe(name, value)
	}
}

func (*host) ObserveResponse(upstream *cors.Upstream) bool {
	lines, ok := headerLinesOf(responseHeaders)
	for range lines.left {
		name, value := lines.next()
		upstream.Observe(name, value)
	}
	return ok
}

func (*host) ObserveAnswer(answer *cors.Answer) bool {
	lines, ok := headerLinesOf(responseHeaders)
	for range lines.left {
		name, value := lines.next()
		answer.Observe(name, value)
	}
	return ok
}

// headerLines are the lines of a header map that are not read yet. A header map is the
// number of lines, then for each the sizes of name and value, all in 32 bits, then each
// name and each value with a zero byte after it.
type headerLines struct {
	left        uintptr
	sizes, data unsafe.Pointer
}

// headerLinesOf are the lines of a header map, or ok false if they can't be read.
func headerLinesOf(headers uint32) (lines headerLines, ok bool) {
	if proxyGetHeaderMapPairs(headers, unsafe.Pointer(&slots.data), unsafe.Pointer(&slots.size)) != statusOK {
		return lines, false
	}
	if slots.size < 4 {
		return lines, true
	}
	start := unsafe.Add(nil, slots.data)
	lines.left, lines.sizes = uintptr(*(*uint32)(start)), unsafe.Add(start, 4)
	lines.data = unsafe.Add(lines.sizes, lines.left*8)
	return lines, true
}

func (l *headerLines) next() (name, value string) {
	nameSize, valueSize := uintptr(*(*uint32)(l.sizes)), uintptr(*(*uint32)(unsafe.Add(l.sizes, 4)))
	after := unsafe.Add(l.data, nameSize+1)
	name, value = unsafe.String((*byte)(l.data), nameSize), unsafe.String((*byte)(after), valueSize)
	l.sizes, l.data = unsafe.Add(l.sizes, 8), unsafe.Add(after, valueSize+1)
	return name, value
}

// A property's path is its parts, joined by zero bytes.
const routeName = "xds\x00route_name"

func (*host) RouteName() string {
	name, _ := property(routeName)
	return name
}

func property(path string) (string, bool) {
	switch proxyGetProperty(data(path), size(path), unsafe.Pointer(&slots.data), unsafe.Pointer(&slots.size)) {
	case statusOK:
		return value(), true
	case notFound:
	default:
		deny()
	}
	return "", false
}

func (*host) SetFilterState(name string, value []byte) {
	fault(name)
	proxySetProperty(data(name), size(name), unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)))
}

func (*host) AddResponseHeader(name, value string) {
	fault(name)
	proxyAddHeaderMapValue(responseHeaders, data(name), size(name), data(value), size(value))
}

// ReplaceResponseHeader leaves none if it can't leave the right one.
func (*host) ReplaceResponseHeader(name, value string) {
	if proxyReplaceHeaderMapValue(responseHeaders, data(name), size(name), data(value), size(value)) != statusOK {
		proxyRemoveHeaderMapValue(responseHeaders, data(name), size(name))
	}
}

func (*host) RemoveResponseHeader(name string) {
	fault("remove")
	if proxyRemoveHeaderMapValue(responseHeaders, data(name), size(name)) != statusOK {
		proxyReplaceHeaderMapValue(responseHeaders, data(name), size(name), nil, 0) // which allows nothing
	}
}

// Reply has the request go on if the host can't answer it: no stream may stand still for ever.
func (*host) Reply(status int, details string, headers []byte) {
	if proxySendLocalResponse(uint32(status), data(details), size(details), nil, 0,
		unsafe.Pointer(unsafe.SliceData(headers)), uint32(len(headers)), noGRPCStatus) == statusOK {
		return
	}
	deny()
	if entered == requestCallback {
		unanswered = true
		return
	}
	proxyContinueStream(request)
}

// unanswered says that a request goes on whose callback has it stand still, as it was to be answered.
var unanswered bool

func data(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }

func size(s string) uint32 { return uint32(len(s)) }

func (*host) Shared(key string) (string, uint32, bool) {
	var version uint64
	if proxyGetSharedData(data(key), size(key), unsafe.Pointer(&slots.data), unsafe.Pointer(&slots.size),
		unsafe.Pointer(&version)) != statusOK {
		return "", 0, false
	}
	return value(), uint32(version), true
}

func (h *host) SharedDocument(key string) (string, bool) {
	documentRead = true
	document, _, ok := h.Shared(key)
	return document, ok
}

func (*host) Settle() {
	if documentRead {
		collect()
	}
}

func (*host) SetShared(key, value string, version uint32) bool {
	return proxySetSharedData(data(key), size(key), data(value), size(value), version) == statusOK
}

func (*host) DefineCounter(name string) filter.Counter {
	var id uint64 // 0, which no counter has, if there is none
	proxyDefineMetric(counter, data(name), size(name), unsafe.Pointer(&id))
	return filter.Counter(id)
}

func (*host) Count(c filter.Counter) {
	fault("count")
	proxyIncrementMetric(uint32(c), 1)
}

func (*host) SetTickPeriod(period time.Duration) {
	fault("tick")
	proxySetTickPeriodMilliseconds(uint32(period.Milliseconds()))
}

func (*host) Fetch(plugin uint32, cluster string, headers []byte, timeout time.Duration,
	answered func(size int, ok bool),
) bool {
	// No trailers, as a header map.
	var none, call uint64
	status := proxyHTTPCall(data(cluster), size(cluster), unsafe.Pointer(unsafe.SliceData(headers)),
		uint32(len(headers)), nil, 0,
		unsafe.Pointer(&none), 4, uint32(timeout.Milliseconds()), unsafe.Pointer(&call))
	if status != statusOK {
		return false
	}
	fetches[uint32(call)] = fetch{plugin, answered}
	return true
}

// fetches are the calls that are not answered yet, by their ids. Those of a plugin
// that goes never are.
var fetches = map[uint32]fetch{}

type fetch struct {
	plugin   uint32
	answered func(size int, ok bool)
}

func (*host) Enter(stream uint32) {
	freeMemory()
	serving = streams.Get(stream)
	proxySetEffectiveContext(stream)
}

func (*host) ContinueRequest() { proxyContinueStream(request) }

func (*host) ContinueResponse() { proxyContinueStream(response) }

func (*host) FetchedHeader(name string) (string, bool) {
	fault(name)
	return header(fetchedHeaders, name)
}

func (*host) FetchedBody(length int) string {
	documentRead = true
	if length == 0 || proxyGetBufferBytes(fetchedBody, 0, uint32(length), unsafe.Pointer(&slots.data),
		unsafe.Pointer(&slots.size)) != statusOK {
		return ""
	}
	return value()
}

func (*host) Listen(name string) uint32 {
	var queue uint64
	proxyRegisterSharedQueue(data(name), size(name), unsafe.Pointer(&queue))
	return uint32(queue)
}

// Wake puts a value into the queue, for which the proxy calls who listens. Nobody needs the
// value, nor takes it out again but who wakes next: what wakes a VM that has died would
// else be kept for ever.
func (*host) Wake(queue uint32) {
	proxyDequeueSharedQueue(queue, unsafe.Pointer(&slots.data), unsafe.Pointer(&slots.size))
	const news = "1"
	proxyEnqueueSharedQueue(queue, data(news), size(news))
}

var panics int

// panicked counts a panic. Only the VM's first goes to the log, for a request
// might cause it again and again.
func panicked(callback string, r any) {
	if panics++; panics == 1 {
		reason := "unknown"
		switch r := r.(type) {
		case error:
			reason = r.Error()
		case string:
			reason = r
		}
		message := "bug: panic in " + callback + ": " + reason + "; further ones are only counted, in " + filter.CountPanics
		proxy.Log(filter.Critical, message)
	}
	vm.CountPanic()
}

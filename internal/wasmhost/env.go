package wasmhost

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// envFunctions returns the functions of the module "env" that Envoy offers to
// ABI 0.2.0.
func envFunctions() map[string]function {
	return map[string]function{
		"proxy_log":                          {"iii", proxyLog},
		"proxy_get_property":                 {"iiii", getProperty},
		"proxy_set_property":                 {"iiii", setProperty},
		"proxy_send_local_response":          {"iiiiiiii", sendLocalResponse},
		"proxy_get_header_map_value":         {"iiiii", getHeader},
		"proxy_add_header_map_value":         {"iiiii", changeHeader("add", (*headerMap).add)},
		"proxy_replace_header_map_value":     {"iiiii", changeHeader("replace", (*headerMap).replace)},
		"proxy_remove_header_map_value":      {"iii", removeHeader},
		"proxy_get_header_map_pairs":         {"iii", getHeaders},
		"proxy_set_header_map_pairs":         {"iii", setHeaders},
		"proxy_get_buffer_bytes":             {"iiiii", getBuffer},
		"proxy_define_metric":                {"iiii", defineMetric},
		"proxy_increment_metric":             {"iI", incrementMetric},
		"proxy_set_tick_period_milliseconds": {"i", setTickPeriod},
		"proxy_http_call":                    {"iiiiiiiiii", httpCall},
		"proxy_get_shared_data":              {"iiiii", getShared},
		"proxy_set_shared_data":              {"iiiii", setShared},
		"proxy_register_shared_queue":        {"iii", registerQueue},
		"proxy_enqueue_shared_queue":         {"iii", enqueue},
		"proxy_dequeue_shared_queue":         {"iii", dequeue},
		"proxy_set_effective_context":        {"i", setContext},
		"proxy_continue_stream":              {"i", continueStream},
	}
}

func proxyLog(c *call) status {
	if c.u32(0) >= uint32(len(levels)) {
		return badArgument
	}
	c.vm.log(c.u32(0), c.str(1))
	return success
}

func getProperty(c *call) status {
	path := strings.ReplaceAll(c.str(0), "\x00", ".")
	c.note("property %s", path)
	value, found := "", false
	switch s := c.scope.stream; {
	case path == "plugin_name" || path == "plugin_root_id" || path == "plugin_vm_id":
		found = true
	case s == nil:
	case strings.HasPrefix(path, "request."):
		if s.requestOpen || s.logging {
			value, found = s.requestProperty(strings.TrimPrefix(path, "request."))
		}
	default:
		value, found = s.Properties[path]
	}
	if !found {
		return notFound
	}
	c.value = &value
	return c.give(2, value)
}

// setProperty puts a value into a stream's filter state, where getProperty finds it.
func setProperty(c *call) status {
	path, value := strings.ReplaceAll(c.str(0), "\x00", "."), c.str(2)
	c.note("set property %s: %s", path, value)
	s := c.scope.stream
	if s == nil {
		return notFound
	}
	s.Properties[path] = value
	return success
}

var mapNames = []string{
	"request", "request trailers", "response", "response trailers",
	"grpc initial metadata", "grpc trailing metadata", "http call response", "http call response trailers",
}

// headers returns the map that is parameter 0, or nil where there is none now
// that can be read, or written to.
func (c *call) headers(toWrite bool) (*headerMap, string) {
	kind := c.u32(0)
	if kind >= uint32(len(mapNames)) {
		return nil, fmt.Sprint(kind)
	}
	s, r := c.scope.stream, c.scope.root
	switch {
	case kind == 0 && s != nil && (s.requestOpen || s.logging && !toWrite):
		return s.request, mapNames[kind]
	case kind == 2 && s != nil && (s.responseOpen || s.logging && !toWrite):
		return s.response, mapNames[kind]
	case kind == 6 && r != nil && r.answer != nil && !toWrite:
		return r.answer, mapNames[kind]
	}
	return nil, mapNames[kind]
}

func getHeader(c *call) status {
	h, kind := c.headers(false)
	name := c.str(1)
	c.note("get %s %s", kind, name)
	if h == nil {
		return badArgument
	}
	value, found := h.get(name)
	if !found {
		return notFound
	}
	c.value = &value
	return c.give(3, value)
}

func changeHeader(verb string, change func(h *headerMap, name, value string)) func(*call) status {
	return func(c *call) status {
		h, kind := c.headers(true)
		name, value := c.str(1), c.str(3)
		c.note("%s %s %s: %s", verb, kind, name, value)
		if h == nil {
			return badArgument
		}
		change(h, name, value)
		return success
	}
}

func removeHeader(c *call) status {
	h, kind := c.headers(true)
	name := c.str(1)
	c.note("remove %s %s", kind, name)
	if h == nil {
		return badArgument
	}
	h.remove(name)
	return success
}

// getHeaders gives no lines of a map that there is not, where the other calls
// fail.
func getHeaders(c *call) status {
	h, kind := c.headers(false)
	c.note("pairs %s", kind)
	if h == nil {
		h = &headerMap{}
	}
	return c.give(1, encodePairs(h.lines))
}

func setHeaders(c *call) status {
	h, kind := c.headers(true)
	lines := decodePairs(c.str(1))
	c.note("set %s %s", kind, list(lines))
	if h == nil {
		return badArgument
	}
	h.lines = nil
	for _, line := range lines {
		h.add(line[0], line[1])
	}
	return success
}

// sendLocalResponse only keeps what was asked for: Envoy sends it when the
// callback has returned, and only the first one.
func sendLocalResponse(c *call) status {
	r := &reply{status: c.u32(0), details: c.str(1), body: c.str(3), headers: decodePairs(c.str(5))}
	c.note("reply %d details=%s headers=%s", r.status, r.details, list(r.headers))
	if r.body != "" {
		c.text += " body=" + r.body
	}
	s := c.scope.stream
	if s == nil || s.reply != nil {
		return success
	}
	if s.reply = r; c.vm.current.stream != s {
		c.vm.after(s.replyLate)
	}
	return success
}

var buffers = []string{
	"request body", "response body", "downstream data", "upstream data", "http call response body",
	"grpc message", "vm configuration", "plugin configuration", "call data",
}

func getBuffer(c *call) status {
	kind, start, length := c.u32(0), c.u32(1), c.u32(2)
	if kind >= uint32(len(buffers)) {
		c.note("buffer %d", kind)
		return badArgument
	}
	c.note("buffer %s", buffers[kind])
	content := ""
	switch r := c.scope.root; {
	case kind == 7 && r != nil && r.configuring:
		content = r.configuration
	case kind == 4 && r != nil && r.answer != nil:
		content = r.answerBody
	case kind == 4 || kind == 7:
		return notFound
	}
	if uint64(start)+uint64(length) > math.MaxUint32 {
		return badArgument
	}
	size := uint32(len(content))
	start = min(start, size)
	return c.give(3, content[start:start+min(length, size-start)])
}

// defineMetric defines a counter. Several definitions can have one name, and count
// together.
func defineMetric(c *call) status {
	kind, name := c.u32(0), c.str(1)
	if kind != 0 {
		return badArgument
	}
	c.note("define counter %s", name)
	c.vm.metrics = append(c.vm.metrics, name)
	c.vm.values[name] += 0
	return c.put(3, uint32(len(c.vm.metrics))<<2) // as Envoy numbers counters: none is 0
}

func incrementMetric(c *call) status {
	id, offset := c.u32(0), int64(c.stack[1])
	i := id>>2 - 1
	if id&3 != 0 || i >= uint32(len(c.vm.metrics)) {
		c.note("count %d %+d", id, offset)
		return notFound
	}
	name := c.vm.metrics[i]
	c.note("count %s %+d", name, offset)
	if offset <= 0 { // A counter can't even be moved by 0.
		return badArgument
	}
	c.vm.values[name] += uint64(offset)
	return success
}

func setTickPeriod(c *call) status {
	c.note("tick every %d ms", c.u32(0))
	if c.scope.root != nil {
		c.scope.root.tickPeriod = time.Duration(c.u32(0)) * time.Millisecond
		c.scope.root.tickDue = c.vm.now().Add(c.scope.root.tickPeriod)
	}
	return success
}

func httpCall(c *call) status {
	request := HTTPCall{
		Cluster: c.str(0), Headers: decodePairs(c.str(2)), Body: c.str(4),
		Timeout: time.Duration(int32(c.u32(8))) * time.Millisecond,
	}
	c.note("http call %s %s", request.Cluster, list(request.Headers))
	c.put(9, 0)
	h := newHeaderMap(inlineRequest, request.Headers...)
	for _, name := range []string{":path", ":method", ":authority"} {
		if h.index(name) < 0 {
			return badArgument
		}
	}
	switch {
	case c.scope.root == nil || request.Timeout < 0:
		return badArgument
	case c.vm.Unreachable:
		return internalFailure
	}
	c.vm.lastToken++
	request.Token = c.vm.lastToken
	c.scope.root.httpCalls = append(c.scope.root.httpCalls, request)
	return c.put(9, request.Token)
}

type sharedValue struct {
	value string
	cas   uint32
}

func getShared(c *call) status {
	key := c.str(0)
	c.note("shared %s", key)
	v, found := c.vm.shared[key]
	if !found {
		return notFound
	}
	c.value = &v.value
	c.give(2, v.value)
	return c.put(4, v.cas)
}

func setShared(c *call) status {
	key, value, cas := c.str(0), c.str(2), c.u32(4)
	c.note("set shared %s: %.*s", key, noted, value)
	old, found := c.vm.shared[key]
	if found && cas != 0 && cas != old.cas { // Nothing to compare a new key's with.
		return casMismatch
	}
	c.vm.shared[key] = sharedValue{value, old.cas + 1}
	return success
}

func setContext(c *call) status {
	c.note("context %d", c.u32(0))
	effective := c.vm.contexts[c.u32(0)]
	if effective == nil {
		return badArgument
	}
	c.vm.effective = effective
	return success
}

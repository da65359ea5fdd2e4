package filter

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// A sdkHost is a Host over the SDK's functions, as the emulator serves them.
type sdkHost struct{ details string }

func (*sdkHost) Log(level Level, line string) {
	switch level {
	case Info:
		proxywasm.LogInfo(line)
	case Warn:
		proxywasm.LogWarn(line)
	case Error:
		proxywasm.LogError(line)
	case Critical:
		proxywasm.LogCritical(line)
	}
}

func (*sdkHost) Configuration() string {
	data, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		return ""
	}
	return string(data)
}

func (*sdkHost) PluginName() string {
	name, _ := proxywasm.GetProperty([]string{"plugin_name"}) // The emulator has none.
	return string(name)
}

func (*sdkHost) Shared(key string) (string, uint32, bool) {
	value, version, err := proxywasm.GetSharedData(key)
	return string(value), version, err == nil
}

func (h *sdkHost) SharedDocument(key string) (string, bool) {
	value, _, ok := h.Shared(key)
	return value, ok
}

func (*sdkHost) SetShared(key, value string, version uint32) bool {
	if version == 0 { // which the emulator has no meaning for
		_, version, _ = proxywasm.GetSharedData(key)
	}
	return proxywasm.SetSharedData(key, []byte(value), version) == nil
}

func (*sdkHost) RequestHeader(name string) (string, bool) {
	value, err := proxywasm.GetHttpRequestHeader(name)
	return value, err == nil
}

func (*sdkHost) ResponseHeader(name string) (string, bool) {
	value, err := proxywasm.GetHttpResponseHeader(name)
	return value, err == nil
}

func (*sdkHost) ObserveResponse(upstream *cors.Upstream) bool {
	lines, err := proxywasm.GetHttpResponseHeaders()
	must(err)
	for _, line := range lines {
		upstream.Observe(line[0], line[1])
	}
	return true
}

func (*sdkHost) ObserveRequest(facts *Facts) {
	lines, err := proxywasm.GetHttpRequestHeaders()
	must(err)
	for _, line := range lines {
		facts.Observe(line[0], line[1])
	}
}

func (*sdkHost) ObserveAnswer(answer *cors.Answer) bool {
	lines, err := proxywasm.GetHttpResponseHeaders()
	must(err)
	for _, line := range lines {
		answer.Observe(line[0], line[1])
	}
	return true
}

func (*sdkHost) RouteName() string {
	name, err := proxywasm.GetProperty([]string{"xds", "route_name"})
	if err != nil {
		return ""
	}
	return string(name)
}

func (*sdkHost) SetFilterState(name string, value []byte) {
	must(proxywasm.SetProperty([]string{name}, value))
}

func (*sdkHost) AddResponseHeader(name, value string) {
	must(proxywasm.AddHttpResponseHeader(name, value))
}

func (*sdkHost) ReplaceResponseHeader(name, value string) {
	must(proxywasm.ReplaceHttpResponseHeader(name, value))
}

func (*sdkHost) RemoveResponseHeader(name string) { must(proxywasm.RemoveHttpResponseHeader(name)) }

func (h *sdkHost) Reply(status int, details string, headers []byte) {
	h.details = details // the SDK has no way to pass them on
	var lines [][2]string
	for _, h := range readHeaderMap(headers) {
		lines = append(lines, [2]string{h.Name, h.Value})
	}
	must(proxywasm.SendHttpResponse(uint32(status), lines, nil, -1))
}

func (*sdkHost) DefineCounter(name string) Counter {
	return Counter(proxywasm.DefineCounterMetric(name))
}

func (*sdkHost) Count(counter Counter) { proxywasm.MetricCounter(counter).Increment(1) }

func (*sdkHost) SetTickPeriod(period time.Duration) {
	must(proxywasm.SetTickPeriodMilliSeconds(uint32(period.Milliseconds())))
}

// tick has the period of ticks pass.
func tick(emulator proxytest.HostEmulator) {
	later := now() + int64(emulator.GetTickPeriod())
	now = func() int64 { return later }
	emulator.Tick()
}

func (*sdkHost) Enter(stream uint32) { must(proxywasm.SetEffectiveContext(stream)) }

func (*sdkHost) ContinueRequest() { must(proxywasm.ResumeHttpRequest()) }

func (*sdkHost) ContinueResponse() { must(proxywasm.ResumeHttpResponse()) }

func (*sdkHost) Fetch(_ uint32, cluster string, headers []byte, timeout time.Duration, answered func(int, bool)) bool {
	var lines [][2]string
	for _, h := range readHeaderMap(headers) {
		lines = append(lines, [2]string{h.Name, h.Value})
	}
	_, err := proxywasm.DispatchHttpCall(cluster, lines, nil, nil, uint32(timeout.Milliseconds()),
		func(headers, size, _ int) { answered(size, headers > 0) })
	return err == nil
}

func (*sdkHost) FetchedHeader(name string) (string, bool) {
	headers, _ := proxywasm.GetHttpCallResponseHeaders()
	for _, h := range headers {
		if h[0] == name {
			return h[1], true
		}
	}
	return "", false
}

func (*sdkHost) FetchedBody(size int) string {
	body, _ := proxywasm.GetHttpCallResponseBody(0, size)
	return string(body)
}

func (*sdkHost) Settle() {}

func (*sdkHost) Listen(name string) uint32 {
	queue, err := proxywasm.RegisterSharedQueue(name)
	must(err)
	return queue
}

func (*sdkHost) Wake(queue uint32) { must(proxywasm.EnqueueSharedQueue(queue, []byte("1"))) }

// readHeaderMap reads what appendHeaderMap writes.
func readHeaderMap(m []byte) (headers []cors.Header) {
	number := func(i int) int { return int(binary.LittleEndian.Uint32(m[i:])) }
	data := 4 + 8*number(0)
	next := func(size int) string {
		s := string(m[data : data+size])
		if m[data+size] != 0 {
			panic("no zero byte after " + s)
		}
		data += size + 1
		return s
	}
	for i := range number(0) {
		headers = append(headers, cors.Header{Name: next(number(4 + 8*i)), Value: next(number(8 + 8*i))})
	}
	if data != len(m) {
		panic("more after the last value")
	}
	return headers
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// start starts the filter with a configuration in the emulator.
func start(t *testing.T, config string, properties map[string]string) (proxytest.HostEmulator, *sdkHost,
	types.OnPluginStartStatus) {
	t.Helper()
	host := &sdkHost{}
	options := proxytest.NewEmulatorOption().
		WithVMContext(&VM{Host: host, Version: "v1.2.3", Revision: "abc"}).
		WithPluginConfiguration([]byte(config))
	for name, value := range properties {
		options = options.WithProperty(strings.Split(name, "."), []byte(value))
	}
	emulator, reset := proxytest.NewHostEmulator(options)
	t.Cleanup(reset)
	if emulator.StartVM() != types.OnVMStartStatusOK {
		t.Fatal("the VM didn't start")
	}
	return emulator, host, emulator.StartPlugin()
}

// TestCases runs the shared tables in the SDK's emulator, all that it can show.
func TestCases(t *testing.T) {
	n := 0
	for _, c := range cases.All {
		if c.BeyondEmulator != "" {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			properties := map[string]string{}
			if c.Request.Route != "" {
				properties["xds.route_name"] = c.Request.Route
			}
			emulator, host, status := start(t, c.Config, properties)
			if status != types.OnPluginStartStatusOK {
				t.Fatal(emulator.GetErrorLogs())
			}
			id := emulator.InitializeHttpContext()
			request := requestHeaders(c.Request)
			action := emulator.CallOnRequestHeaders(id, request, !upgrades(c.Request))
			want := c.Want
			if reply := emulator.GetSentLocalResponse(id); reply != nil {
				if action != types.ActionPause {
					t.Error("the filter answered, and let the request through")
				}
				got := cases.Want{Status: int(reply.StatusCode), Headers: cases.Lines(reply.Headers),
					Reason: strings.TrimPrefix(host.details, "cors: ")}
				// The answer passes the filter's own response callback.
				if emulator.CallOnResponseHeaders(id, reply.Headers,
					true); !cmp.Equal(emulator.GetCurrentResponseHeaders(id), reply.Headers) {
					t.Error("the filter changed its own answer")
				}
				if want.Reason == "" {
					want.Reason = got.Reason
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("answered (-want +got):\n%s", diff)
				}
				return
			}
			emulator.CallOnResponseHeaders(id, append([][2]string{{":status", "200"}}, c.Upstream.Headers...), true)
			got := cases.Want{Forwarded: true, Headers: cases.Lines(emulator.GetCurrentResponseHeaders(id))}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("forwarded (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(request, emulator.GetCurrentRequestHeaders(id)); diff != "" {
				t.Errorf("the request was changed:\n%s", diff)
			}
			emulator.CompleteHttpContext(id)
		})
	}
	if n < len(cases.All)*9/10 {
		t.Errorf("only %d of %d cases ran", n, len(cases.All))
	}
}

// requestHeaders are a request's header lines as Envoy hands them over: several
// lines of a header joined by commas.
func requestHeaders(r cases.Request) [][2]string {
	r = r.Complete()
	headers := [][2]string{{":method", r.Method}, {":authority", r.Host}, {":path", r.Path}}
lines:
	for _, h := range r.Headers {
		for i := range headers {
			if headers[i][0] == h[0] {
				headers[i][1] += "," + h[1]
				continue lines
			}
		}
		headers = append(headers, h)
	}
	return headers
}

func upgrades(r cases.Request) bool {
	for _, h := range r.Headers {
		if h[0] == "upgrade" {
			return true
		}
	}
	return false
}

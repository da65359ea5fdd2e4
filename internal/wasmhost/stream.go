package wasmhost

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// ErrRefused is the error of [VM.NewRoot] where the module refused the
// configuration.
var ErrRefused = errors.New("the module refused the configuration")

// A Root is a root context: one plugin configuration in one VM.
type Root struct {
	scope
	configuration string
	configuring   bool
	tickPeriod    time.Duration
	tickDue       time.Time
	httpCalls     []HTTPCall
	answer        *headerMap
	answerBody    string
}

// An HTTPCall is a request that the module asked the host to send.
type HTTPCall struct {
	Token   uint32
	Cluster string
	Headers [][2]string
	Body    string
	Timeout time.Duration
}

// NewRoot makes a root context as Envoy does for each plugin that shares the
// VM: it calls proxy_on_context_create, proxy_on_vm_start (for every root, not
// once a VM) and proxy_on_configure. The first and the last can read the
// configuration. Where the module refuses, the error is
// [ErrRefused] and the Root is there all the same, for what it logged.
func (vm *VM) NewRoot(configuration string) (*Root, error) {
	r := &Root{configuration: configuration}
	r.scope = scope{id: vm.newID(), vm: vm, root: r}
	vm.contexts[r.id] = &r.scope
	r.configuring = true
	_, err := vm.enter(&r.scope, "proxy_on_context_create", 0, uint64(r.id), 0)
	r.configuring = false
	if err != nil {
		return nil, err
	}
	accepted, err := vm.enter(&r.scope, "proxy_on_vm_start", 1, uint64(r.id), 0)
	if err == nil && accepted != 0 {
		r.configuring = true
		accepted, err = vm.enter(&r.scope, "proxy_on_configure", 1, uint64(r.id), uint64(len(configuration)))
		r.configuring = false
	}
	if err != nil {
		return nil, err
	}
	if accepted == 0 {
		return r, ErrRefused
	}
	return r, nil
}

// Delete calls proxy_on_done and proxy_on_delete, as Envoy does after the root's
// last stream.
func (r *Root) Delete() error {
	agreed, err := r.vm.enter(&r.scope, "proxy_on_done", 1, uint64(r.id))
	switch {
	case err != nil:
		return err
	case agreed == 0:
		return errors.New("the module keeps the root until it calls proxy_done, which is missing here")
	}
	_, err = r.vm.enter(&r.scope, "proxy_on_delete", 0, uint64(r.id))
	delete(r.vm.contexts, r.id)
	return err
}

// TickPeriod returns the period of ticks that the module asked for, 0 if none.
func (r *Root) TickPeriod() time.Duration { return r.tickPeriod }

// Tick calls proxy_on_tick once, when the period of ticks has passed on the clock of the
// proxy's VMs.
func (r *Root) Tick() error {
	r.vm.later += r.tickPeriod
	return r.tick()
}

func (r *Root) tick() error {
	r.tickDue = r.vm.now().Add(r.tickPeriod)
	_, err := r.vm.enter(&r.scope, "proxy_on_tick", 0, uint64(r.id))
	return err
}

// HTTPCalls returns the requests sent and not answered yet.
func (r *Root) HTTPCalls() []HTTPCall { return slices.Clone(r.httpCalls) }

// AnswerHTTPCall answers a request that the module sent. A status of 0 is a
// request that failed or timed out.
func (r *Root) AnswerHTTPCall(token uint32, status int, headers [][2]string, body string) error {
	i := slices.IndexFunc(r.httpCalls, func(c HTTPCall) bool { return c.Token == token })
	if i < 0 {
		return fmt.Errorf("no request waits with token %d", token)
	}
	r.httpCalls = slices.Delete(r.httpCalls, i, i+1)
	lines := 0
	if status != 0 {
		r.answer = newHeaderMap(inlineResponse, append([][2]string{{":status", strconv.Itoa(status)}}, headers...)...)
		r.answerBody, lines = body, len(r.answer.lines)
	}
	_, err := r.vm.enter(&r.scope, "proxy_on_http_call_response", 0,
		uint64(r.id), uint64(token), uint64(lines), uint64(len(r.answerBody)), 0)
	r.answer, r.answerBody = nil, ""
	return err
}

// A Result is what an exchange came to.
type Result struct {
	// Forwarded tells whether the request went on to the next filter.
	Forwarded bool
	// Status and Headers are the answer as it left the filter. Status is 0 if
	// there was none.
	Status  int
	Headers [][2]string
	// Details are Envoy's response_code_details: of the module's own answer, with
	// white space as underscores, or "via_upstream".
	Details string
	// Calls are the callbacks and host calls of this exchange, in order.
	Calls []string
	// Allocations counts the host's calls of proxy_on_memory_allocate.
	Allocations int
}

// Exchange runs a stream of root from its request to its end. up is the answer
// of whatever comes after the filter if the request gets there. The error is
// that the module trapped: the VM is dead.
func (vm *VM) Exchange(root *Root, request cases.Request, up cases.Upstream) (Result, error) {
	s := root.Begin(request)
	err := s.Request()
	if err == nil && s.result.Forwarded {
		err = s.Response(up)
	}
	if err == nil {
		err = s.End()
	}
	return s.Result(), err
}

// A Stream is the context of one HTTP exchange.
type Stream struct {
	scope
	// Properties are what proxy_get_property finds beside request.*, by their
	// paths with dots, and what proxy_set_property has set. There is xds.route_name, of the request's route; delete it
	// for a request that matches no route. Envoy has it in every callback.
	Properties map[string]string

	request, response         *headerMap
	requestOpen, responseOpen bool
	created, logging, ended   bool
	paused, held              bool // the request, and the response
	continued                 bool // is about to go on
	reply                     *reply
	result                    Result
	// Direct is the answer that Envoy gives at once when a paused request goes on, if it
	// isn't to go to an upstream.
	Direct *cases.Upstream
}

// A reply is an answer that the module asked to be sent.
type reply struct {
	status        uint32
	details, body string
	headers       [][2]string
}

// Begin makes a stream. The module hears of it with the next step.
func (r *Root) Begin(request cases.Request) *Stream {
	request = request.Complete()
	s := &Stream{
		Properties: map[string]string{"xds.route_name": request.Route},
		request: newHeaderMap(inlineRequest, append([][2]string{
			{":authority", request.Host},
			{":path", request.Path},
			{":method", request.Method},
			{":scheme", "http"},
		}, request.Headers...)...),
		response: newHeaderMap(inlineResponse),
	}
	s.scope = scope{id: r.vm.newID(), vm: r.vm, root: r, stream: s}
	r.vm.contexts[s.id] = &s.scope
	return s
}

// Request calls proxy_on_context_create and proxy_on_request_headers. Where the
// module answers, that answer goes through proxy_on_response_headers, the
// request's headers still at hand. A module that stops the request without an
// answer leaves it waiting.
func (s *Stream) Request() error {
	if s.created || s.ended {
		return errors.New("the stream had its request")
	}
	if err := s.create(); err != nil {
		return err
	}
	s.requestOpen = true
	action, err := s.enter("proxy_on_request_headers", uint64(len(s.request.lines)), s.endOfStream())
	if err != nil {
		return err
	}
	if r := s.reply; r != nil {
		s.answer(r)
		return s.respond()
	}
	if action == 0 {
		s.requestOpen = false
		s.result.Forwarded = true
	} else {
		s.paused = true
	}
	return nil
}

// Waits reports whether the request or its answer stands still.
func (s *Stream) Waits() bool { return s.paused || s.held }

// Answer has Envoy answer a request that is paused, as it does when that takes too long.
func (s *Stream) Answer(status int) error {
	if !s.paused || s.ended {
		return errors.New("the request is not paused")
	}
	s.paused = false
	s.response = newHeaderMap(inlineResponse, [2]string{":status", strconv.Itoa(status)})
	if err := s.respond(); err != nil {
		return err
	}
	if s.held {
		return errors.New("the module holds an answer to a request that has not gone on")
	}
	return nil
}

// continueStream has a paused request, or a held response, go on when the callback has
// returned. Where there is none Envoy may crash.
func continueStream(c *call) status {
	kind := c.u32(0)
	c.note("continue %s", [...]string{"request", "response"}[kind&1])
	s := c.scope.stream
	switch {
	case s == nil || kind > 1:
		return badArgument
	case s.ended || s.continued || s.reply != nil || kind == 0 && !s.paused || kind == 1 && !s.held:
		c.vm.err = fmt.Errorf("the proxy crashes: stream %d goes on where it doesn't stand still", s.id)
		return badArgument
	case kind == 0:
		c.vm.after(s.continueRequest)
	default:
		c.vm.after(s.continueResponse)
	}
	s.continued = true
	return success
}

func (s *Stream) continueRequest() error {
	s.paused, s.requestOpen, s.continued, s.result.Forwarded = false, false, false, true
	if s.Direct != nil {
		return s.Response(*s.Direct)
	}
	return nil
}

func (s *Stream) continueResponse() error {
	s.held, s.continued = false, false
	s.finish()
	return nil
}

// replyLate sends an answer that the module has given in another callback than the stream's.
func (s *Stream) replyLate() error {
	if !s.paused || s.ended {
		return fmt.Errorf("the proxy crashes: stream %d is answered, and isn't paused", s.id)
	}
	s.paused = false
	s.answer(s.reply)
	return s.respond()
}

// Response calls proxy_on_response_headers with the answer of whatever comes
// after the filter: the upstream, a later filter, or Envoy's router.
func (s *Stream) Response(up cases.Upstream) error {
	if !s.result.Forwarded || s.result.Status != 0 || s.ended {
		return errors.New("the stream waits for no answer")
	}
	s.response = newHeaderMap(inlineResponse,
		append([][2]string{{":status", strconv.Itoa(cmp.Or(up.Status, 200))}}, up.Headers...)...)
	s.result.Details = "via_upstream"
	return s.respond()
}

// End calls proxy_on_log, proxy_on_done and proxy_on_delete, in Envoy's order:
// the client has its answer, or is gone. It calls proxy_on_context_create
// before them for a stream that never had its request, as Envoy does.
func (s *Stream) End() error {
	if s.ended {
		return nil
	}
	s.ended = true
	defer delete(s.vm.contexts, s.id)
	if err := s.create(); err != nil {
		return err
	}
	s.logging = true
	_, err := s.enter("proxy_on_log")
	s.logging = false
	for _, name := range []string{"proxy_on_done", "proxy_on_delete"} {
		if err == nil {
			_, err = s.enter(name)
		}
	}
	return err
}

// Result returns what the exchange came to so far.
func (s *Stream) Result() Result {
	r := s.result
	r.Calls = s.Calls()
	return r
}

// endOfStream is 1 unless something follows the request's headers: a body, or
// the protocol of an upgrade.
func (s *Stream) endOfStream() uint64 {
	length, _ := s.request.get("content-length")
	if s.request.index("upgrade") >= 0 || s.request.index("transfer-encoding") >= 0 || length != "" && length != "0" {
		return 0
	}
	return 1
}

func (s *Stream) create() error {
	if s.created {
		return nil
	}
	s.created = true
	_, err := s.enter("proxy_on_context_create", uint64(s.root.id))
	return err
}

func (s *Stream) enter(name string, arguments ...uint64) (uint64, error) {
	before := s.vm.allocations
	result, err := s.vm.enter(&s.scope, name, 0, append([]uint64{uint64(s.id)}, arguments...)...)
	s.result.Allocations += s.vm.allocations - before
	return result, err
}

// answer makes the module's answer the stream's response.
func (s *Stream) answer(r *reply) {
	s.response = newHeaderMap(inlineResponse, append([][2]string{{":status", fmt.Sprint(r.status)}}, r.headers...)...)
	s.response.remove("content-length") // The body says.
	if r.body == "" {
		s.response.remove("content-type")
	} else {
		s.response.add("content-length", strconv.Itoa(len(r.body)))
	}
	s.result.Details = strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\n\v\f\r", c) {
			return '_'
		}
		return c
	}, r.details)
}

// respond passes the response through the module, to the client.
func (s *Stream) respond() error {
	late := s.reply == nil
	s.responseOpen = true
	action, err := s.enter("proxy_on_response_headers", uint64(len(s.response.lines)), 1)
	if err != nil {
		return err
	}
	// An answer instead of the response doesn't pass the module again.
	if late && s.reply != nil {
		s.answer(s.reply)
	} else if action != 0 {
		s.held = true
		return nil
	}
	s.finish()
	return nil
}

// finish sends the response to the client.
func (s *Stream) finish() {
	s.requestOpen, s.responseOpen = false, false
	status, _ := s.response.get(":status")
	s.result.Status, _ = strconv.Atoi(status)
	s.result.Headers = s.response.regular()
}

func (s *Stream) requestProperty(name string) (string, bool) {
	if header, ok := strings.CutPrefix(name, "headers."); ok {
		return s.request.get(header)
	}
	pseudo := map[string]string{
		"path": ":path", "url_path": ":path", "host": ":authority", "scheme": ":scheme", "method": ":method",
	}
	value, found := s.request.get(pseudo[name])
	if name == "url_path" {
		value, _, _ = strings.Cut(value, "?")
	}
	return value, found
}

// Streams returns how many streams the host has begun and not ended. What the module has is another matter.
func (vm *VM) Streams() int { return vm.count(func(*Stream) bool { return true }) }

// Waiting returns how many streams stand still.
func (vm *VM) Waiting() int { return vm.count((*Stream).Waits) }

func (vm *VM) count(which func(*Stream) bool) (n int) {
	for _, c := range vm.contexts {
		if c.stream != nil && which(c.stream) {
			n++
		}
	}
	return n
}

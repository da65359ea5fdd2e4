package wasmhost

import (
	"time"
)

// A queue is what all VMs can put values into. Who has registered it last hears of it.
type queue struct {
	name   string
	vm     *VM
	root   uint32
	values []string
}

// An event is that there is a value in a queue.
type event struct {
	vm          *VM
	root, token uint32
}

func registerQueue(c *call) status {
	name := c.str(0)
	c.note("register queue %s", name)
	if c.scope.root == nil {
		return badArgument
	}
	for i, q := range c.vm.queues {
		if q.name == name {
			q.vm, q.root = c.vm, c.scope.root.id
			return c.put(2, uint32(i+1))
		}
	}
	c.vm.queues = append(c.vm.queues, &queue{name: name, vm: c.vm, root: c.scope.root.id})
	return c.put(2, uint32(len(c.vm.queues)))
}

// queue returns the queue whose token is parameter 0, or nil.
func (c *call) queue() *queue {
	if i := int(c.u32(0)) - 1; i >= 0 && i < len(c.vm.queues) {
		return c.vm.queues[i]
	}
	return nil
}

func enqueue(c *call) status {
	q, value := c.queue(), c.str(1)
	c.note("enqueue %d %.*s", c.u32(0), noted, value)
	if q == nil {
		return notFound
	}
	q.values = append(q.values, value)
	c.vm.events = append(c.vm.events, event{q.vm, q.root, c.u32(0)})
	return success
}

func dequeue(c *call) status {
	q := c.queue()
	c.note("dequeue %d", c.u32(0))
	if q == nil {
		return notFound
	}
	if len(q.values) == 0 {
		return empty
	}
	value := q.values[0]
	q.values = q.values[1:]
	c.value = &value
	return c.give(1, value)
}

// now is the time on the clock of the proxy's VMs.
func (p *proxy) now() time.Time {
	if p.still.IsZero() {
		return time.Now().Add(p.later)
	}
	return p.still.Add(p.later)
}

// monotonic is what the proxy's clock says that measures time.
func (p *proxy) monotonic() time.Duration {
	if p.still.IsZero() {
		return time.Since(started) + p.later
	}
	return time.Hour + p.later // 0 is a quirk of its own
}

var started = time.Now()

// Now is the time on the clock of the proxy's VMs.
func (vm *VM) Now() time.Time { return vm.now() }

// SetBack sets the clock of the proxy's VMs back, on which ticks don't depend.
func (vm *VM) SetBack(d time.Duration, roots []*Root) {
	vm.later -= d
	for _, root := range roots {
		root.tickDue = root.tickDue.Add(-d)
	}
}

// An HTTPAnswer answers an [HTTPCall].
type HTTPAnswer struct {
	Status  int
	Headers [][2]string
	Body    string
}

// Run has time pass on the clock of the proxy's VMs, of which vm is one. It calls
// proxy_on_tick of each root whenever its period is over, and proxy_on_queue_ready as
// [VM.Dispatch] does. Requests are answered with what serve returns; where that is nil they
// wait, and serve is asked again.
func (vm *VM) Run(d time.Duration, roots []*Root, serve func(call HTTPCall, now time.Time) *HTTPAnswer) error {
	const step = 10 * time.Millisecond
	for end := vm.now().Add(d); vm.now().Before(end); {
		next := nextTick(roots)
		if next == nil || next.tickDue.After(vm.now().Add(step)) {
			vm.later += step
		} else {
			vm.later += max(0, next.tickDue.Sub(vm.now()))
			if err := next.tick(); err != nil {
				return err
			}
		}
		for _, root := range roots {
			if err := root.serve(serve); err != nil {
				return err
			}
		}
		if err := vm.Dispatch(); err != nil {
			return err
		}
	}
	return nil
}

// nextTick returns the root whose tick comes next, or nil if none has a period of ticks.
func nextTick(roots []*Root) (next *Root) {
	for _, r := range roots {
		if r.tickPeriod > 0 && (next == nil || r.tickDue.Before(next.tickDue)) {
			next = r
		}
	}
	return next
}

// serve answers the root's requests.
func (r *Root) serve(serve func(call HTTPCall, now time.Time) *HTTPAnswer) error {
	for _, call := range r.HTTPCalls() {
		if a := serve(call, r.vm.now()); a != nil {
			if err := r.AnswerHTTPCall(call.Token, a.Status, a.Headers, a.Body); err != nil {
				return err
			}
		}
	}
	return nil
}

// Queued returns how many values are in the queues of all VMs.
func (vm *VM) Queued() (n int) {
	for _, q := range vm.queues {
		n += len(q.values)
	}
	return n
}

// Dispatch calls proxy_on_queue_ready of whoever has registered a queue, in whatever VM of
// the same proxy, once for each value that was put into it. Envoy does it in the VM's
// thread; where the root or the VM is gone, nothing happens.
func (vm *VM) Dispatch() error {
	for len(vm.events) > 0 {
		e := vm.events[0]
		vm.events = vm.events[1:]
		if scope := e.vm.contexts[e.root]; scope != nil && e.vm.err == nil {
			if _, err := e.vm.enter(scope, "proxy_on_queue_ready", 0, uint64(e.root), uint64(e.token)); err != nil {
				return err
			}
		}
	}
	return nil
}

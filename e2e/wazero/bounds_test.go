package wazero_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/wasmhost"
)

// These are the tests of the table in RATIONALE.md, "What can't be recovered".

// envoysLimit is the largest size of all headers together that Envoy can be told to
// accept.
const envoysLimit = 8 << 20

// flat does something n times, and fails the test if the second half of it takes more
// memory than the first, or all of it more than limit.
func flat(t *testing.T, vm *wasmhost.VM, n int, limit uint32, do func(i int)) {
	t.Helper()
	var half uint32
	for i := range n {
		if do(i); i == n/2 {
			half = vm.MemorySize()
		}
		if vm.Err() != nil {
			t.Fatal(i, vm.Err())
		}
	}
	slack := max(4<<20, half/8) // the collector may be a little later
	if size := vm.MemorySize(); size > half+slack || size > limit {
		t.Errorf("%d bytes after the first half of %d, and %d in the end; the limit is %d", half, n, size, limit)
	}
}

// TestBoundLargeHeaders: headers of every kind that are as large as can be, in
// requests and in answers.
func TestBoundLargeHeaders(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, policyA)
	large := strings.Repeat("a", envoysLimit-1_000)
	preflight := func(name string) cases.Request {
		request := cases.Request{Method: "OPTIONS"}
		for _, h := range allowedA.Headers {
			if h[0] == name {
				h[1] = large
			}
			request.Headers = append(request.Headers, h)
		}
		return request
	}
	answer := func(name string) cases.Upstream { return cases.Upstream{Headers: [][2]string{{name, large}}} }
	exchanges := []struct {
		request cases.Request
		up      cases.Upstream
	}{
		{preflight("Origin"), cases.Upstream{}},
		{preflight("Access-Control-Request-Method"), cases.Upstream{}},
		{preflight("Access-Control-Request-Headers"), cases.Upstream{}},
		{actualA, answer("vary")},
		{actualA, answer("access-control-allow-origin")},
		{actualB, answer("access-control-expose-headers")},
		{actualA, answer("x-other")},
		{plain, answer("vary")},
		{cases.Request{Headers: [][2]string{{"Upgrade", large}, {"Origin", "https://a.example"}}}, cases.Upstream{}},
	}
	flat(t, vm, 8*len(exchanges), 128<<20, func(i int) {
		x := exchanges[i%len(exchanges)]
		exchange(t, vm, root, x.request, x.up)
	})
	serves(t, vm, root, "https://a.example")
}

// TestBoundManyLines: answers of as many lines as can be.
func TestBoundManyLines(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, policyA)
	up := cases.Upstream{}
	for i := range 1_000 {
		up.Headers = append(up.Headers, [2]string{fmt.Sprintf("x-%d", i), "value"},
			[2]string{"access-control-expose-headers", "x"})
	}
	flat(t, vm, 100, 32<<20, func(int) { exchange(t, vm, root, actualA, up) })
}

// TestBoundTooLarge: what no Envoy hands over. The module takes none of it, rather
// than die, and allows no origin.
func TestBoundTooLarge(t *testing.T) {
	const tooLarge = 65 << 20
	vm := newVM(t)
	root := newRoot(t, vm, `{"allow_origins": ["https://a.example"], "upstream_cors_headers": "replace"}`)
	large := strings.Repeat("a", tooLarge)
	evil := [2]string{"Access-Control-Allow-Origin", "https://evil.example"}
	for name, x := range map[string]struct {
		request cases.Request
		up      cases.Upstream
	}{
		"origin": {cases.Request{Headers: [][2]string{{"Origin", large}}},
			cases.Upstream{Headers: [][2]string{evil}}},
		"requested method": {cases.Request{Method: "OPTIONS",
			Headers: [][2]string{{"Origin", "https://evil.example"}, {"Access-Control-Request-Method", large}}},
			cases.Upstream{Headers: [][2]string{evil}}},
		"an answer's header": {cases.Request{Headers: [][2]string{{"Origin", "https://evil.example"}}},
			cases.Upstream{Headers: [][2]string{evil, {"X-Other", large}}}},
		"vary": {plain, cases.Upstream{Headers: [][2]string{{"Vary", large}}}},
	} {
		t.Run(name, func(t *testing.T) {
			result := exchange(t, vm, root, x.request, x.up)
			if got := allowedOrigin(result); got != "" {
				t.Errorf("allowed origin %q", got)
			}
			serves(t, vm, root, "https://a.example")
		})
	}
	t.Run("configuration", func(t *testing.T) {
		refused, err := vm.NewRoot(strings.Repeat(" ", tooLarge))
		if !errors.Is(err, wasmhost.ErrRefused) {
			t.Fatal(err)
		}
		calls := refused.Calls()
		if want := "log critical the configuration is refused: it has 68157440 bytes, which is more than the filter can read"; calls[len(calls)-1] != want {
			t.Errorf("%.200q, want %q", calls[len(calls)-1], want)
		}
		serves(t, vm, root, "https://a.example")
	})
}

// TestBoundDenials: preflights that are denied for something new each time, as long
// as can be, for their reasons are texts that are made for each.
func TestBoundDenials(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"allow_origins": ["https://a.example"], "allow_headers": ["X-A"]}`)
	anything := newRoot(t, vm,
		`{"allow_origins": ["https://*.a.example"], "allow_methods": ["*"], "allow_headers": ["*"], "allow_credentials": true}`)
	names := strings.Repeat("x-a , ", 1_000)
	flat(t, vm, 40_000, 32<<20, func(i int) {
		n, to := fmt.Sprint(i), root
		preflight := [][2]string{{"Origin", "https://a.example"}, {"Access-Control-Request-Method", "GET"},
			{"Access-Control-Request-Headers", "x-" + n}}
		switch i % 5 {
		case 0:
			preflight[0][1] = "https://" + strings.Repeat("a.", 100) + n + ".example"
		case 1:
			preflight[1][1] = "METHOD-" + n
		case 2: // is not denied, and repeated
			preflight[0][1] = "https://" + strings.Repeat("a.", 100) + "n" + n + ".a.example"
			preflight[1][1], preflight[2][1], to = "METHOD-"+n, names+n, anything
		case 3:
			preflight[0][1] = "nonsense " + n
		}
		exchange(t, vm, to, cases.Request{Method: "OPTIONS", Headers: preflight}, cases.Upstream{})
	})
}

// TestBoundStreams: as many streams at once as Envoy has, again and again. What the
// most of them took is used again.
func TestBoundStreams(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"allow_origins": ["https://*.example"]}`)
	flat(t, vm, 4, 64<<20, func(int) {
		var streams []*wasmhost.Stream
		for i := range 20_000 {
			s := root.Begin(cases.Request{Headers: [][2]string{{"Origin", fmt.Sprintf("https://n%d.example", i)}}})
			if err := s.Request(); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		for _, s := range streams {
			if err := s.End(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestBoundShadow: what a stream keeps to compare its answer is small, whatever the request
// says, and nothing is kept of an answer.
func TestBoundShadow(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"], "mode": "shadow"}`)
	up := cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "https://a.example"}}}
	for i := range 1_000 {
		up.Headers = append(up.Headers, [2]string{fmt.Sprintf("x-%d", i), "1"},
			[2]string{"Access-Control-Expose-Headers", fmt.Sprintf("x-%d", i)})
	}
	long := strings.Repeat("a", 60<<10)
	requests := []cases.Request{
		preflight("https://a.example", strings.Repeat("x,", 4000)),
		preflight("https://a.example", strings.Repeat("x,", 30_000)),
		preflight(long, "x-a"),
		{Headers: [][2]string{{"Origin", "https://a.example"}, {"Cookie", long}}},
	}
	flat(t, vm, 4, 96<<20, func(int) {
		var streams []*wasmhost.Stream
		for i := range 2_000 {
			s := root.Begin(requests[i%len(requests)])
			if err := s.Request(); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		for i, s := range streams {
			if i%100 < len(requests) {
				if err := s.Response(up); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.End(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestBoundShadowAnswers: of answers larger than what the module keeps room for, each with a
// line less than the one before, nothing stays.
func TestBoundShadowAnswers(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"allow_origins": ["*"], "mode": "shadow"}`)
	const lines = 100
	large := [2]string{"x-large", strings.Repeat("a", 2<<20)}
	flat(t, vm, lines, 64<<20, func(i int) {
		up := cases.Upstream{Headers: [][2]string{large}}
		for range lines - i {
			up.Headers = append(up.Headers, [2]string{"x-a", ""}, [2]string{"access-control-expose-headers", "x-a"})
		}
		exchange(t, vm, root, actualA, up)
	})
}

// TestShadowKeepsNoPolicies: requests that wait for their answers, of policies that were
// replaced meanwhile, keep those not in memory, and are compared and counted all the same.
func TestShadowKeepsNoPolicies(t *testing.T) {
	vm := newVM(t)
	root := newRoot(t, vm, `{"policy_source": {"cluster": "policies"}}`)
	var waiting []*wasmhost.Stream
	flat(t, vm, 40, 32<<20, func(i int) {
		fetched(t, root, policies(`{"name": "p", "mode": "shadow", `+
			strings.TrimPrefix(sizedPolicy(mediumDocument, i), "{")))
		s := root.Begin(actualA)
		if err := s.Request(); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, s)
	})
	for _, s := range waiting {
		if err := s.Response(cases.Upstream{}); err != nil {
			t.Fatal(err)
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
	}
	if n := vm.Metrics()[counter("p", "shadow_looser")]; n != uint64(len(waiting)) {
		t.Errorf("%d are counted, want %d", n, len(waiting))
	}
}

// TestShadowFailureChangesNothing: of a bug in shadow mode the answer isn't the worse, and
// what wasn't decided is no difference.
func TestShadowFailureChangesNothing(t *testing.T) {
	_, vm := newFaultyVM(t)
	for mode, want := range map[string]string{"enforce": "", "shadow": "*"} {
		root := newRoot(t, vm, policies(countedPolicy("p", "a.test", mode)))
		for _, fault := range []string{"cookie", "cors.policy", "cors.reason"} {
			if mode == "enforce" && fault == "cookie" {
				continue // which is not asked for
			}
			before := vm.Metrics()["cors.panics"]
			result := exchange(t, vm, root, cases.Request{Host: "a.test", Headers: [][2]string{
				{"Origin", "https://evil.example"}, {"X-Fault", fault}}},
				cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "*"}}})
			if got := allowedOrigin(result); !result.Forwarded || got != want || vm.Metrics()["cors.panics"] == before {
				t.Errorf("%s, a fault at %s: %q, %+v", mode, fault, got, result)
			}
		}
	}
	for _, verdict := range []string{"looser", "stricter"} {
		if n := vm.Metrics()[counter("p", "shadow_"+verdict)]; n != 0 {
			t.Errorf("%d that were not decided are %s", n, verdict)
		}
	}
}

// TestBoundFetches: a source that never answers is asked once, and a plugin that goes
// leaves nothing of its question.
func TestBoundFetches(t *testing.T) {
	vm := newVM(t)
	config := `{"policy_source": {"cluster": "policies"}, "policies": [` +
		strings.Replace(policyA, "{", `{"name": "a", `, 1) + `]}`
	flat(t, vm, 1_000, 32<<20, func(int) {
		root := newRoot(t, vm, config)
		for range 5 {
			if err := root.Tick(); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(root.HTTPCalls()); n != 1 {
			t.Fatalf("%d fetches are under way", n)
		}
		if err := root.Delete(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBoundETag: a source that has a new document each time, and an ETag as long as the
// filter keeps, which goes out again, or as long as an Envoy may let through, which
// doesn't.
func TestBoundETag(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
		kept bool
	}{{"8 KiB", 8 << 10, true}, {"longer", 8<<10 + 1, false}, {"1 MiB", 1 << 20, false}} {
		t.Run(test.name, func(t *testing.T) {
			vm := newVM(t)
			root := newRoot(t, vm, `{"policy_source": {"cluster": "policies"}}`)
			fill := strings.Repeat("e", test.size-5)
			etag := func(i int) string { return fmt.Sprintf(`"%s%03d"`, fill, i) }
			flat(t, vm, 200, 32<<20, func(i int) {
				if err := root.Tick(); err != nil {
					t.Fatal(err)
				}
				call, asks := root.HTTPCalls()[0], ""
				for _, h := range call.Headers {
					if h[0] == "if-none-match" {
						asks = h[1]
					}
				}
				want := ""
				if i > 0 && test.kept {
					want = etag(i - 1)
				}
				if asks != want {
					t.Fatalf("fetch %d asks with %d bytes, want %d", i, len(asks), len(want))
				}
				if err := root.AnswerHTTPCall(call.Token, 200, [][2]string{{"etag", etag(i)}},
					fmt.Sprintf(`{"allow_origins": ["https://n%d.example"]}`, i)); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestBoundPanics: panics cost no memory and no more than a line in the log, and one
// while another is dealt with doesn't kill the VM.
func TestBoundPanics(t *testing.T) {
	_, vm := newFaultyVM(t)
	root := newRoot(t, vm, policyA)
	flat(t, vm, 20_000, 32<<20, func(i int) {
		fault := "origin"
		if i%2 == 1 {
			fault = "origin twice"
		}
		result := exchange(t, vm, root,
			cases.Request{Headers: [][2]string{{"Origin", "https://a.example"}, {"X-Fault", fault}}},
			cases.Upstream{Headers: [][2]string{{"Access-Control-Allow-Origin", "*"}}})
		if !result.Forwarded || allowedOrigin(result) != "" {
			t.Fatalf("%s: %+v", fault, result)
		}
	})
	if n := strings.Count(strings.Join(vm.Logs(), "\n"), "bug: panic"); n != 1 {
		t.Errorf("%d panics are logged", n)
	}
	exchange(t, vm, root, cases.Request{Headers: [][2]string{{"X-Fault", "none"}}}, cases.Upstream{})
	serves(t, vm, root, "https://a.example")
}

// TestBoundNesting: what a parser follows by calling itself is bounded, whoever
// wrote it.
func TestBoundNesting(t *testing.T) {
	const deep = 1 << 20
	vm := newVM(t)
	root := newRoot(t, vm, policyA)
	regex := func(text string) string { return `{"allow_origins": [{"regex": "` + text + `"}]}` }
	for name, config := range map[string]string{
		"lists":          strings.Repeat("[", deep),
		"objects":        strings.Repeat(`{"a":`, deep/5),
		"closed":         strings.Repeat("[", deep/2) + strings.Repeat("]", deep/2),
		"in a policy":    `{"allow_origins": ` + strings.Repeat("[", deep),
		"regex groups":   regex(strings.Repeat("(", deep/8) + strings.Repeat(")", deep/8)),
		"regex groups 2": regex("https://" + strings.Repeat("(a", 900) + strings.Repeat(")*", 900) + "[.]example"),
		"regex repeats":  regex("https://" + strings.Repeat("(", 100) + "a" + strings.Repeat("){2}", 100)),
		"regex classes":  regex(strings.Repeat("[^", deep/8)),
	} {
		t.Run(name, func(t *testing.T) {
			before := vm.MemorySize()
			if _, err := vm.NewRoot(config); err != nil && !errors.Is(err, wasmhost.ErrRefused) {
				t.Fatal(err)
			}
			if grown := vm.MemorySize() - before; grown > 256<<20 {
				t.Errorf("the memory has grown by %d bytes", grown)
			}
			serves(t, vm, root, "https://a.example")
		})
	}
}

// TestBoundLookups: origins that are made up, and hosts, each as long as can be, and all that
// may be asked and may wait at once.
func TestBoundLookups(t *testing.T) {
	lookup := newLookupTest(t, lookingUp(`, "max_entries": 100000`))
	host, label := strings.Repeat("h", 300), strings.Repeat("a", 230)
	request := func(i int) cases.Request {
		r := from(fmt.Sprintf("https://%s%d.example", label, i))
		r.Host = host
		return r
	}
	for i := range 80_000 { // nearly twice as many as there is room for
		lookup.try(lookup.begin(request(i)).End())
		lookup.answer(404)
	}
	for i := range 20 {
		var streams []*wasmhost.Stream
		for j := range 100 {
			for range 20 {
				streams = append(streams, lookup.begin(request(1_000_000+100*i+j)))
			}
		}
		for range 100 {
			lookup.answer(500)
		}
		for _, s := range streams {
			lookup.finish(s)
		}
	}
	// It has some 85 MB then, and 96 after half a million origins: where the collector gets to
	// its end differs from run to run, so that there is no saying which half takes more.
	if size := lookup.vm.MemorySize(); size > 128<<20 {
		t.Errorf("%d bytes", size)
	}
}

package filter

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// TestReplies: policies that inherit a long list have replies of many times the bound
// together. No more than the bound are kept, and all are right: when they are made, when
// they are used again, for an origin of another length too, and where there is no room for
// them.
func TestReplies(t *testing.T) {
	const policies = 300
	list := slices.Repeat([]string{strings.Repeat("X", 60)}, 400)
	for i := range list {
		list[i] = fmt.Sprintf(`"%s-%d"`, list[i], i)
	}
	var doc strings.Builder
	fmt.Fprintf(&doc,
		`{"defaults": {"allow_origins": ["https://a.example", "https://*.b.example"], "allow_headers": [%s], "allow_private_network": true}, "policies": [`, strings.Join(list, ","))
	for i := range policies {
		fmt.Fprintf(&doc, `%s{"name": "p%d", "match": {"hosts": ["h%[2]d.example"]}, "allow_methods": ["M-%[2]d"]}`,
			strings.Repeat(", ", min(i, 1)), i)
	}
	doc.WriteString(`]}`)
	c, problems := config.Parse(doc.String())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p := (&VM{Host: &sdkHost{}}).Unconfigured()
	p.use(c, nil)
	asked := 0
	ask := func(i int, privateNetwork bool) {
		t.Helper()
		asked++
		origin := [...]string{"https://a.example", "https://b.b.example", "https://longer.b.example"}[asked%3]
		s := p.policies.Lookup(match.Key{Host: fmt.Sprintf("h%d.example", i)})
		d := s.policy.Decide(&cors.Request{
			Method: "OPTIONS", Origin: origin, HasOrigin: true,
			RequestMethod: fmt.Sprintf("M-%d", i), PrivateNetwork: privateNetwork,
		})
		if _, ok := d.Variant(); !ok {
			t.Fatalf("policy %d: %+v", i, d.Why())
		}
		got := readHeaderMap(p.appendReply(nil, s, &d))
		if diff := cmp.Diff(d.AppendHeaders(nil), got); diff != "" {
			t.Errorf("policy %d, private network %t (-want +got):\n%.1000s", i, privateNetwork, diff)
		}
		for _, h := range []cors.Header{
			{Name: "access-control-allow-origin", Value: origin},
			{Name: "access-control-allow-methods", Value: fmt.Sprintf("M-%d", i)},
			{Name: "access-control-allow-private-network", Value: "true"},
		} {
			if want := privateNetwork || !strings.HasSuffix(h.Name, "network"); slices.Contains(got, h) != want {
				t.Errorf("policy %d, private network %t: has %q %t, want %t", i, privateNetwork, h, !want, want)
			}
		}
	}
	var kept int
	for round := range 3 {
		for i := range policies {
			ask(i, round == 1)
			ask(i, round != 1)
		}
		size, largest, n := 0, 0, 0
		for r := range keptReplies(p) {
			n++
			both := r[0].size() + r[1].size()
			if bytes := len(r[0].head) + len(r[0].tail) + len(r[1].head) + len(r[1].tail); both < bytes {
				t.Errorf("a reply of %d bytes counts as %d", bytes, both)
			}
			size, largest = size+both, max(largest, both)
		}
		if size != p.replySize || size > maxReplies+largest || size < maxReplies {
			t.Errorf("%d bytes are kept, and counted as %d; want %d, and at most one reply more", size, p.replySize,
				maxReplies)
		}
		if round == 0 {
			kept = n
		}
		if n != kept || kept >= policies/2 {
			t.Errorf("the replies of %d policies are kept, and were of %d", n, kept)
		}
	}
	// Those of the next document don't add to them.
	p.use(c, nil)
	ask(policies-1, false)
	n := 0
	for range keptReplies(p) {
		n++
	}
	if n != 1 {
		t.Errorf("the replies of %d policies are kept of an old document", n-1)
	}
}

// keptReplies are those of each policy that has some.
func keptReplies(p *Plugin) iter.Seq[*replies] {
	return func(yield func(*replies) bool) {
		for _, s := range p.policies.All() {
			if s.replies != nil && !yield(s.replies) {
				return
			}
		}
	}
}

// An answeringHost is a stillHost that takes down what is done to a request.
type answeringHost struct {
	stillHost
	done    []string
	defined Counter
}

func (h *answeringHost) Count(c Counter) { h.done = append(h.done, fmt.Sprint("count ", c)) }

func (h *answeringHost) DefineCounter(string) Counter {
	h.defined++
	return h.defined
}

func (h *answeringHost) SetFilterState(name string, value []byte) {
	h.done = append(h.done, fmt.Sprintf("%s: %s", name, value))
}

func (h *answeringHost) Reply(status int, details string, headers []byte) {
	h.done = append(h.done, fmt.Sprintf("%d %s %q", status, details, readHeaderMap(headers)))
}

// TestPreflightAgain: a preflight that is answered without a decision, because its answer is
// kept ready, is answered and counted as the first one was.
func TestPreflightAgain(t *testing.T) {
	const origins = `"allow_origins": ["https://a.example", "https://*.b.example"]`
	for _, test := range []struct {
		name, config string
		kept         bool // the answer to one of the preflights is
	}{
		{"lists", `{` + origins + `, "allow_methods": ["PUT"], "allow_headers": ["x-a"]}`, true},
		{"credentials", `{` + origins + `, "allow_methods": ["PUT"], "allow_headers": ["x-a"], ` +
			`"allow_credentials": true}`, true},
		{"every name", `{"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]}`, true},
		{"every name with credentials", `{` + origins + `, "allow_methods": ["*"], "allow_headers": ["*"], ` +
			`"allow_credentials": true}`, false},
		{"status, private network and debug", `{` + origins + `, "allow_methods": ["PUT"], "allow_headers": ["x-a"], ` +
			`"preflight_status": 200, "allow_private_network": true, "debug": true, "max_age": 5}`, true},
		{"forward", `{` + origins + `, "allow_methods": ["PUT"], "unmatched_preflights": "forward"}`, true},
		{"shadow", `{` + origins + `, "allow_methods": ["PUT"], "mode": "shadow"}`, false},
		{"off", `{"mode": "off"}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, problems := config.Parse(test.config)
			if c == nil {
				t.Fatal(problems)
			}
			host := &answeringHost{}
			host.response = []cors.Header{{Name: ":status", Value: "200"}}
			vm := &VM{Host: host}
			p := vm.Unconfigured()
			ask := func(request []cors.Header) []string {
				host.request, host.done = request, nil
				s := p.NewStream(1)
				s.OnHttpRequestHeaders(0, true)
				host.done = append(host.done, fmt.Sprintf("%+v", s.edits))
				s.Release()
				return host.done
			}
			p.use(c, vm.counters)
			for _, origin := range []string{"https://a.example", "https://x.b.example", "https://evil.example", "bad"} {
				for _, method := range []string{"GET", "PUT", "put", "TRACE"} {
					for _, header := range []string{"", "x-a", "authorization", "x-a,,X-A", strings.Repeat("x-a,", 2049)} {
						for _, network := range []string{"true", "false"} {
							request := []cors.Header{
								{Name: ":method", Value: "OPTIONS"}, {Name: "origin", Value: origin},
								{Name: "access-control-request-method", Value: method},
								{Name: "access-control-request-headers", Value: header},
								{Name: "access-control-request-private-network", Value: network},
							}
							again := ask(request)
							all := p.policies.All()
							kept := all[0].replies
							all[0].replies = nil
							if diff := cmp.Diff(ask(request), again); diff != "" {
								t.Errorf("%.200q (-first +again):\n%s", request, diff)
							}
							if kept != nil {
								all[0].replies = kept
							}
						}
					}
				}
			}
			if kept := p.policies.All()[0].replies != nil; kept != test.kept {
				t.Errorf("an answer is kept: %v, want %v", kept, test.kept)
			}
		})
	}
}

// A removing is a host that takes down what is removed of an answer.
type removing struct {
	stillHost
	removed []string
}

func (h *removing) RemoveResponseHeader(name string) { h.removed = append(h.removed, name) }

// TestFail: where a callback has failed, no page may read the answer; a policy that changes nothing leaves it as it is.
func TestFail(t *testing.T) {
	for shadowed, want := range map[bool][]string{
		false: {"access-control-allow-origin", "access-control-allow-credentials"}, true: nil,
	} {
		host := &removing{}
		s := (&VM{Host: host}).Unconfigured().NewStream(1)
		if shadowed {
			s.shadow = &shadow{}
		}
		s.Fail()
		if !slices.Equal(host.removed, want) || s.failed == shadowed {
			t.Errorf("in the mode shadow %t: %q are removed, and it has failed: %t", shadowed, host.removed, s.failed)
		}
	}
}

package envoy_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/docs"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A fate is what becomes of a request, in a word that docs/faults.md explains.
type fate string

const (
	served     fate = "served"
	unreadable fate = "unreadable"
	refused    fate = "403"
	failed     fate = "503"
	waits      fate = "waits"
	unfiltered fate = "unfiltered"
)

// An outcome is what becomes of the requests to a worker in which a callback fails.
type outcome struct {
	that      fate // which the callback is for, or that asked for the fault
	upstream  fate // one that waits for the upstream meanwhile
	preflight fate // one that is paused for a look-up, "" if there was none
	answer    fate // one whose answer is held for that, "" if there was none
	next      fate // the next one
}

// A callbackTest has a callback fail.
type callbackTest struct {
	callback string
	when     string // it is called
	// cause has the callback called in the VM, nil if the request that asks for the fault does.
	cause func(v *victim)
	// late says that it is called when nothing is under way any more.
	late bool
	// source gives the plugin a policy source, which the VM fetches from with fetches. With lookups
	// requests wait for look-ups, whatever the fault.
	source, fetches, lookups bool
	panics                   func(policy string) outcome // of a panic, and
	dies                     func(policy string) outcome // of a death
}

// policies are the failure policies, and what becomes of the next request after a death.
var policies = []string{"FAIL_RELOAD", "FAIL_CLOSED", "FAIL_OPEN"}

var next = map[string]fate{"FAIL_RELOAD": served, "FAIL_CLOSED": failed, "FAIL_OPEN": unfiltered}

// caught is the outcome of a panic that is caught.
func caught(that fate) func(string) outcome {
	return func(string) outcome { return outcome{that, served, served, served, served} }
}

// deadly is that of a death.
func deadly(that fate) func(string) outcome {
	return func(policy string) outcome { return outcome{that, failed, waits, waits, next[policy]} }
}

// deadlyLate is that of a death when nothing is under way any more.
func deadlyLate(policy string) outcome { return outcome{served, served, served, served, next[policy]} }

// deadlyAtFirst is that of a death as a plugin is created. Envoy keeps what has died so for its
// plugin, and loads nothing in its place.
func deadlyAtFirst(policy string) outcome {
	if policy == "FAIL_RELOAD" {
		policy = "FAIL_CLOSED"
	}
	return deadly(served)(policy)
}

// halfCaught is that of a panic in what ends the waiting for a look-up, which then has failed.
func halfCaught(string) outcome { return outcome{served, served, refused, unreadable, served} }

// caughtReading is that of a panic while a configuration is read, which then allows no origin.
func caughtReading(string) outcome { return outcome{served, served, served, served, unreadable} }

var callbackTests = []callbackTest{{
	callback: "proxy_on_context_create of a plugin", when: "an update arrives",
	cause: (*victim).update, panics: caught(served), dies: deadlyAtFirst,
}, {
	callback: "proxy_on_context_create of a plugin, reading", when: "an update arrives",
	cause: (*victim).update, panics: caughtReading, dies: deadlyAtFirst,
}, {
	callback: "proxy_on_delete of a plugin", when: "the last request ends that began before an update",
	cause: (*victim).update, late: true, panics: caught(served), dies: deadlyLate,
}, {
	callback: "proxy_on_context_create of a stream", when: "a request begins",
	cause: (*victim).request, panics: deadly(failed), dies: deadly(failed),
}, {
	callback: "proxy_on_request_headers", when: "a request's headers are there",
	panics: caught(unreadable), dies: deadly(failed),
}, {
	callback: "proxy_on_response_headers", when: "an answer's headers are there",
	panics: caught(unreadable), dies: deadly(failed),
}, {
	callback: "proxy_on_delete of a stream", when: "a request is over",
	panics: deadly(served), dies: deadly(served),
}, {
	callback: "proxy_on_memory_allocate", when: "Envoy hands over a value, within another callback",
	panics: deadly(failed), dies: deadly(failed),
}, {
	callback: "proxy_on_http_call_response", when: "a look-up is answered",
	cause: (*victim).answerLookups, lookups: true, panics: halfCaught, dies: deadly(served),
}, {
	callback: "proxy_on_http_call_response", when: "a policy source answers",
	cause: (*victim).answerSource, source: true, fetches: true, panics: caught(served), dies: deadly(served),
}, {
	callback: "proxy_on_tick", when: "a policy source may be due",
	cause: func(*victim) {}, source: true, panics: caught(served), dies: deadly(served),
}, {
	callback: "proxy_on_queue_ready", when: "a VM has fetched a document",
	cause: (*victim).publishMore, source: true, panics: caught(served), dies: deadly(served),
}}

// TestFaults: each callback fails in each way, under each failure policy, while requests wait for
// the upstream and for look-ups. What becomes of them all is as docs/faults.md has it, another
// worker serves meanwhile, the next update makes all well, and nothing is left.
func TestFaults(t *testing.T) {
	t.Parallel()
	var victims []*victim
	panics := configurationPanics * len(policies)
	for _, test := range callbackTests {
		victims = append(victims, &victim{
			title: test.callback + " as " + test.when, source: test.source, fetches: test.fetches,
			policy: "FAIL_CLOSED", backoff: "0.01s",
		})
		if test.catches() {
			panics += len(policies)
		}
	}
	last := len(victims)
	victims = append(victims, &victim{title: "configurations", policy: "FAIL_CLOSED"})
	startVictims(t, victims)
	together(t, victims, func(i int, v *victim) {
		if i == last {
			v.testConfigurations()
			return
		}
		v.test(&callbackTests[i])
	})
	envoy := victims[0].envoy
	envoytest.Eventually(t, 20*time.Second, "all requests to be over", func() bool {
		return envoy.Stats(t)["cluster.upstream.upstream_rq_active"] == 0
	})
	// A stack that overflows as Envoy asks for memory may be a panic of the callback around it first.
	if n := int(envoy.Stats(t)["wasmcustom.cors.panics"]); n != panics && n != panics+1 {
		t.Errorf("%d panics are counted, want %d or one more", n, panics)
	}
}

// catches tells whether a panic is caught.
func (c *callbackTest) catches() bool { return c.panics("FAIL_CLOSED").next != failed }

// test has the callback fail.
func (v *victim) test(test *callbackTest) {
	reloads := 0
	for _, policy := range policies {
		for _, kind := range []string{"panic", "memory", "stack", "throw", "deadlock", "trap"} {
			want := test.dies(policy)
			if kind == "panic" {
				want = test.panics(policy)
			}
			if kind != "panic" && kind != "memory" {
				if policy != "FAIL_RELOAD" {
					continue // A death is a death.
				}
				if !test.lookups {
					want.preflight, want.answer = "", ""
				}
			}
			if policy == "FAIL_RELOAD" && (kind != "panic" || !test.catches()) {
				reloads++
			}
			v.refresh(policy)
			if got := v.fail(test, kind, want); got != want {
				v.Errorf("%s, %s:\n got %q\nwant %q", policy, kind, got, want)
			}
			if got := v.get(v.there, ofApp()).fate; got != served {
				v.Errorf("%s, %s: the other worker: %s", policy, kind, got)
			}
		}
	}
	v.refresh("FAIL_RELOAD")
	v.hangUp()
	envoytest.Eventually(v.T, 20*time.Second, "connections and requests to be over", func() bool {
		stats := v.envoy.Stats(v.T)
		return stats["http."+v.name+".downstream_cx_active"] == 0 && stats["http."+v.name+".downstream_rq_active"] == 0
	})
	stats := v.envoy.Stats(v.T)
	loaded, not := stats["wasm."+v.name+".vm_reload_success"], stats["wasm."+v.name+".vm_reload_failure"]
	if kept := test.dies("FAIL_RELOAD").next == failed; kept != (not > 0) || !kept && int(loaded) != reloads {
		v.Errorf("%d VMs were loaded anew, and %d not; %d have died", loaded, not, reloads)
	}
}

// TestFaultsDocumented: docs/faults.md has what TestFaults tests.
func TestFaultsDocumented(t *testing.T) {
	want := "\n| callback | called when | fault | that request | one at the upstream | a paused preflight |" +
		" a held answer | the next one |\n|---|---|---|---|---|---|---|---|\n"
	for _, test := range callbackTests {
		panics, dies := test.row(test.panics), test.row(test.dies)
		if panics == dies {
			want += test.called() + " either" + dies
		} else {
			want += test.called() + " panic" + panics + test.called() + " death" + dies
		}
	}
	want += "\n"
	docs.Section{
		Page: "faults.md", Name: "callbacks", Command: "go -C e2e test ./envoy -run TestFaultsDocumented -update",
	}.Check(t, want)
}

// called is how the callback's rows of the table begin.
func (c *callbackTest) called() string {
	name, of, _ := strings.Cut(c.callback, " ")
	return strings.TrimSpace("| `"+name+"` "+of) + " | " + c.when + " |"
}

// row is how a row of the table ends that has the outcomes of a fault.
func (c *callbackTest) row(outcomes func(policy string) outcome) string {
	o := outcomes(policies[0])
	var nexts []string
	for _, policy := range policies {
		nexts = append(nexts, string(outcomes(policy).next))
	}
	if same := slices.Compact(slices.Clone(nexts)); len(same) == 1 {
		nexts = same
	}
	next := strings.Join(nexts, " / ")
	return fmt.Sprintf(" | %s | %s | %s | %s | %s |\n", o.that, o.upstream, o.preflight, o.answer, next)
}

// configurationTests are faults of the VM in which Envoy tries a configuration, by a mark in
// that.
var configurationTests = []struct {
	fault string
	taken bool // by Envoy
	// serves is what becomes of requests then, by the configuration if Envoy has taken it.
	serves func(policy string) outcome
}{
	// The configuration is read as the callback to configure comes.
	{"X-Create-Fault-Panic", true, caught(served)},
	// Envoy doesn't ask what has died. Each worker dies of it, too.
	{"X-Create-Fault-Memory", true, deadlyAtFirst},
	{"X-Configure-Fault-Panic", false, caught(served)},
	{"X-Configure-Fault-Memory", false, caught(served)},
	// It has been read, and is good.
	{"X-Late-Fault-Memory", false, caught(served)},
}

// configurationPanics are how many of them are panics.
const configurationPanics = 2

// testConfigurations: what fails as Envoy tries it changes nothing, under any failure policy. A worker
// that is to fail when it is called to configure does not even try.
func (v *victim) testConfigurations() {
	updates := func() (taken, refused uint64) {
		stats := v.envoy.Stats(v.T)
		prefix := "extension_config_discovery.http_filter." + v.name + ".update_"
		return stats[prefix+"success"], stats[prefix+"rejected"]
	}
	for _, policy := range policies {
		for _, test := range configurationTests {
			v.refresh(policy)
			serving := v.current()
			taken, refused := updates()
			v.deliver(test.fault)
			if test.taken {
				serving = v.current()
				taken++
			} else {
				refused++
			}
			envoytest.Eventually(v.T, 20*time.Second, policy+", "+test.fault+" to be taken or refused", func() bool {
				t, r := updates()
				return t == taken && r == refused
			})
			want := test.serves(policy).next
			what := fmt.Sprintf("%s, %s: %s by %s", policy, test.fault, want, serving)
			envoytest.Eventually(v.T, 20*time.Second, what, func() bool {
				here, there := v.who(v.here[0]), v.who(v.there)
				return here.fate == want && there.fate == want &&
					(want != served || here.configuration == serving && there.configuration == serving)
			})
		}
		v.refresh(policy)
		armed := ofApp([2]string{"x-fault", "proxy_on_configure memory"})
		if got := v.get(v.here[0], armed).fate; got != served {
			v.Error(got)
		}
		v.update()
		envoytest.Eventually(v.T, 20*time.Second, "a worker to take a configuration before it is called to configure",
			func() bool { return v.who(v.here[0]).configuration == v.current() })
		if got := v.who(v.here[0]).vm; got != v.vm+"proxy_on_configure" {
			v.Errorf("%s: %s serves, want %s", policy, got, v.vm)
		}
		// It would else go on waiting for its fault, as a VM that tries the next one has none.
		v.get(v.here[0], ofApp([2]string{"x-fault", "proxy_on_none none"}))
	}
}

// replaceFile replaces a file by one with a text, at once.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

package differential_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/docs"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/choices"
)

// The test asks the same each time; other seeds, and more of them, are for whoever looks for other differences.
var (
	seed  = flag.Uint64("seed", usualSeed, "what the random policies and requests begin with")
	times = flag.Int("times", 1, "how many `times` as many policies")
)

// usualSeed is the one whose differences are all that docs/differences.md has.
const usualSeed = 18

// An observation is a policy, and mostly a request, in which two answer differently.
type observation struct {
	who string
	policy
	request
	aspect       string // "configuration" if one of them refuses the policy
	ours, theirs string
}

func (o *observation) String() string {
	return fmt.Sprintf("%s: %s is %q here, %q there\n    %s\n    %s", o.who, o.aspect, o.ours, o.theirs,
		o.json(), o.request)
}

// compare asks both for policies and requests at random, and hands over what differs.
func compare(who string, construct func(p policy) (server, string), differs func(o *observation)) {
	random := rand.New(rand.NewPCG(*seed, 2))
	for range 1500 * *times {
		bytes := make([]byte, 1000)
		for i := range bytes {
			bytes[i] = byte(random.Uint32())
		}
		c := choices.Of(bytes)
		p := newPolicy(c)
		ours, refusedHere := newOurs(p)
		theirs, refusedThere := construct(p)
		if refusedHere != "" || refusedThere != "" {
			if (refusedHere == "") != (refusedThere == "") {
				differs(&observation{
					who: who, policy: p, aspect: "configuration", ours: refusedHere, theirs: refusedThere,
				})
			}
			continue
		}
		for range 40 {
			r := newRequest(c)
			compareOne(who, p, r, outcomeOf(ours, r), outcomeOf(theirs, r), differs)
		}
	}
}

func compareOne(who string, p policy, r request, mine, others outcome, differs func(o *observation)) {
	for _, aspect := range slices.Sorted(maps.Keys(mine)) {
		theirs, there := others[aspect]
		if there && theirs != mine[aspect] {
			differs(&observation{who, p, r, aspect, mine[aspect], theirs})
		}
	}
}

// TestDifferences: each difference is of a kind that docs/differences.md has, and each kind occurs.
func TestDifferences(t *testing.T) {
	for who, construct := range map[string]func(p policy) (server, string){jub0bsCORS: newJub0bs, rsCORS: newRS} {
		t.Run(who, func(t *testing.T) {
			seen := newTally(who)
			compare(who, construct, seen.add)
			seen.report(t)
		})
	}
}

// A tally has what was seen of the kinds of one who.
type tally struct {
	who     string
	count   map[string]int
	unknown map[string]*observation // an example of each
}

func newTally(who string) *tally { return &tally{who, map[string]int{}, map[string]*observation{}} }

func (y *tally) add(o *observation) {
	for _, k := range kinds {
		if k.who == o.who && k.is(o) {
			y.count[k.what]++
			return
		}
	}
	y.unknown[o.aspect+o.ours+o.theirs] = o
}

// report fails the test if a difference is of no kind, or a kind has none: with the usual seed, as with another
// one a rare kind may not occur.
func (y *tally) report(t *testing.T) {
	t.Helper()
	for _, o := range y.unknown {
		t.Errorf("a difference of no kind: %s", o)
	}
	for _, k := range kinds {
		if k.who == y.who && y.count[k.what] == 0 && *seed == usualSeed {
			t.Errorf("there is no such difference: %s", k.what)
		} else if k.who == y.who {
			t.Logf("%d times: %s", y.count[k.what], k.what)
		}
	}
}

// TestDocumented: docs/differences.md has the kinds, and no others.
func TestDocumented(t *testing.T) {
	want := "\n| there | what differs | who is right |\n|---|---|---|\n"
	for _, k := range kinds {
		want += fmt.Sprintf("| %s | %s | %s |\n", k.who, k.what, k.right)
	}
	want += "\n"
	docs.Section{Page: "differences.md", Name: "differences", Command: "go -C e2e test ./differential -update"}.
		Check(t, want)
}

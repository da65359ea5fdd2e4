// Package choices makes choices of a fuzzer's bytes, so that a fuzz target of structures rather
// than of texts is a generator that reads as one of random values: what the fuzzer finds out about
// the code steers what is chosen, and a failure is a seed that says the same each time.
package choices

import (
	"flag"
	"math/rand/v2"
	"testing"
)

// Choices are what is chosen, one after the other. When the bytes have run out each choice is the
// first one, and [Choices.More] says so.
type Choices struct{ rest []byte }

// Of makes choices of bytes.
func Of(bytes []byte) *Choices { return &Choices{bytes} }

// More reports whether there are bytes left.
func (c *Choices) More() bool { return len(c.rest) > 0 }

// N chooses a number from 0 to n-1, at most 256.
func (c *Choices) N(n int) int {
	if !c.More() {
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return int(b) % n
}

// Yes chooses to do something in one of n cases.
func (c *Choices) Yes(n int) bool { return c.N(n) == n-1 }

// Text takes up to n of the bytes as they are.
func (c *Choices) Text(n int) string {
	n = min(c.N(n+1), len(c.rest))
	text := string(c.rest[:n])
	c.rest = c.rest[n:]
	return text
}

// One chooses one of the values.
func One[T any](c *Choices, of ...T) T { return of[c.N(len(of))] }

// Some chooses up to most of the values, each at most once, in any order. There are none
// as often as there is any other number.
func Some[T any](c *Choices, most int, of ...T) (some []T) {
	of = append([]T(nil), of...)
	for range c.N(min(most, len(of)) + 1) {
		i := c.N(len(of))
		some = append(some, of[i])
		of = append(of[:i], of[i+1:]...)
	}
	return some
}

// Rounds is how many random inputs a test takes of n: a tenth of them with -short, as where tests
// are run for each of a thousand mutants of the code.
func Rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// Few is a list, or each tenth of its elements with -short.
func Few[T any](list []T) (few []T) {
	if !testing.Short() {
		return list
	}
	for i := 0; i < len(list); i += 10 {
		few = append(few, list[i])
	}
	return few
}

// few is how many seeds a fuzzer begins with: it measures each first, which takes long.
const few = 50

// Seed adds n seeds of so many bytes at random, always the same, so that without a fuzzer the target
// is a test with as many random inputs.
func Seed(f *testing.F, n, size int) {
	f.Helper()
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing != nil && fuzzing.Value.String() != "" {
		n = min(n, few)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range Rounds(n) {
		seed := make([]byte, size)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		f.Add(seed)
	}
}

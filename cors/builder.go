package cors

import "github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

// A builder compiles a list of a policy, and reports what is wrong with its entries.
type builder struct {
	reporter Reporter
	field    string
	// The entry that is compiled: its index, -1 for the list as a whole, and where it
	// stands.
	index, offset int
	credentials   bool // the policy allows them
	failed        bool // something is more than a warning
}

// at makes an entry the one that is compiled.
func (b *builder) at(index, offset int) { b.index, b.offset = index, offset }

// whole makes what is said next be about the list as a whole.
func (b *builder) whole() { b.at(-1, 0) }

// wants reports whether a problem of the entry is to be described. It is asked before
// words are put together for a problem of which there may be thousands.
func (b *builder) wants(warning bool) bool {
	b.failed = b.failed || !warning
	return b.reporter.Wants(warning)
}

// report describes a problem that is wanted.
func (b *builder) report(kind problem.Kind, what, instead string, warning bool) {
	b.reporter.Report(Problem{
		Kind: kind, Field: b.field, Index: b.index, Offset: b.offset, What: what, Instead: instead, Warning: warning,
	})
}

func (b *builder) fail(kind problem.Kind, what, instead string) {
	if b.wants(false) {
		b.report(kind, what, instead, false)
	}
}

func (b *builder) warn(kind problem.Kind, what, instead string) {
	if b.wants(true) {
		b.report(kind, what, instead, true)
	}
}

package problem

// A Builder reports the problems of a field, an entry after the other.
type Builder struct {
	_     incomparable
	To    Reporter
	Field string
	// The entry that problems are about: its index, -1 for the field as a whole, and where
	// it stands.
	index, offset int
	// Rule is the index of the rule that the field is of.
	Rule int32
	// Failed says that something is more than a warning.
	Failed  bool
	warning bool // what Wants was asked for is one
}

// NewBuilder is a Builder whose problems are about the field as a whole, until [Builder.At]
// is called.
func NewBuilder(to Reporter, field string) Builder { return Builder{To: to, Field: field, index: -1} }

// At makes an entry the one that is compiled.
func (b *Builder) At(index, offset int) { b.index, b.offset = index, offset }

// Whole makes what is said next be about the list as a whole.
func (b *Builder) Whole() { b.At(-1, 0) }

// Wants reports whether a problem of the entry is to be described, by Report. It is asked
// before words are put together for a problem of which there may be thousands. It isn't
// inlined: the copies would add 2 kB to the module.
//
//go:noinline
func (b *Builder) Wants(warning bool) bool {
	b.warning, b.Failed = warning, b.Failed || !warning
	return b.To.Wants(warning)
}

// Report describes a problem that is wanted, a warning if Wants was last asked for one.
func (b *Builder) Report(kind Kind, what, instead string) {
	b.To.Report(Problem{
		Kind: kind, Warning: b.warning, Rule: int(b.Rule), Field: b.Field, Index: b.index, Offset: b.offset,
		What: what, Instead: instead,
	})
}

// Fail reports what is wrong.
func (b *Builder) Fail(kind Kind, what, instead string) {
	if b.Wants(false) {
		b.Report(kind, what, instead)
	}
}

// Warn reports what is doubtful.
func (b *Builder) Warn(kind Kind, what, instead string) {
	if b.Wants(true) {
		b.Report(kind, what, instead)
	}
}

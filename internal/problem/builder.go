package problem

// A Builder reports the problems of one field, an entry after the other.
type Builder struct {
	To    Reporter
	Field string
	// Failed says that something is more than a warning.
	Failed bool
	// The entry that problems are about: its index, -1 for the field as a whole, and where
	// it stands.
	index, offset int
}

// At makes an entry the one that is compiled.
func (b *Builder) At(index, offset int) { b.index, b.offset = index, offset }

// Whole makes what is said next be about the list as a whole.
func (b *Builder) Whole() { b.At(-1, 0) }

// Wants reports whether a problem of the entry is to be described. It is asked before
// words are put together for a problem of which there may be thousands.
func (b *Builder) Wants(warning bool) bool {
	b.Failed = b.Failed || !warning
	return b.To.Wants(warning)
}

// Report describes a problem that is wanted.
func (b *Builder) Report(kind Kind, what, instead string, warning bool) {
	b.To.Report(Problem{
		Kind: kind, Field: b.Field, Index: b.index, Offset: b.offset, What: what, Instead: instead, Warning: warning,
	})
}

// Fail reports what is wrong.
func (b *Builder) Fail(kind Kind, what, instead string) {
	if b.Wants(false) {
		b.Report(kind, what, instead, false)
	}
}

// Warn reports what is doubtful.
func (b *Builder) Warn(kind Kind, what, instead string) {
	if b.Wants(true) {
		b.Report(kind, what, instead, true)
	}
}

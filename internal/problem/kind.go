package problem

// A Kind says what is wrong, for code that has to tell problems apart: the words are for
// people, and may be put better any time.
type Kind uint8

// The kinds of problems. The zero Kind is none.
const (
	_ Kind = iota
	// Syntax: the text isn't JSON, or YAML, in UTF-8.
	Syntax
	// Unreadable: a file that is named can't be read.
	Unreadable
	// Placeholder: something stands there that another tool was to fill in, such as ${ORIGIN}.
	Placeholder
	// UnknownField: an object has a field that the format doesn't have.
	UnknownField
	// MisplacedField: the format has the field, but not there.
	MisplacedField
	// WrongType: a value is of another type or form than its field takes.
	WrongType
	// Missing: what is required isn't there, or is empty.
	Missing
	// InvalidValue: a text or number is none that the field takes, such as a word that isn't
	// one of those to choose from.
	InvalidValue
	// OutOfRange: a number is smaller or larger than it may be.
	OutOfRange
	// TooLarge: something is longer, deeper, or takes more work or memory than it may.
	TooLarge
	// Duplicate: the same stands there before.
	Duplicate
	// Superfluous: other entries of the list cover this one.
	Superfluous
	// Conflict: two policies match the same.
	Conflict
	// NotOrigin: a text is no origin, and no pattern of origins.
	NotOrigin
	// WildcardMisplaced: a star stands where no wildcard can.
	WildcardMisplaced
	// Literal: a name stands for itself alone, where other tools read more into it, such as
	// X-* or the method "all".
	Literal
	// NeverSent: right as it is, or nearly, and no browser sends it, such as an origin in
	// upper case, or with its scheme's default port.
	NeverSent
	// EverySite: with credentials, every site could act as the visitor.
	EverySite
	// OtherOwners: sites of other owners than the one that is meant are matched too.
	OtherOwners
	// PlainHTTP: with credentials, an origin that anyone on the network can speak for.
	PlainHTTP
	// NullOrigin: with credentials, the origin that every sandboxed frame has.
	NullOrigin
	// RegexInvalid: a regex that isn't one of RE2.
	RegexInvalid
	// RegexTooCostly: a regex, or all of them, takes too much work to compile or to judge.
	RegexTooCostly
	// RegexNull: a regex matches "null", which no regex allows.
	RegexNull
	// InvalidName: a method's or a header's name that isn't a token.
	InvalidName
	// Forbidden: a method, or a header, that no page can use.
	Forbidden
	// InvalidHost: an entry of match.hosts that no request's host is like.
	InvalidHost
	// InvalidPath: an entry of match.paths that no request's path is like.
	InvalidPath

	// Bypassed: what stands around a configuration keeps it from having an effect.
	Bypassed
	// NotCarriedOver: a conversion leaves something out, or writes it otherwise.
	NotCarriedOver
	// Unexpected: a test's result is another than its author expects.
	Unexpected

	// More stands for problems that are counted, and not described.
	More

	numKinds
)

// String is the kind's name, such as "unknown_field", for tests and for what reads output.
func (k Kind) String() string {
	if k < numKinds {
		return names[k]
	}
	return ""
}

var names = [numKinds]string{
	Syntax: "syntax", Unreadable: "unreadable", Placeholder: "placeholder",
	UnknownField: "unknown_field", MisplacedField: "misplaced_field", WrongType: "wrong_type", Missing: "missing",
	InvalidValue: "invalid_value", OutOfRange: "out_of_range", TooLarge: "too_large",
	Duplicate: "duplicate", Superfluous: "superfluous", Conflict: "conflict",
	NotOrigin: "not_origin", WildcardMisplaced: "wildcard_misplaced", Literal: "literal", NeverSent: "never_sent",
	EverySite: "every_site", OtherOwners: "other_owners", PlainHTTP: "plain_http", NullOrigin: "null_origin",
	RegexInvalid: "regex_invalid", RegexTooCostly: "regex_too_costly", RegexNull: "regex_null",
	InvalidName: "invalid_name", Forbidden: "forbidden", InvalidHost: "invalid_host", InvalidPath: "invalid_path",
	Bypassed: "bypassed", NotCarriedOver: "not_carried_over", Unexpected: "unexpected", More: "more",
}

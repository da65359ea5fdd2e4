package problem

// A Kind says what is wrong, for code that has to tell problems apart: the words are for
// people, and may be put better any time.
type Kind uint8

// The kinds of problems. The zero Kind is none.
const (
	_ Kind = iota

	Syntax         // the text isn't JSON, or YAML, in UTF-8
	Unreadable     // a file that is named can't be read
	Placeholder    // something stands there that another tool was to fill in, such as ${ORIGIN}
	UnknownField   // the format doesn't have the field
	MisplacedField // the format has the field, but not there
	WrongType      // a value is of another type or form than its field takes
	Missing        // what is required isn't there, or is empty
	InvalidValue   // a text or number is none that the field takes, such as a word not among those to choose from
	OutOfRange     // a number is smaller or larger than it may be, or than browsers heed
	TooLarge       // something is longer or deeper, or takes more memory or work, than it may
	Duplicate      // the same stands there before
	Superfluous    // other entries of the list cover this one
	Conflict       // two policies match the same

	NotOrigin         // a text is no origin, and no pattern of origins
	WildcardMisplaced // a star stands where no wildcard can
	Literal           // stands for itself alone, where other tools read more into it: X-*, the method "all"
	NeverSent         // no browser sends it as it stands, such as an origin in upper case or with its default port
	EverySite         // with credentials, every site could act as the visitor
	OtherOwners       // sites of others than whom is meant are matched too
	PlainHTTP         // with credentials, an origin that anyone on the network can speak for
	NullOrigin        // with credentials, the origin that every sandboxed frame has
	RegexInvalid      // a regex isn't one of RE2
	RegexTooCostly    // a regex, or all of them, takes too much work to compile or to judge
	RegexNull         // a regex matches "null", which no regex allows
	InvalidName       // the name of a method or a header isn't a token
	Forbidden         // a method, or a header, that no page can use
	InvalidHost       // an entry of match.hosts that is no host
	InvalidPath       // an entry of match.paths that is no path

	Bypassed       // what stands around a configuration keeps it from having an effect
	NotCarriedOver // a conversion leaves something out, or writes it otherwise
	Unexpected     // a test's result is another than its author expects
	More           // stands for problems that are counted, and not described

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

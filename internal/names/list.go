// Package names compiles the lists of names that a policy has: methods, and headers of
// requests and of answers.
package names

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/forbidden"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// MaxList is how many bytes the value of a header may have that lists what a policy
// allows. It goes out with each preflight, or with each answer; browsers and proxies
// refuse headers long before they have a hundred thousand bytes.
const MaxList = 32 << 10

// A Field is a field of a policy that lists names.
type Field uint8

// The fields.
const (
	Methods Field = iota
	RequestHeaders
	ExposedHeaders
)

// A List is a compiled list. It is immutable, and policies may share it.
type List struct {
	// Value is that of the header; "" for no header, or, with "*" and credentials, for
	// one that repeats what the preflight asks for.
	Value string
	// few has the names if there are no more than fewNames, which are compared sooner than
	// hashed, and names has them else. Those of headers are in lower case.
	few     []string
	names   map[string]struct{}
	longest uint16 // what is longer isn't looked for
	of      Field
	// Any says that the list is "*", with what may stand beside it.
	Any bool
}

const fewNames = 8

// Has reports whether the list has a method, or a header's name in lower case.
func (l *List) Has(name string) bool {
	for _, few := range l.few {
		if few == name {
			return true
		}
	}
	_, ok := l.names[name]
	return ok
}

// HasHeader looks a header's name up without regard to case. Browsers send lower case.
func (l *List) HasHeader(name string) bool {
	if len(name) > int(l.longest) {
		return false
	}
	if l.Has(name) {
		return true
	}
	var buf [64]byte
	lower := append(buf[:0], name...)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + ('a' - 'A')
		}
	}
	for _, few := range l.few {
		if few == string(lower) {
			return true
		}
	}
	_, ok := l.names[string(lower)]
	return ok
}

// Size is about how many bytes of memory the list takes.
func (l *List) Size() int {
	f := fields[l.of]
	return f.own + f.perName*(len(l.few)+len(l.names)) + f.perByte*len(l.Value)
}

// Compile compiles a list of the field. It returns nil if an entry is wrong.
func (f Field) Compile(names []string, credentials bool, r problem.Reporter) *List {
	b := newListBuilder(f, credentials, r)
	l := b.list(names)
	b.checkCredentials(names)
	if b.Failed {
		return nil
	}
	return l
}

// CheckCredentials reports what [Compile] has to say of the names only because the policy
// allows credentials. It reports whether they are right.
func (f Field) CheckCredentials(names []string, r problem.Reporter) bool {
	b := newListBuilder(f, true, r)
	b.checkCredentials(names)
	return !b.Failed
}

func (b *listBuilder) checkCredentials(names []string) {
	if i := slices.Index(names, "*"); i >= 0 && b.of == ExposedHeaders && b.credentials {
		b.At(i, 0)
		b.Fail(problem.Literal, `"*" means a header named "*" when allow_credentials is set`, "list the names")
	}
}

// fields has what tells the fields apart.
var fields = [...]struct {
	name string
	// beside is what may stand beside "*".
	beside string
	// A list takes so many bytes of memory, about, by itself, for a name, and for a byte of
	// its value.
	own, perName, perByte int
	// not and example are for what is said about an entry that is no name.
	not, example string
	// key is what a name is compared by.
	key func(name string) string
	// like reports whether a word looks like a name.
	like func(word string) bool
}{
	Methods: {
		"allow_methods", "", 380, 64, 2, " is not a method", "a method such as \"PUT\"",
		normalizeMethod, isMethod,
	},
	RequestHeaders: {
		"allow_headers", "authorization", 420, 64, 3, " is not a header name", "a name such as \"Content-Type\"",
		strings.ToLower, isHeader,
	},
	ExposedHeaders: {
		"expose_headers", "", 400, 0, 1, " is not a header name", "a name such as \"X-Request-Id\"",
		strings.ToLower, isHeader,
	},
}

// refuse says what is wrong with a name by its key, and what to do; "" if nothing is.
func (f Field) refuse(key string) (why, instead string) {
	switch {
	case f == Methods && ForbiddenMethod(key):
		return " is a method that browsers never send", "leave it out"
	case f == RequestHeaders && slices.Contains(ResponseHeaders[:], key):
		return " is a response header, and allow_headers are request headers", "leave it out: the filter sets it"
	case f == RequestHeaders && forbiddenRequestHeader(key):
		return " is a header that pages can't set, so no preflight asks for it", "leave it out"
	case f == ExposedHeaders && slices.Contains(forbidden.ResponseHeaders, key):
		return " can't be exposed: browsers hide it from pages", "leave it out"
	}
	return "", ""
}

// A listBuilder compiles a list of names.
type listBuilder struct {
	problem.Builder
	of          Field
	credentials bool // the policy allows them
	// names has the names so far, and "*", by what they are compared by.
	names map[string]struct{}
}

func newListBuilder(f Field, credentials bool, r problem.Reporter) *listBuilder {
	return &listBuilder{Builder: problem.NewBuilder(r, fields[f].name), of: f, credentials: credentials}
}

// check returns what a name is compared by, if the name is right.
func (b *listBuilder) check(name string) (key string, ok bool) {
	key = fields[b.of].key(name)
	why, instead := b.of.refuse(key)
	switch {
	case name == "*":
	case !Valid(name):
		if b.Wants(false) {
			b.Report(b.diagnose(name))
		}
		return "", false
	case why != "":
		if b.Wants(false) {
			if b.of != Methods {
				name = problem.Quote(name)
			}
			b.Report(problem.Forbidden, name+why, instead)
		}
		return "", false
	case strings.Contains(name, "*"): // which other tools take for a wildcard
		if b.Wants(true) {
			what := problem.Quote(name) +
				` is a name, and its star stands for nothing else: only "*" alone is a wildcard`
			b.Report(problem.Literal, what, "write each of the names")
		}
	case b.of == Methods:
		b.checkSpelling(name)
	}
	return key, true
}

// checkSpelling warns of a method that is another one than was meant.
func (b *listBuilder) checkSpelling(method string) {
	switch {
	case strings.EqualFold(method, "all") || strings.EqualFold(method, "any"):
		what := problem.Quote(method) + " is the name of a method, and stands for no other"
		b.Warn(problem.Literal, what, `write "*" for every method`)
	case method == "patch":
		b.Warn(problem.Literal, `"patch" is not PATCH: methods compare by case, and browsers send what the page wrote`,
			`write "PATCH" if the pages do`)
	}
}

// superfluous reports whether the list needs no such name any more, and warns of it.
func (b *listBuilder) superfluous(name, key string, wildcard bool) bool {
	_, twice := b.names[key]
	kind, what, instead := problem.Duplicate, " is listed twice", "leave one out"
	if !twice {
		if !wildcard || key == "*" || key == fields[b.of].beside {
			return false
		}
		kind, what, instead = problem.Superfluous, ` adds nothing beside "*"`, `leave it out, or leave out "*"`
	}
	if b.Wants(true) {
		b.Report(kind, problem.Quote(name)+what, instead)
	}
	return true
}

// list checks a list of names and compiles it without what is superfluous: the names that
// are valid, or "*" with what may stand beside it.
func (b *listBuilder) list(list []string) *List {
	l := &List{of: b.of, Any: slices.Contains(list, "*")}
	if len(list) == 0 {
		return l
	}
	b.names = make(map[string]struct{}, len(list))
	var few [fewNames]string // which most lists have at the most
	kept := few[:0]
	length := 0
	for i, name := range list {
		b.At(i, 0)
		key, ok := b.check(name)
		if !ok || b.superfluous(name, key, l.Any) {
			continue
		}
		if b.of == Methods {
			name = key // methods go out as they are compared
		}
		same := name == key
		if name = strings.Clone(name); same {
			key = name // one that isn't the same was made for it
		}
		b.names[key] = struct{}{}
		kept = append(kept, name)
		length += len(name) + len(", ")
		l.longest = max(l.longest, uint16(min(len(key), MaxList)))
	}
	if length > MaxList {
		what := "has " + strconv.Itoa(length) + " bytes as a header, and may have " + strconv.Itoa(MaxList)
		b.Whole()
		b.Fail(problem.TooLarge, what, "shorten the list")
	}
	if !l.Any || !b.credentials {
		l.Value = strings.Join(kept, ", ")
	}
	if fields[b.of].perName > 0 { // what is exposed is never looked up
		l.keep(b.names, len(list))
	}
	return l
}

// keep keeps the names, which were made with room for so many.
func (l *List) keep(names map[string]struct{}, room int) {
	switch {
	case len(names) <= fewNames:
		l.few = make([]string, 0, len(names))
		for name := range names {
			l.few = append(l.few, name)
		}
	case len(names) < room:
		l.names = make(map[string]struct{}, len(names))
		maps.Copy(l.names, names)
	default:
		l.names = names
	}
}

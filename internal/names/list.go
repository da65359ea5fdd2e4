// Package names compiles the lists of names that a policy has: methods, and headers of
// requests and of answers.
package names

import (
	"maps"
	"slices"
	"strconv"
	"strings"

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
	Value   string
	names   map[string]struct{} // of headers, in lower case
	longest uint16              // what is longer isn't looked for
	of      Field
	// Any says that the list is "*", with what may stand beside it.
	Any bool
}

// Has reports whether the list has a method, or a header's name in lower case.
func (l *List) Has(name string) bool {
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
	_, ok := l.names[string(lower)]
	return ok
}

// Size is about how many bytes of memory the list takes.
func (l *List) Size() int {
	f := fields[l.of]
	return f.own + f.perName*len(l.names) + f.perByte*len(l.Value)
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

func (b *listBuilder) method(name string) (key string, ok bool) {
	switch {
	case !Valid(name):
		if b.Wants(false) {
			kind, what, instead := diagnoseMethod(name)
			b.Report(kind, what, instead, false)
		}
		return "", false
	case ForbiddenMethod(name):
		b.Fail(problem.Forbidden, name+" is a method that browsers never send", "leave it out")
		return "", false
	}
	switch {
	case strings.Contains(name, "*") && name != "*":
		b.notWildcard(name)
	case strings.EqualFold(name, "all") || strings.EqualFold(name, "any"):
		if b.Wants(true) {
			b.Report(problem.Literal, problem.Quote(name)+" is the name of a method, and stands for no other", `write "*" for every method`, true)
		}
	}
	if name == "patch" {
		b.Warn(problem.Literal, `"patch" is not PATCH: methods compare by case, and browsers send what the page wrote`, `write "PATCH" if the pages do`)
	}
	return normalizeMethod(name), true
}

func (b *listBuilder) requestHeader(name string) (key string, ok bool) {
	key = strings.ToLower(name)
	switch {
	case !Valid(name):
		if b.Wants(false) {
			kind, what, instead := diagnoseRequestHeader(name)
			b.Report(kind, what, instead, false)
		}
	case corsResponseHeader(key):
		if b.Wants(false) {
			b.Report(problem.Forbidden, problem.Quote(name)+" is a response header, and allow_headers are request headers", "leave it out: the filter sets it", false)
		}
	case forbiddenRequestHeader(key):
		if b.Wants(false) {
			b.Report(problem.Forbidden, problem.Quote(name)+" is a header that pages can't set, so no preflight asks for it", "leave it out", false)
		}
	default:
		b.notWildcard(name)
		return key, true
	}
	return "", false
}

// notWildcard warns of a name with a star in it, which other tools take for a wildcard.
func (b *listBuilder) notWildcard(name string) {
	if strings.Contains(name, "*") && name != "*" && b.Wants(true) {
		b.Report(problem.Literal, problem.Quote(name)+` is a name, and its star stands for nothing else: only "*" alone is a wildcard`, "write each of the names", true)
	}
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

func (b *listBuilder) exposedHeader(name string) (key string, ok bool) {
	key = strings.ToLower(name)
	switch {
	case !Valid(name):
		if b.Wants(false) {
			kind, what, instead := diagnoseExposedHeader(name, b.credentials)
			b.Report(kind, what, instead, false)
		}
	case forbiddenResponseHeader(key):
		if b.Wants(false) {
			b.Report(problem.Forbidden, problem.Quote(name)+" can't be exposed: browsers hide it from pages", "leave it out", false)
		}
	default:
		b.notWildcard(name)
		return key, true
	}
	return "", false
}

// A listBuilder compiles a list of names.
type listBuilder struct {
	problem.Builder
	of          Field
	credentials bool // the policy allows them
}

func newListBuilder(f Field, credentials bool, r problem.Reporter) listBuilder {
	return listBuilder{problem.Builder{To: r, Field: fields[f].name}, f, credentials}
}

// fields has what tells the fields apart.
var fields = [...]struct {
	name string
	// beside is what may stand beside "*".
	beside string
	// A list takes so many bytes of memory, about, by itself, for a name, and for a byte of
	// its value.
	own, perName, perByte int
}{
	Methods:        {"allow_methods", "", 380, 64, 2},
	RequestHeaders: {"allow_headers", "authorization", 420, 64, 3},
	ExposedHeaders: {"expose_headers", "", 400, 0, 1},
}

// check returns what a name is compared by, if the name is right.
func (b *listBuilder) check(name string) (key string, ok bool) {
	switch b.of {
	case Methods:
		return b.method(name)
	case RequestHeaders:
		return b.requestHeader(name)
	}
	return b.exposedHeader(name)
}

// list checks a list of names and compiles it without what is superfluous: the names that
// are valid, or "*" with what may stand beside it.
func (b *listBuilder) list(list []string) *List {
	field := fields[b.of]
	if len(list) == 0 {
		return &List{of: b.of}
	}
	wildcard := slices.Contains(list, "*")
	names := make(map[string]struct{}, len(list))
	var few [8]string // which most lists have at the most
	kept := few[:0]
	l := &List{of: b.of, Any: wildcard}
	length := 0
	for i, name := range list {
		b.At(i, 0)
		key, ok := "*", true
		if name != "*" {
			key, ok = b.check(name)
		}
		_, twice := names[key]
		switch {
		case !ok:
			continue
		case twice:
			if b.Wants(true) {
				b.Report(problem.Duplicate, problem.Quote(name)+" is listed twice", "leave one out", true)
			}
			continue
		case wildcard && key != "*" && key != field.beside:
			if b.Wants(true) {
				b.Report(problem.Superfluous, problem.Quote(name)+` adds nothing beside "*"`, `leave it out, or leave out "*"`, true)
			}
			continue
		}
		if b.of == Methods {
			name = key // methods go out as they are compared
		}
		same := name == key
		if name = strings.Clone(name); same {
			key = name // one that isn't the same was made for it
		}
		names[key] = struct{}{}
		kept = append(kept, name)
		length += len(name) + len(", ")
		l.longest = max(l.longest, uint16(min(len(key), MaxList)))
	}
	if length > MaxList {
		b.Whole()
		b.Fail(problem.TooLarge, "has "+strconv.Itoa(length)+" bytes as a header, and may have "+strconv.Itoa(MaxList), "shorten the list")
	}
	if !wildcard || !b.credentials {
		l.Value = strings.Join(kept, ", ")
	}
	if field.perName > 0 { // what is exposed is never looked up
		l.names = names
		if len(names) < len(list) { // and have room for what was left out
			l.names = make(map[string]struct{}, len(names))
			maps.Copy(l.names, names)
		}
	}
	return l
}

package cors

import (
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

	"slices"
	"strconv"
	"strings"
)

// MaxList is how many bytes the value of a header may have that lists what a policy
// allows. It goes out with each preflight, or with each answer; browsers and proxies
// refuse headers long before they have a hundred thousand bytes.
const MaxList = 32 << 10

// Methods is a compiled allow_methods. It is immutable.
type Methods struct {
	any   bool
	names map[string]struct{}
	// value is that of the header; "" for no header, or, with "*" and credentials, for
	// one that repeats what the preflight asks for.
	value string
}

// RequestHeaders is a compiled allow_headers. It is immutable.
type RequestHeaders struct {
	any           bool
	authorization bool                // listed beside "*"
	names         map[string]struct{} // in lower case
	longest       int
	value         string // as that of Methods
}

// ExposedHeaders is a compiled expose_headers. It is immutable.
type ExposedHeaders struct {
	value string
	// allowed are the headers after the origin, in the answer to an allowed request;
	// they depend on the policy's credentials too.
	allowed []Header
}

// Size is about how many bytes of memory the methods take.
func (m *Methods) Size() int { return 380 + 64*len(m.names) + 2*len(m.value) }

// Size is about how many bytes of memory the headers take.
func (h *RequestHeaders) Size() int { return 420 + 64*len(h.names) + 3*len(h.value) }

// Size is about how many bytes of memory the headers take.
func (h *ExposedHeaders) Size() int { return 400 + len(h.value) }

// CompileMethods compiles allow_methods. It returns nil if an entry is wrong.
func CompileMethods(names []string, credentials bool, r Reporter) *Methods {
	b := &listBuilder{builder: builder{reporter: r, field: "allow_methods", credentials: credentials}, check: checkMethod}
	_, methods := b.list(names)
	if b.failed {
		return nil
	}
	m := &Methods{names: set(methods)}
	_, m.any = m.names["*"]
	if !m.any || !credentials {
		m.value = strings.Join(methods, ", ")
	}
	return m
}

func checkMethod(b *builder, name string) (key string, ok bool) {
	switch {
	case !validToken(name):
		if b.wants(false) {
			kind, what, instead := diagnoseMethod(name)
			b.report(kind, what, instead, false)
		}
		return "", false
	case forbiddenMethod(name):
		b.fail(problem.Forbidden, name+" is a method that browsers never send", "leave it out")
		return "", false
	}
	switch {
	case strings.Contains(name, "*") && name != "*":
		b.notWildcard(name)
	case strings.EqualFold(name, "all") || strings.EqualFold(name, "any"):
		if b.wants(true) {
			b.report(problem.Literal, problem.Quote(name)+" is the name of a method, and stands for no other", `write "*" for every method`, true)
		}
	}
	if name == "patch" {
		b.warn(problem.Literal, `"patch" is not PATCH: methods compare by case, and browsers send what the page wrote`, `write "PATCH" if the pages do`)
	}
	return normalizeMethod(name), true
}

// CompileRequestHeaders compiles allow_headers. It returns nil if an entry is wrong.
func CompileRequestHeaders(names []string, credentials bool, r Reporter) *RequestHeaders {
	b := &listBuilder{builder: builder{reporter: r, field: "allow_headers", credentials: credentials}, check: checkRequestHeader, beside: "authorization"}
	kept, keys := b.list(names)
	if b.failed {
		return nil
	}
	h := &RequestHeaders{names: set(keys)}
	for _, key := range keys {
		h.longest = max(h.longest, len(key))
	}
	_, h.any = h.names["*"]
	_, h.authorization = h.names["authorization"]
	if !h.any || !credentials {
		h.value = strings.Join(kept, ", ")
	}
	return h
}

func checkRequestHeader(b *builder, name string) (key string, ok bool) {
	key = strings.ToLower(name)
	switch {
	case !validToken(name):
		if b.wants(false) {
			kind, what, instead := diagnoseRequestHeader(name)
			b.report(kind, what, instead, false)
		}
	case corsResponseHeader(key):
		if b.wants(false) {
			b.report(problem.Forbidden, problem.Quote(name)+" is a response header, and allow_headers are request headers", "leave it out: the filter sets it", false)
		}
	case forbiddenRequestHeader(key):
		if b.wants(false) {
			b.report(problem.Forbidden, problem.Quote(name)+" is a header that pages can't set, so no preflight asks for it", "leave it out", false)
		}
	default:
		b.notWildcard(name)
		return key, true
	}
	return "", false
}

// notWildcard warns of a name with a star in it, which other tools take for a wildcard.
func (b *builder) notWildcard(name string) {
	if strings.Contains(name, "*") && name != "*" && b.wants(true) {
		b.report(problem.Literal, problem.Quote(name)+` is a name, and its star stands for nothing else: only "*" alone is a wildcard`, "write each of the names", true)
	}
}

// CompileExposedHeaders compiles expose_headers. It returns nil if an entry is wrong.
func CompileExposedHeaders(names []string, credentials bool, r Reporter) *ExposedHeaders {
	b := &listBuilder{builder: builder{reporter: r, field: "expose_headers", credentials: credentials}, check: checkExposedHeader}
	kept, _ := b.list(names)
	b.checkExposed(names)
	if b.failed {
		return nil
	}
	h := &ExposedHeaders{value: strings.Join(kept, ", ")}
	if credentials {
		h.allowed = append(h.allowed, Header{responseHeaderNames[allowCredentials], "true"})
	}
	if h.value != "" {
		h.allowed = append(h.allowed, Header{responseHeaderNames[exposeHeaders], h.value})
	}
	return h
}

// CheckExposedHeaders reports what [CompileExposedHeaders] has to say only because the
// policy allows credentials. It reports whether the names are right.
func CheckExposedHeaders(names []string, r Reporter) bool {
	b := &listBuilder{builder: builder{reporter: r, field: "expose_headers", credentials: true}}
	b.checkExposed(names)
	return !b.failed
}

func (b *listBuilder) checkExposed(names []string) {
	if i := slices.Index(names, "*"); i >= 0 && b.credentials {
		b.at(i, 0)
		b.fail(problem.Literal, `"*" means a header named "*" when allow_credentials is set`, "list the names")
	}
}

func checkExposedHeader(b *builder, name string) (key string, ok bool) {
	key = strings.ToLower(name)
	switch {
	case !validToken(name):
		if b.wants(false) {
			kind, what, instead := diagnoseExposedHeader(name, b.credentials)
			b.report(kind, what, instead, false)
		}
	case forbiddenResponseHeader(key):
		if b.wants(false) {
			b.report(problem.Forbidden, problem.Quote(name)+" can't be exposed: browsers hide it from pages", "leave it out", false)
		}
	default:
		b.notWildcard(name)
		return key, true
	}
	return "", false
}

// A listBuilder compiles a list of names.
type listBuilder struct {
	builder
	// check returns what a name is compared by, if the name is right.
	check func(b *builder, name string) (key string, ok bool)
	// beside is what may stand beside "*".
	beside string
}

// list checks a list of names and returns it without what is superfluous: the
// names that are valid, or "*" with what may stand beside it.
func (b *listBuilder) list(names []string) (kept, keys []string) {
	if len(names) == 0 {
		return nil, nil
	}
	wildcard := slices.Contains(names, "*")
	seen := make(map[string]struct{}, len(names))
	kept, keys = make([]string, 0, len(names)), make([]string, 0, len(names))
	length := 0
	for i, name := range names {
		b.at(i, 0)
		key := "*"
		if name != "*" {
			var ok bool
			if key, ok = b.check(&b.builder, name); !ok {
				continue
			}
		}
		switch _, twice := seen[key]; {
		case twice:
			if b.wants(true) {
				b.report(problem.Duplicate, problem.Quote(name)+" is listed twice", "leave one out", true)
			}
			continue
		case wildcard && key != "*" && key != b.beside:
			if b.wants(true) {
				b.report(problem.Superfluous, problem.Quote(name)+` adds nothing beside "*"`, `leave it out, or leave out "*"`, true)
			}
			continue
		}
		seen[key] = struct{}{}
		name = strings.Clone(name)
		if key = strings.Clone(key); key == name {
			key = name
		}
		kept, keys = append(kept, name), append(keys, key)
		length += len(name) + len(", ")
	}
	if length > MaxList {
		b.whole()
		b.fail(problem.TooLarge, "has "+strconv.Itoa(length)+" bytes as a header, and may have "+strconv.Itoa(MaxList), "shorten the list")
	}
	return kept, keys
}

func set(names []string) map[string]struct{} {
	if len(names) == 0 {
		return nil
	}
	m := make(map[string]struct{}, len(names))
	for _, name := range names {
		m[name] = struct{}{}
	}
	return m
}

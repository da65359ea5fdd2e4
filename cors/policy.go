package cors

import (
	"iter"
	"strconv"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A Config is what an operator writes down as a CORS policy. The zero value
// allows nothing, and isn't valid.
type Config struct {
	// Name identifies the policy in messages; it may be empty.
	Name string
	// AllowOrigins are the origins whose pages may read answers. At least one, unless Lookup
	// is set.
	//
	// Permitted: "https://app.example", "http://localhost:8080", "http://[::1]:8080",
	// "https://*.example.com" (subdomains at any depth, not the domain itself),
	// "http://localhost:*" (any port, and none), both wildcards together,
	// "chrome-extension://…", "null", "*" (every origin).
	//
	// Prohibited: "app.example" (no scheme), "https://app.example/" (a path),
	// "https://App.example", "https://app.example:443" (what browsers never send),
	// "https://app-*.example" (a wildcard within a label).
	AllowOrigins []OriginEntry
	// AllowMethods are the methods that pages may use beside GET, HEAD and POST
	// (https://fetch.spec.whatwg.org/#cors-safelisted-method), or "*". Methods compare by
	// case.
	AllowMethods []string
	// AllowHeaders are the names of the request headers that pages may set, or
	// "*", which covers all but Authorization, or "*" and "Authorization"
	// (https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name).
	AllowHeaders []string
	// ExposeHeaders are the names of the response headers that pages may read beside a
	// few that are safe (https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name),
	// or "*".
	ExposeHeaders []string
	// AllowCredentials lets pages send cookies, HTTP authentication and client
	// certificates, and read the answers
	// (https://fetch.spec.whatwg.org/#cors-protocol-and-credentials).
	AllowCredentials bool
	// MaxAge is how many seconds browsers may remember a preflight's answer, from
	// 0 (not at all) to MaxMaxAge. Nil leaves it to the browser (5 seconds).
	MaxAge *int
	// AllowPrivateNetwork lets pages of public sites reach this private network.
	AllowPrivateNetwork bool
	// ForwardUnmatchedPreflights forwards preflights that the policy doesn't allow
	// to the upstream, rather than answering them with 403.
	ForwardUnmatchedPreflights bool
	// PreflightStatus is the status of an allowed preflight's answer, 200 or 204.
	// Zero means 204.
	PreflightStatus int
	// KeepUpstreamHeaders leaves an upstream's answer alone if it has an
	// Access-Control-Allow-Origin of its own.
	KeepUpstreamHeaders bool
	// Debug answers a preflight of an allowed origin that is rejected for its method or
	// a header in such a way that the browser's console names what is missing, rather than
	// with 403. It lets no browser do what it couldn't do without.
	Debug bool
	// Lookup says that origins that AllowOrigins lacks can be looked up elsewhere. A
	// decision then says so, see [Decision.Asks].
	Lookup bool
	// Shadow makes the policy decide without changing anything.
	Shadow bool
	// Off makes it leave alone what it is for, whatever else it says.
	Off bool
}

// An OriginEntry is an entry of Config.AllowOrigins.
type OriginEntry struct {
	// Text is an origin or a pattern, or the regex if Regex is set.
	Text string
	// Regex makes Text a regular expression (RE2) that the whole origin must match.
	Regex bool
}

// Limits of a Config.
const (
	MaxMaxAge = 86400 // seconds, Firefox's cap on how long a preflight is remembered
	// ChromiumMaxAge is how many seconds Chromium remembers a preflight at the most.
	ChromiumMaxAge = 7200
)

// A Policy is a compiled Config. It is immutable, and safe for concurrent use.
type Policy struct {
	_     incomparable
	name  string
	lists Lists

	credentials    bool
	privateNetwork bool
	forward        bool
	keep           bool
	debug          bool
	lookup         bool
	shadow         bool
	off            bool
	status         int16
	maxAge         string // the header's value, "" for no header
	closed         string // why no origin is allowed, if [Closed] has made the policy
}

// Lists are the compiled lists of a policy. Policies that say the same may share them,
// if they also agree about credentials.
type Lists struct {
	Origins        *origin.Set
	Methods        *names.List
	RequestHeaders *names.List
	ExposedHeaders *names.List
}

// NoOrigins is a set without any, as a policy may have that looks all origins up.
func NoOrigins() *origin.Set { return &origin.Set{} }

// Name is the policy's name, or "".
func (p *Policy) Name() string { return p.name }

// Shadow reports whether the policy decides, and changes nothing.
func (p *Policy) Shadow() bool { return p.shadow }

// Off reports whether the policy decides nothing.
func (p *Policy) Off() bool { return p.off }

// Compile checks a Config and compiles it. It reports everything that is wrong at
// once, in the order of the fields (beyond [MaxProblems] only their number); the policy
// is nil if any of it is more than a warning.
func Compile(c Config) (*Policy, []Problem) {
	if c.Off {
		return Assemble(c, Lists{}), nil
	}
	r := &problem.List{}
	origins := NoOrigins()
	if len(c.AllowOrigins) > 0 || !c.Lookup {
		origins = origin.Compile(originEntries(c.AllowOrigins), c.AllowCredentials, origin.NewRegexBudget(), r)
	}
	lists := Lists{
		origins,
		names.Methods.Compile(c.AllowMethods, c.AllowCredentials, r),
		names.RequestHeaders.Compile(c.AllowHeaders, c.AllowCredentials, r),
		names.ExposedHeaders.Compile(c.ExposeHeaders, c.AllowCredentials, r),
	}
	if c.MaxAge != nil {
		CheckMaxAge(*c.MaxAge, r)
	}
	if s := c.PreflightStatus; s != 0 && s != 200 && s != 204 {
		b := problem.NewBuilder(r, "preflight_status")
		b.Fail(problem.OutOfRange, strconv.Itoa(s)+" is out of range", "write 200 or 204")
	}
	if r.Errors > 0 {
		return nil, r.All()
	}
	return Assemble(c, lists), r.All()
}

func originEntries(list []OriginEntry) iter.Seq2[int, origin.Entry] {
	return func(yield func(int, origin.Entry) bool) {
		for i, e := range list {
			if !yield(i, origin.Entry{Text: e.Text, Regex: e.Regex}) {
				return
			}
		}
	}
}

// CheckMaxAge reports what is wrong or doubtful with max_age. It reports whether it is
// right.
func CheckMaxAge(seconds int, r problem.Reporter) bool {
	b := problem.NewBuilder(r, "max_age")
	switch {
	case seconds < 0:
		b.Fail(problem.OutOfRange, strconv.Itoa(seconds)+" seconds are out of range",
			"write 0 if browsers should not remember it, or leave it out")
	case seconds > MaxMaxAge:
		b.Fail(problem.OutOfRange, strconv.Itoa(seconds)+" seconds are out of range",
			"write "+strconv.Itoa(ChromiumMaxAge)+", which is as long as Chromium remembers, or at most "+
				strconv.Itoa(MaxMaxAge))
	case seconds > ChromiumMaxAge:
		b.Warn(problem.OutOfRange, strconv.Itoa(seconds)+" seconds are more than Chromium remembers",
			"write at most "+strconv.Itoa(ChromiumMaxAge)+" to have the same in all browsers")
	}
	return !b.Failed
}

// Assemble makes a policy of lists that are compiled already, in place of those of c,
// and of all else that c says, which must be right. It returns nil if a list is nil, unless
// the policy is off.
func Assemble(c Config, lists Lists) *Policy {
	if c.Off {
		return &Policy{name: c.Name, off: true}
	}
	if lists.Origins == nil || lists.Methods == nil || lists.RequestHeaders == nil || lists.ExposedHeaders == nil {
		return nil
	}
	p := &Policy{
		name:           c.Name,
		lists:          lists,
		credentials:    c.AllowCredentials,
		privateNetwork: c.AllowPrivateNetwork,
		forward:        c.ForwardUnmatchedPreflights,
		keep:           c.KeepUpstreamHeaders,
		debug:          c.Debug,
		lookup:         c.Lookup,
		shadow:         c.Shadow,
		status:         204,
	}
	if c.PreflightStatus != 0 {
		p.status = int16(c.PreflightStatus)
	}
	if c.MaxAge != nil {
		p.maxAge = strconv.Itoa(*c.MaxAge)
	}
	return p
}

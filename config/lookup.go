package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// An OriginLookup says where the filter looks up origins that a policy's allow_origins lacks,
// and how long it remembers the answers.
type OriginLookup struct {
	// Cluster is the proxy's cluster to ask.
	Cluster string
	// Path is what to ask for, to whose query the policy, the host and the origin are added;
	// "/v1/lookup" by default.
	Path string
	// Authority is the Host header; the cluster's name by default.
	Authority string
	// Timeout is how long an answer may take.
	Timeout time.Duration
	// TTL is how long an answer is remembered that doesn't say so itself.
	TTL time.Duration
	// Stale is how long an answer serves beyond that, while it is asked for again.
	Stale time.Duration
	// MaxEntries is how many answers a worker remembers.
	MaxEntries int
}

// Target is the path to ask for an origin that comes in a request for a host, with the policy's
// name, the host and the origin in its query.
func (l *OriginLookup) Target(policy, host, origin string) string {
	separator := "?"
	if strings.IndexByte(l.Path, '?') >= 0 {
		separator = "&"
	}
	return l.Path + separator + "policy=" + escape(policy) + "&host=" + escape(host) + "&origin=" + escape(origin)
}

// escape writes a text as it may stand in a query (RFC 3986, section 2.1).
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// Limits and defaults of an OriginLookup. A timeout has those of a PolicySource otherwise.
const (
	DefaultLookupTimeout = 500 * time.Millisecond
	DefaultTTL           = time.Minute
	// MaxTTL is the most for what an answer says itself too.
	MaxTTL            = 24 * time.Hour
	DefaultStale      = time.Hour
	MaxStale          = 7 * 24 * time.Hour
	DefaultMaxEntries = 10_000
	MaxMaxEntries     = 100_000
)

var lookupFields = [...]string{"cluster", "path", "authority", "timeout", "ttl", "stale", "max_entries"}

// The fields of origin_lookup, as indices of lookupFields; those of an endpoint come first.
const (
	fieldLookupTimeout = iota + numEndpointFields
	fieldTTL
	fieldStale
	fieldMaxEntries
	numLookupFields
)

// lookupCost is about how many bytes an OriginLookup takes beside its texts.
const lookupCost = 300

// lookup reads origin_lookup.
func (r *reader) lookup(p *policy, v gjson.Result) *OriginLookup {
	where := p.field(fieldOriginLookup)
	if v.Type == gjson.Null || !r.is(v, where, gjson.JSON, "an object") {
		return nil
	}
	r.spend(lookupCost+len(v.Raw), v.Index, where)
	var fields [numLookupFields]gjson.Result
	r.object(v, where, lookupFields[:], fields[:])
	at := func(f int) path { return where.field(lookupFields[f]) }
	duration := func(f int, least, otherwise, most time.Duration) time.Duration {
		return r.duration(fields[f], at(f), least, otherwise, most)
	}
	l := &OriginLookup{
		Timeout:    duration(fieldLookupTimeout, MinTimeout, DefaultLookupTimeout, MaxTimeout),
		TTL:        duration(fieldTTL, 0, DefaultTTL, MaxTTL),
		Stale:      duration(fieldStale, 0, DefaultStale, MaxStale),
		MaxEntries: r.integer(fields[fieldMaxEntries], at(fieldMaxEntries), 1, DefaultMaxEntries, MaxMaxEntries),
	}
	e := endpoint{"look origins up in", "/v1/lookup", "/v1/lookup"}
	l.Cluster, l.Path, l.Authority = e.read(r, v, where, fields[:numEndpointFields])
	return l
}

// integer reads a whole number.
func (r *reader) integer(v gjson.Result, where path, least, otherwise, most int) int {
	if _, err := strconv.Atoi(v.Str); err == nil {
		r.wrongType(v, where, "a number", "write "+v.Str)
		return otherwise
	}
	if v.Type == gjson.Null || !r.is(v, where, gjson.Number, "a number") {
		return otherwise
	}
	n := int(min(max(v.Num, 0), float64(most)))
	if float64(n) != v.Num || n < least {
		r.refuse(problem.OutOfRange, v, where, " is out of range",
			"write "+strconv.Itoa(otherwise)+", or another whole number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
	}
	return n
}

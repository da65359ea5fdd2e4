package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A PolicySource says where the filter fetches its policies while it runs.
type PolicySource struct {
	// Cluster is the proxy's cluster to ask.
	Cluster string
	// Path is the document's path and query, "/" by default.
	Path string
	// Authority is the Host header; the cluster's name by default.
	Authority string
	// Interval is the time from one fetch to the next.
	Interval time.Duration
	// Timeout is how long one fetch may take.
	Timeout time.Duration
	// Wait is how long the source may hold a fetch until it has a new document, 0 if it may
	// not. The timeout comes on top of it.
	Wait time.Duration
}

// Limits and defaults of a PolicySource.
const (
	MinInterval     = 100 * time.Millisecond
	DefaultInterval = 10 * time.Second
	MaxInterval     = 24 * time.Hour
	MinTimeout      = 10 * time.Millisecond
	DefaultTimeout  = 2 * time.Second
	MaxTimeout      = time.Minute
	MinWait         = time.Second
	MaxWait         = 5 * time.Minute
)

// exampleWait is what to write for a wait that isn't one.
const exampleWait = 30 * time.Second

// MaxDocument is the longest document in bytes that is fetched.
const MaxDocument = 4 << 20

var sourceFields = [...]string{"cluster", "path", "authority", "interval", "timeout", "wait"}

// The fields of policy_source, as indices of sourceFields; those of an endpoint come first.
const (
	fieldInterval = iota + numEndpointFields
	fieldTimeout
	fieldWait
	numSourceFields
)

// source reads policy_source.
func (r *reader) source(v gjson.Result) *PolicySource {
	where := path{base: "policy_source"}
	if v.Type == gjson.Null || !r.is(v, where, gjson.JSON, "an object") {
		return nil
	}
	var fields [numSourceFields]gjson.Result
	r.object(v, where, sourceFields[:], fields[:])
	at := func(f int) path { return where.field(sourceFields[f]) }
	s := &PolicySource{
		Interval: r.duration(fields[fieldInterval], at(fieldInterval), MinInterval, DefaultInterval, MaxInterval),
		Timeout:  r.duration(fields[fieldTimeout], at(fieldTimeout), MinTimeout, DefaultTimeout, MaxTimeout),
	}
	if fields[fieldWait].Type != gjson.Null {
		s.Wait = r.duration(fields[fieldWait], at(fieldWait), MinWait, exampleWait, MaxWait)
	}
	e := endpoint{"fetch the policies from", "/", "/cors.json"}
	s.Cluster, s.Path, s.Authority = e.read(r, v, where, fields[:numEndpointFields])
	return s
}

// An endpoint is what the proxy can ask: what for, and the default of its path and an example.
type endpoint struct{ purpose, path, example string }

// The fields of an endpoint.
const (
	fieldCluster = iota
	fieldPath
	fieldAuthority
	numEndpointFields
)

// maxEndpointText bounds the texts of an endpoint, which each request to it has.
const maxEndpointText = 4096

// read reads the fields of an endpoint, of the object v.
func (e *endpoint) read(r *reader, v gjson.Result, where path, fields []gjson.Result) (
	cluster, target, authority string) {
	at := func(f int) path { return where.field(sourceFields[f]) }
	named := fields[fieldCluster]
	name, _ := r.string(named, at(fieldCluster))
	instead := "write the name of the cluster to " + e.purpose
	switch {
	case named.Type == gjson.Null:
		r.fail(problem.Missing, v.Index, at(fieldCluster), "is missing", instead)
	case named.Type == gjson.String && name == "":
		r.fail(problem.Missing, named.Index, at(fieldCluster), "is empty", instead)
	case len(name) > maxEndpointText:
		r.fail(problem.TooLarge, named.Index, at(fieldCluster),
			"is longer than "+strconv.Itoa(maxEndpointText)+" bytes", "shorten it")
	}
	cluster = strings.Clone(name)
	// text reads a text that stands in the head of each request.
	text := func(f int, otherwise string, right func(s string) bool, what, instead string) string {
		t, ok := r.string(fields[f], at(f))
		if !ok {
			return otherwise
		}
		unprintable := strings.ContainsFunc(t, func(c rune) bool { return c <= ' ' || c >= 0x7f })
		if len(t) > maxEndpointText || unprintable || !right(t) {
			r.fail(problem.InvalidValue, fields[f].Index, at(f), what, instead)
		}
		return strings.Clone(t)
	}
	isHost := func(t string) bool { return t != "" && !strings.ContainsAny(t, "/?#@") }
	isPath := func(t string) bool { return strings.HasPrefix(t, "/") }
	authority = text(fieldAuthority, cluster, isHost, "is not a host", `write a host such as "policies.internal"`)
	target = text(fieldPath, e.path, isPath, "is not a path", "write a path such as "+problem.InQuotes(e.example))
	return cluster, target, authority
}

// duration reads a number of seconds, or a duration.
func (r *reader) duration(v gjson.Result, where path, least, otherwise, most time.Duration) time.Duration {
	if v.Type == gjson.Null {
		return otherwise
	}
	d, ok := parseDuration(v.Str)
	switch {
	case v.Type == gjson.Number:
		d = time.Duration(v.Num * float64(time.Second))
	case v.Type != gjson.String || !ok:
		r.wrongType(v, where, "a duration", `write a duration, such as "`+otherwise.String()+`"`)
		return otherwise
	}
	if d < least || d > most || v.Num > most.Seconds() {
		r.fail(problem.OutOfRange, v.Index, where, shorten(v.Raw)+" is out of range",
			"write "+least.String()+" to "+most.String())
	}
	return d
}

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

var sourceFields = []string{"cluster", "path", "authority", "interval", "timeout", "wait"}

// The fields of policy_source, as indices of sourceFields.
const (
	fieldCluster = iota
	fieldPath
	fieldAuthority
	fieldInterval
	fieldTimeout
	fieldWait
	numSourceFields
)

// maxSourceText bounds the texts of policy_source, which each fetch sends.
const maxSourceText = 4096

// source reads policy_source.
func (r *reader) source(v gjson.Result) *PolicySource {
	where := path{base: "policy_source"}
	if v.Type == gjson.Null || !r.is(v, where, gjson.JSON, "an object") {
		return nil
	}
	var fields [numSourceFields]gjson.Result
	r.object(v, where, sourceFields, fields[:])
	at := func(f int) path { return where.field(sourceFields[f]) }
	s := &PolicySource{
		Interval: r.duration(fields[fieldInterval], at(fieldInterval), MinInterval, DefaultInterval, MaxInterval),
		Timeout:  r.duration(fields[fieldTimeout], at(fieldTimeout), MinTimeout, DefaultTimeout, MaxTimeout),
	}
	if fields[fieldWait].Type != gjson.Null {
		s.Wait = r.duration(fields[fieldWait], at(fieldWait), MinWait, exampleWait, MaxWait)
	}
	cluster := fields[fieldCluster]
	name, _ := r.string(cluster, at(fieldCluster))
	switch {
	case cluster.Type == gjson.Null:
		r.fail(problem.Missing, v.Index, at(fieldCluster), "is missing",
			"write the name of the cluster to fetch the policies from")
	case cluster.Type == gjson.String && name == "":
		r.fail(problem.Missing, cluster.Index, at(fieldCluster), "is empty",
			"write the name of the cluster to fetch the policies from")
	case len(name) > maxSourceText:
		r.fail(problem.TooLarge, cluster.Index, at(fieldCluster),
			"is longer than "+strconv.Itoa(maxSourceText)+" bytes", "shorten it")
	}
	s.Cluster = strings.Clone(name)
	// text reads a text that stands in the head of each request.
	text := func(f int, otherwise string, right func(s string) bool, what, instead string) string {
		t, ok := r.string(fields[f], at(f))
		if !ok {
			return otherwise
		}
		unprintable := strings.ContainsFunc(t, func(c rune) bool { return c <= ' ' || c >= 0x7f })
		if len(t) > maxSourceText || unprintable || !right(t) {
			r.fail(problem.InvalidValue, fields[f].Index, at(f), what, instead)
		}
		return strings.Clone(t)
	}
	isHost := func(t string) bool { return t != "" && !strings.ContainsAny(t, "/?#@") }
	isPath := func(t string) bool { return strings.HasPrefix(t, "/") }
	s.Authority = text(fieldAuthority, s.Cluster, isHost, "is not a host", `write a host such as "policies.internal"`)
	s.Path = text(fieldPath, "/", isPath, "is not a path", `write a path such as "/cors.json"`)
	return s
}

// duration reads a number of seconds, or a duration.
func (r *reader) duration(v gjson.Result, where path, least, otherwise, most time.Duration) time.Duration {
	if v.Type == gjson.Null {
		return otherwise
	}
	d, err := time.ParseDuration(v.Str)
	switch {
	case v.Type == gjson.Number:
		d = time.Duration(v.Num * float64(time.Second))
	case v.Type != gjson.String || err != nil:
		r.wrongType(v, where, "a duration", `write a duration, such as "`+otherwise.String()+`"`)
		return otherwise
	}
	if d < least || d > most || v.Num > most.Seconds() {
		r.fail(problem.OutOfRange, v.Index, where, shorten(v.Raw)+" is out of range",
			"write "+least.String()+" to "+most.String())
	}
	return d
}

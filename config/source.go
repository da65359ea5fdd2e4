package config

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"
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
}

// Limits and defaults of a PolicySource.
const (
	MinInterval     = 100 * time.Millisecond
	DefaultInterval = 10 * time.Second
	MaxInterval     = 24 * time.Hour
	MinTimeout      = 10 * time.Millisecond
	DefaultTimeout  = 2 * time.Second
	MaxTimeout      = time.Minute
)

// MaxDocument is the longest document in bytes that is fetched: the proxy holds it
// in memory, once for each worker.
const MaxDocument = 2 << 20

var sourceFields = []string{"cluster", "path", "authority", "interval", "timeout"}

// source reads policy_source.
func (r *reader) source(m member) *PolicySource {
	if m.Type == gjson.Null || !r.is(m, gjson.JSON, "an object") {
		return nil
	}
	fields := r.members(m.Result, m.path, sourceFields)
	s := &PolicySource{
		Path:     "/",
		Interval: r.duration(fields["interval"], MinInterval, DefaultInterval, MaxInterval),
		Timeout:  r.duration(fields["timeout"], MinTimeout, DefaultTimeout, MaxTimeout),
	}
	s.Cluster, _ = r.string(fields["cluster"])
	switch cluster := fields["cluster"]; {
	case !cluster.Exists() || cluster.Type == gjson.Null:
		r.fail(m.Index, m.path+".cluster", "is missing", "write the name of the cluster to fetch the policies from")
	case cluster.Type == gjson.String && cluster.Str == "":
		r.fail(cluster.Index, cluster.path, "is empty", "write the name of the cluster to fetch the policies from")
	}
	s.Authority = s.Cluster
	if authority, ok := r.string(fields["authority"]); ok {
		s.Authority = authority
		if authority == "" || !printableASCII(authority) {
			r.fail(fields["authority"].Index, fields["authority"].path, "is not a host", `write a host such as "policies.internal"`)
		}
	}
	if path, ok := r.string(fields["path"]); ok {
		s.Path = path
		if !strings.HasPrefix(path, "/") || !printableASCII(path) {
			r.fail(fields["path"].Index, fields["path"].path, "is not a path", `write a path such as "/cors.json"`)
		}
	}
	return s
}

// printableASCII reports whether s can stand in a header without an escape.
func printableASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// duration reads a number of seconds, or a duration.
func (r *reader) duration(m member, least, otherwise, most time.Duration) time.Duration {
	if !m.Exists() || m.Type == gjson.Null {
		return otherwise
	}
	d, err := time.ParseDuration(m.Str)
	switch {
	case m.Type == gjson.Number:
		d = time.Duration(m.Num * float64(time.Second))
	case m.Type != gjson.String || err != nil:
		r.fail(m.Index, m.path, "is "+kind(m.Result)+", not a duration", `write a duration, such as "`+otherwise.String()+`"`)
		return otherwise
	}
	if d < least || d > most || m.Num > most.Seconds() {
		r.fail(m.Index, m.path, shorten(m.Raw)+" is out of range", "write "+least.String()+" to "+most.String())
	}
	return d
}

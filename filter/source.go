package filter

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A source keeps a plugin's policies those of a document that some server has. Each
// worker polls on its own.
type source struct {
	plugin *Plugin
	from   *config.PolicySource

	inFlight bool
	etag     string    // of what serves
	serving  digest    // of the document that serves, if one does
	refused  [4]digest // of the documents that were refused last, the latest first
	failures int       // in a row
	trouble  string    // the last problem that was logged, "" if there is none
	logged   trouble
}

// A trouble is a kind of failure to get a document. Each is logged once until the
// source is well again: one that flaps between two statuses would else log each fetch.
type trouble uint8

const (
	unreachable trouble = 1 << iota // the cluster is unknown, or has no endpoint
	noAnswer                        // none, or not all of it, in time
	badStatus                       // a status other than 200, and 304 where asked for
	tooLarge
)

// The counters of a source.
const (
	countUpdated   = "cors.policy_source.updated"
	countUnchanged = "cors.policy_source.unchanged"
	countRefused   = "cors.policy_source.refused"
	countFailed    = "cors.policy_source.failed"
)

// The first fetch comes within firstFetch, for there may be no policies before. A
// source that fails is asked after twice the time again and again, up to
// slowestPoll intervals, but not beyond slowest if the interval is shorter.
const (
	firstFetch  = time.Second
	slowestPoll = 16
	slowest     = time.Minute
)

// troubleRefused is the trouble of a document that was refused.
const troubleRefused = "refused"

// start begins polling. It fetches nothing yet: a host configures plugins also in
// VMs that it throws away.
func (s *source) start() {
	for _, counter := range []string{countUpdated, countUnchanged, countRefused, countFailed} {
		s.plugin.counters.define(counter)
	}
	s.plugin.host.SetTickPeriod(spread(0, min(firstFetch, s.from.Interval)))
}

// spread returns a duration from least to most, so that workers and proxies that
// start together don't poll together.
func spread(least, most time.Duration) time.Duration {
	return max(time.Millisecond, least+time.Duration(rand.Float64()*float64(most-least)))
}

// fetch asks for the document, one request at a time.
func (s *source) fetch() {
	if s.inFlight {
		return
	}
	headers := []cors.Header{
		{Name: ":method", Value: "GET"}, {Name: ":path", Value: s.from.Path},
		{Name: ":authority", Value: s.from.Authority},
		{Name: ":scheme", Value: "http"}, {Name: "accept", Value: "application/json"},
		{Name: "user-agent", Value: "proxy-wasm-cors"},
	}
	if s.etag != "" {
		headers = append(headers, cors.Header{Name: "if-none-match", Value: s.etag})
	}
	s.inFlight = s.plugin.host.Fetch(s.from.Cluster, appendHeaderMap(nil, headers), s.from.Timeout, s.answered)
	if !s.inFlight {
		s.failed(unreachable, "can't ask the cluster "+strconv.Quote(s.from.Cluster)+
			": it is unknown, or has no endpoint")
	}
}

// answered takes the answer to a fetch. ok is false if there is none.
func (s *source) answered(size int, ok bool) {
	s.inFlight = false
	status, _ := s.plugin.host.FetchedHeader(":status")
	switch {
	case !ok:
		s.failed(noAnswer, "no whole answer within "+s.from.Timeout.String())
	case status == "304" && s.etag != "":
		s.unchanged()
	case status != "200":
		s.failed(badStatus, "status "+status)
	case size > config.MaxDocument:
		s.failed(tooLarge, "the document has "+strconv.Itoa(size)+" bytes, and may have "+
			strconv.Itoa(config.MaxDocument))
	default:
		s.take(s.plugin.host.FetchedBody(size))
	}
}

// take makes the policies those of a document, if it is good.
func (s *source) take(body string) {
	digest := digestOf(body)
	switch {
	case digest == s.serving:
		s.keepETag()
		s.unchanged()
		return
	case slices.Contains(s.refused[:], digest):
		// What is wrong with it is in the log. A source of several servers, one of which
		// has a bad document, would else fill the log.
		if s.trouble != troubleRefused {
			s.plugin.host.Log(Error, "policy_source: a document is refused that was refused before; "+
				s.plugin.serving("still"))
		}
		s.refuse()
		return
	}
	c, problems := config.ParseFetched(body)
	for _, problem := range problems {
		s.plugin.logProblem("policy_source: ", problem)
	}
	if c == nil {
		copy(s.refused[1:], s.refused[:])
		s.refused[0] = digest
		s.plugin.host.Log(Error, "policy_source: the document is refused: "+refusal(problems)+"; "+
			s.plugin.serving("still"))
		s.refuse()
		return
	}
	s.plugin.use(c.Policies, s.plugin.counters)
	s.serving, s.trouble, s.logged = digest, "", 0
	s.keepETag()
	s.plugin.counters.count(countUpdated)
	s.plugin.host.Log(Info, "policy_source: a new document, "+s.plugin.serving("now"))
	s.again(0)
}

// refuse is for when what serves goes on, because the source has nothing better.
func (s *source) refuse() {
	s.trouble = troubleRefused
	s.plugin.counters.count(countRefused)
	s.again(0)
}

// maxETag bounds the ETag that is kept of a document, and sent with each fetch. A longer
// one is as none: the document comes whole each time, and its digest tells whether it is
// new.
const maxETag = 8 << 10

func (s *source) keepETag() {
	etag, _ := s.plugin.host.FetchedHeader("etag")
	if len(etag) > maxETag {
		etag = ""
	}
	s.etag = strings.Clone(etag)
}

// unchanged is for when what serves is what the source has.
func (s *source) unchanged() {
	s.plugin.counters.count(countUnchanged)
	if s.trouble != "" {
		s.plugin.host.Log(Info, "policy_source: answers again with the same document, "+s.plugin.serving("still"))
	}
	s.trouble, s.logged = "", 0
	s.again(0)
}

// failed is for when there is no document. It logs a kind of trouble that it hasn't
// logged since the source was well.
func (s *source) failed(kind trouble, why string) {
	s.plugin.counters.count(countFailed)
	if s.logged&kind == 0 {
		s.logged |= kind
		s.plugin.host.Log(Warn, "policy_source: "+why+"; "+s.plugin.serving("still"))
	}
	if s.trouble == "" {
		s.trouble = why
	}
	s.again(s.failures + 1)
}

// again sets the time of the next fetch, after so many failures in a row.
func (s *source) again(failures int) {
	s.failures = failures
	delay := s.from.Interval
	for range failures {
		if delay >= min(slowestPoll*s.from.Interval, slowest) {
			break
		}
		delay *= 2
	}
	delay = min(delay, max(s.from.Interval, slowest))
	s.plugin.host.SetTickPeriod(spread(delay*9/10, delay*11/10))
}

// A digest stands for a document of megabytes that need not be kept. Two that differ
// have the same one less often than memory fails.
type digest [2]uint64

// Seeds that no source knows, so that none can make two documents look alike.
var digestSeeds = [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func digestOf(document string) (d digest) {
	for i, seed := range digestSeeds {
		d[i] = maphash.String(seed, document)
	}
	return d
}

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
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A source keeps a plugin's policies those of a document that some server has. Of the
// proxy's VMs one fetches the document and hands it to the others, see [record].
type source struct {
	_      incomparable
	plugin *Plugin
	from   *config.PolicySource
	key    string // of the record
	id     uint64 // who this is in the record

	inFlight bool
	asked    bool  // for what differs from the document with an ETag
	sent     int64 // when the last fetch was
	arrived  int64 // when its answer came, with a body of this size
	size     int
	seen     uint64    // the number of the record's document that was looked at last
	number   uint64    // of the record's document, if that serves
	serving  digest    // of the document that serves, if one does
	refused  [4]digest // of the documents that were refused last, the latest first
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

// A source that fails is asked after twice the time again and again, up to
// slowestPoll intervals, but not beyond slowest if the interval is shorter. One that holds
// fetches is asked sooner at first, for whoever restarts it cuts off a fetch of each proxy.
const (
	slowestPoll = 16
	slowest     = time.Minute
	firstRetry  = time.Second
)

const (
	// Of the time from one document to the next, reading it may take one part of busy, whatever the interval.
	busy = 10
	// slowestByte is what each byte may add to that time: a clock that jumps meanwhile is no reading.
	slowestByte = 16 * time.Microsecond
)

const (
	// look is how often who doesn't fetch looks whether the one that does is still there,
	// and grace for how long that one may be late.
	look  = time.Second
	grace = time.Second
	// lease is for how long who fetches may say nothing, which it says anew at each look.
	lease = 5 * time.Second
	// tries is how often a record is changed anew when another VM has changed it.
	tries = 1000
)

// troubleRefused is the trouble of a document that was refused.
const troubleRefused = "refused"

// newSource returns the plugin's source.
func newSource(p *Plugin, from *config.PolicySource) *source {
	// How often a source is asked may change without its being another one.
	return &source{plugin: p, from: from, id: rand.Uint64() | 1, //nolint:gosec // no secret
		key: recordKey + hashOf(from.Cluster+"\n"+from.Authority+"\n"+from.Path)}
}

// start begins, and reports whether the policies are those of the source's last good
// document. It fetches nothing yet, and tells nobody of the plugin: a host configures
// plugins also in VMs that it throws away. It only makes sure that there is a record, and
// that the source is listed, while that VM is alone: the first one to write can't be told
// from the second.
func (s *source) start() bool {
	for _, counter := range []string{countUpdated, countUnchanged, countRefused, countFailed} {
		s.plugin.counters.define(counter)
	}
	if _, _, ok := s.plugin.host.Shared(s.key); !ok {
		s.plugin.host.SetShared(s.key, new(record).encode(), 0)
	}
	s.remember()
	s.plugin.watch.add(s)
	s.tickAfter(spread(0, config.MinInterval))
	s.sync() // Whatever comes of it, there are ticks.
	return s.serves()
}

// serves reports whether the policies are those of a document.
func (s *source) serves() bool { return s.serving != digest{} }

// spread returns a duration from least to most, so that proxies that start together don't
// poll together.
func spread(least, most time.Duration) time.Duration {
	//nolint:gosec // who knows it gains nothing
	return max(time.Millisecond, least+time.Duration(rand.Float64()*float64(most-least)))
}

func (s *source) tickAfter(period time.Duration) { s.plugin.ticks.every(period) }

// record returns what the VMs know of the source, until the callback returns.
func (s *source) record() (r record, version uint32) {
	text, version, _ := s.plugin.host.Shared(s.key)
	return decodeRecord(text), version
}

// change changes the record, unless change returns false, and reports whether it has.
func (s *source) change(change func(r *record) bool) bool {
	for range tries {
		r, version := s.record()
		if !change(&r) {
			return false
		}
		if s.plugin.host.SetShared(s.key, r.encode(), version) {
			return true
		}
	}
	return false
}

// tick fetches the document if it is time, and nobody else does.
func (s *source) tick() {
	s.plugin.watch.listen(s)
	r := s.sync()
	if queue := s.plugin.watch.queue; !r.wakes(queue) {
		s.change(func(r *record) bool {
			r.setQueue(queue, true)
			return true
		})
	}
	if s.inFlight {
		s.hold(func(r *record) { r.until = min(r.until, s.overdue()) })
		return
	}
	if wait := s.turn(&r, now()); wait > 0 {
		s.tickAfter(wait)
		return
	}
	s.fetch()
}

// timeout is how long a fetch may take.
func (s *source) timeout() time.Duration { return s.from.Timeout + s.from.Wait }

// overdue is when the fetch has taken longer than it may.
func (s *source) overdue() int64 { return s.sent + (s.timeout() + grace).Milliseconds() }

// hold changes the record and says that the fetch goes on, or returns false if another VM
// has asked meanwhile. It isn't inlined: the copies would add 2 kB to the module.
//
//go:noinline
func (s *source) hold(change func(r *record)) bool {
	return s.change(func(r *record) bool {
		r.until = now() + lease.Milliseconds()
		change(r)
		return r.owner == s.id
	})
}

// turn returns how long this source has to wait at least until it may fetch.
func (s *source) turn(r *record, now int64) time.Duration {
	// The configuration before this one is about to go, and the fetch that it waits for.
	takesOver := s.from.Wait > 0 && s.plugin.watch.older(r.owner, s)
	switch {
	case r.began > now+grace.Milliseconds():
		return 0 // The clock was set back. A little is between two threads.
	case r.until > now && takesOver:
		return 0
	case r.until > now:
		return look
	}
	wait := func(until int64) time.Duration { return time.Duration(until-now) * time.Millisecond }
	if r.owner == s.id {
		return wait(r.due)
	}
	// Another owner may have another configuration, which asks less often.
	due := min(r.due, r.began+(s.delay(r.failures)*3/2).Milliseconds())
	if r.owner != 0 && !takesOver {
		due += grace.Milliseconds()
	}
	return min(wait(due), look)
}

// gone gives up what the plugin has of the source, as it goes. Another may fetch at once: a
// fetch that is under way is cancelled, and the next configuration may wait for changes.
func (s *source) gone() {
	last := s.plugin.watch.remove(s)
	s.change(func(r *record) bool {
		unlist, owner := last && r.wakes(s.plugin.watch.queue), r.owner == s.id
		if unlist {
			r.setQueue(s.plugin.watch.queue, false)
		}
		if owner {
			r.owner, r.until, r.due = 0, 0, 0
		}
		return unlist || owner
	})
}

// fetch asks for the document, unless another was sooner.
func (s *source) fetch() {
	headers := get(s.from.Path, s.from.Authority, cors.Header{Name: "accept", Value: "application/json"})
	if s.from.Wait > 0 {
		headers = append(headers, cors.Header{Name: "prefer",
			Value: "wait=" + strconv.Itoa(int((s.from.Wait+time.Second-1)/time.Second))})
	}
	etag := ""
	s.sent, s.size = now(), 0
	mine := s.change(func(r *record) bool {
		if s.turn(r, s.sent) > 0 {
			return false
		}
		if etag = ""; s.current(r) {
			etag = r.etag
		}
		r.owner, r.began, r.until = s.id, s.sent, min(s.sent+lease.Milliseconds(), s.overdue())
		return true
	})
	s.tickAfter(look)
	if !mine {
		return
	}
	if s.asked = etag != ""; s.asked {
		headers = append(headers, cors.Header{Name: "if-none-match", Value: etag})
	}
	s.inFlight = s.plugin.host.Fetch(s.plugin.id, s.from.Cluster, appendHeaderMap(nil, headers), s.timeout(),
		s.answered)
	if !s.inFlight {
		s.failed(unreachable, "can't ask the cluster "+problem.InQuotes(s.from.Cluster)+
			": it is unknown, or has no endpoint")
	}
}

// answered takes the answer to a fetch. ok is false if there is none.
func (s *source) answered(size int, ok bool) {
	s.inFlight, s.arrived, s.size = false, now(), size
	if !s.hold(func(*record) {}) {
		return // It came so late that another has asked.
	}
	status, _ := s.plugin.host.FetchedHeader(":status")
	switch {
	case !ok:
		s.failed(noAnswer, "no whole answer within "+s.timeout().String())
	case status == "304" && s.asked:
		s.unchanged(false)
	case status != "200":
		s.failed(badStatus, "status "+status)
	case size > config.MaxDocument:
		s.failed(tooLarge, "the document has "+strconv.Itoa(size)+" bytes, and may have "+
			strconv.Itoa(config.MaxDocument))
	default:
		s.take(s.plugin.host.FetchedBody(size))
	}
}

// sync takes the document that another VM, or another configuration, has fetched, unless it
// serves, and returns the record.
func (s *source) sync() record {
	r, _ := s.record()
	if r.number == s.seen {
		return r
	}
	s.seen = r.number
	body, _ := s.plugin.host.SharedDocument(s.key + documentKey)
	if body == "" {
		return r
	}
	if digest := digestOf(body); digest != s.serving {
		// It was good for the VM that has fetched it, and is so here but for another build.
		c, problems := config.ParseFetched(body)
		if c == nil {
			s.log(Error, "the document that serves elsewhere is refused: "+problems[0].Error())
			return r
		}
		s.plugin.use(c, s.plugin.counters)
		s.serving, s.trouble, s.logged = digest, "", 0
	}
	s.number = r.number
	return r
}

// log logs what happens to the source. It isn't inlined: the copies would add 1 kB to the
// module.
//
//go:noinline
func (s *source) log(level Level, what string) { s.plugin.host.Log(level, "policy_source: "+what) }

// current reports whether the document that serves is the record's, whole and with the ETag
// that the record has.
func (s *source) current(r *record) bool { return r.number == s.number && !r.writing() }

// take makes the policies those of a document, if it is good.
func (s *source) take(body string) {
	digest := digestOf(body)
	r, _ := s.record()
	switch {
	case digest == s.serving && s.current(&r):
		s.unchanged(true)
		return
	case slices.Contains(s.refused[:], digest):
		// What is wrong with it is in the log. A source of several servers, one of which
		// has a bad document, would else fill the log.
		if s.trouble != troubleRefused {
			s.log(Error, "a document is refused that was refused before; "+
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
		s.log(Error, "the document is refused: "+refusal(problems)+"; "+
			s.plugin.serving("still"))
		s.refuse()
		return
	}
	// What may fail with it fails here, before the others have it.
	s.plugin.use(c, s.plugin.counters)
	s.serving, s.trouble, s.logged = digest, "", 0
	s.publish(body)
	s.plugin.counters.count(countUpdated)
	s.log(Info, "a new document, "+s.plugin.serving("now"))
}

// publish hands the document that serves to the other VMs. Its number is odd as long as it
// is being written. If the VM ends there, nobody takes what is in the shared data for the
// document of a number, or of an ETag: whoever fetches next gets it whole, and hands it on.
func (s *source) publish(body string) {
	s.seen, s.number = never, never
	if !s.hold(func(r *record) { r.number, r.etag = (r.number+1)|1, "" }) {
		return // Another has asked, while this one read. It will have the same, or better.
	}
	s.plugin.host.SetShared(s.key+documentKey, body, 0)
	var news record
	s.again(false, func(r *record) {
		r.number++
		r.etag = s.etag()
		news, s.seen, s.number = *r, r.number, r.number
	})
	news.wake(s.plugin.host)
}

// refuse is for when what serves goes on, because the source has nothing better.
func (s *source) refuse() {
	s.trouble = troubleRefused
	s.plugin.counters.count(countRefused)
	s.again(false, nil)
}

// maxETag bounds the ETag that is kept of a document, and sent with each fetch. A longer
// one is as none: the document comes whole each time, and its digest tells whether it is
// new.
const maxETag = 8 << 10

func (s *source) etag() string {
	etag, _ := s.plugin.host.FetchedHeader("etag")
	if len(etag) > maxETag || strings.TrimSpace(etag) == "*" { // which would match any document
		return ""
	}
	return etag
}

// unchanged is for when what serves is what the source has, which may have come again
// with another ETag.
func (s *source) unchanged(whole bool) {
	s.plugin.counters.count(countUnchanged)
	if s.trouble != "" {
		s.log(Info, "answers again with the same document, "+s.plugin.serving("still"))
	}
	s.trouble, s.logged = "", 0
	s.again(false, func(r *record) {
		if whole {
			r.etag = s.etag()
		}
	})
}

// failed is for when there is no document. It logs a kind of trouble that it hasn't
// logged since the source was well.
func (s *source) failed(kind trouble, why string) {
	s.plugin.counters.count(countFailed)
	if s.logged&kind == 0 {
		s.logged |= kind
		s.log(Warn, why+"; "+s.plugin.serving("still"))
	}
	if s.trouble == "" {
		s.trouble = why
	}
	s.again(true, nil)
}

// delay is the time from one fetch to the next after so many failures in a row.
func (s *source) delay(failures int64) time.Duration {
	delay, most := s.from.Interval, min(slowestPoll*s.from.Interval, slowest)
	if s.from.Wait > 0 && failures > 0 {
		delay = min(delay, firstRetry/2)
	}
	for range failures {
		if delay >= most {
			break
		}
		delay *= 2
	}
	return min(delay, max(s.from.Interval, slowest))
}

// pause is the time from now to the next fetch, after so many failures in a row. news says
// that the document is a new one.
func (s *source) pause(failures, now int64, news bool) time.Duration {
	wait := s.delay(failures)
	pause := spread(wait*9/10, wait*11/10)
	held := time.Duration(max(0, now-s.sent)) * time.Millisecond
	switch {
	case s.from.Wait == 0:
	case failures > 0: // Those that were cut off together don't come back together.
		pause = spread(wait/2, wait*3/2)
	case news:
		// One that has a new document each time is asked not as often as it can.
		pause = config.MinInterval - held
	default:
		// Where the source has held the fetch, the next one follows at once. One that
		// answers at once all the same is asked no more often than any other.
		pause -= held
	}
	// The less often, the longer reading takes, also of what is refused then.
	reading := time.Duration(max(0, now-s.arrived)) * time.Millisecond
	return max(pause, min(reading*(busy-1), time.Duration(s.size)*slowestByte))
}

// again sets the time of the next fetch, after a failure or none, and what else there is
// to change in the record, unless another VM has asked. It isn't inlined: the copies would
// add 3 kB to the module.
//
//go:noinline
func (s *source) again(failed bool, change func(r *record)) {
	s.change(func(r *record) bool {
		if r.owner != s.id {
			return false
		}
		number := r.number
		if change != nil {
			change(r)
		}
		if r.failures++; !failed {
			r.failures = 0
		}
		r.began = now()
		wait := s.pause(r.failures, r.began, r.number != number)
		r.until, r.due = 0, r.began+wait.Milliseconds()
		s.tickAfter(wait)
		return true
	})
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

// Package daemon runs cors-policyd: it keeps the document as the database is, and serves it.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/server"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/system"
)

// A Daemon is cors-policyd.
type Daemon struct {
	settings  *settings.Settings
	log       *slog.Logger
	db        *database.DB
	builder   *policies.Builder
	publisher *server.Publisher
	server    *server.Server
	metrics   *server.Metrics
	http      *http.Server
	xds       *server.XDS

	listener, xdsListener net.Listener

	served *policies.Document
	// fresh tells that nothing has been served before, nor is there a state.
	fresh   bool
	saved   *policies.Result // what the state is of
	logged  map[string]bool  // the rejected rows that have been logged, or were too many to be
	rows    *rate.Limiter    // of lines about rows
	more    rate.Sometimes   // that there are more
	failing string           // the error of the last refresh, which is logged once
	unsaved bool             // that the state can't be written is logged once, too
	// panicked has the stack of a panic logged, but not of each.
	panicked rate.Sometimes
}

// stopTimeout is how long clients may take to read what they are sent at the end.
const stopTimeout = 5 * time.Second

// New returns a daemon that listens, and doesn't serve yet.
func New(s *settings.Settings, log *slog.Logger) (*Daemon, error) {
	d := &Daemon{
		settings: s, log: log, logged: map[string]bool{},
		rows: rate.NewLimiter(rate.Every(time.Second), 20), more: rate.Sometimes{Interval: time.Minute},
		panicked:  rate.Sometimes{Interval: time.Hour},
		publisher: server.NewPublisher(), metrics: server.NewMetrics(),
	}
	var err error
	d.db, err = database.Open(database.Options{
		URL: s.Database, Timeout: s.Timeout, Connections: s.Limits.Connections,
		Certificate: func(expires time.Time) { d.metrics.Expires("database", expires) },
		Reloaded:    func(err error) { d.server.Reloaded("database")(err) },
	})
	if err != nil {
		return nil, err
	}
	if d.server, err = server.New(s, log, d.db, d.publisher, d.metrics); err != nil {
		return nil, err
	}
	d.http = d.server.HTTP()
	if s.Template != nil {
		d.builder = policies.NewBuilder(s.Template)
		d.builder.Keep = s.State != ""
	}
	if d.listener, err = d.listen(s.Listen, httpShare); err != nil {
		return nil, err
	}
	if s.XDS == nil {
		return d, nil
	}
	d.xds = d.server.NewXDS()
	if d.xdsListener, err = d.listen(s.XDS.Listen, xdsShare); err != nil {
		_ = d.listener.Close()
	}
	return d, err
}

// Room for clients that don't wait, and for what else the process has open: files, connections to the database.
const otherClients, otherDescriptors = 1000, 100

// How many quarters of the descriptors are for HTTP and for ECDS, if both are served.
const httpShare, xdsShare = 3, 1

// listen listens for as many clients as there is room for; others wait until one goes. So clients that only hold
// connections, whom no token keeps from that, take neither all of the memory nor the database's connections.
func (d *Daemon) listen(address string, quarters int) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, room(d.settings, system.MaxDescriptors(), quarters)), nil
}

// room is for how many clients there is room, of whose descriptors there may be so many, or 0 if that isn't known, and
// so many quarters of what is left of them are for these clients.
func room(s *settings.Settings, descriptors, quarters int) int {
	clients := s.Limits.Waiting + otherClients
	if descriptors == 0 {
		return clients
	}
	left := descriptors - otherDescriptors - 2*s.Limits.Connections
	if s.XDS != nil {
		left = left * quarters / 4
	}
	return max(1, min(clients, left))
}

// Addr is where HTTP is served, and XDSAddr where ECDS is, if it is.
func (d *Daemon) Addr() net.Addr { return d.listener.Addr() }

// XDSAddr is where ECDS is served.
func (d *Daemon) XDSAddr() net.Addr { return d.xdsListener.Addr() }

// CountLost has the lines that the log has lost be counted.
func (d *Daemon) CountLost(lost func() uint64) { d.metrics.WatchLost(lost) }

// Run serves until the context ends. Then clients that wait are answered, and streams ended.
func (d *Daemon) Run(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	secure := d.settings.TLS != nil
	go func() {
		var err error
		if secure {
			err = d.http.ServeTLS(d.listener, "", "")
		} else {
			err = d.http.Serve(d.listener)
		}
		ended <- fmt.Errorf("HTTP: %w", err)
	}()
	d.log.Info("serving HTTP", "address", d.listener.Addr().String(), "tls", secure)
	if d.xds != nil {
		go func() { ended <- fmt.Errorf("gRPC: %w", d.xds.GRPC().Serve(d.xdsListener)) }()
		d.log.Info("serving ECDS", "address", d.xdsListener.Addr().String(), "resource", d.settings.XDS.Resource)
	}
	refreshed := make(chan struct{})
	go func() {
		defer close(refreshed)
		if d.builder != nil {
			d.begin(running)
			d.refreshing(running)
		}
	}()
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	d.log.Info("stopping")
	stop()
	<-refreshed
	d.stop()
	_ = d.db.Close() // which fails if the database is away
	return err
}

// stop answers those who wait and ends all connections. HTTP and gRPC end at the same time: who
// waits no longer would else ask again at once, and be answered at once.
func (d *Daemon) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var ending sync.WaitGroup
	if d.xds != nil {
		ending.Go(func() { d.xds.Stop(ctx) })
	}
	ending.Go(func() {
		_ = d.http.Shutdown(ctx)
		_ = d.http.Close() // of those who don't read
	})
	d.publisher.Stop()
	ending.Wait()
}

// After a failure the queries run again sooner than they otherwise would.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// restAtLeast is how long a document stays the last one. A first change doesn't wait for it.
const restAtLeast = 10 * time.Millisecond

// refreshing builds a document whenever the database may have changed.
func (d *Daemon) refreshing(ctx context.Context) {
	changed := make(chan struct{}, 1)
	watched := true // until the first failure, which is logged as each after a success is
	// Not before the first document, with which a file and a table that are missing are made.
	watch := sync.OnceFunc(func() {
		go d.db.Watch(ctx, d.settings.Notify, func() {
			watched = true
			select {
			case changed <- struct{}{}:
			default: // is known
			}
		}, func(err error) {
			if watched {
				d.log.Warn("changes are noticed by poll only, until the database can be watched again", "error", err)
			}
			watched = false
		})
	})
	for retry := firstRetry; ctx.Err() == nil; {
		began := time.Now()
		next := d.settings.Poll
		if d.refresh(ctx) {
			retry = firstRetry
		} else {
			next, retry = min(next, retry), min(2*retry, lastRetry)
		}
		watch()
		// Documents leave the database, the machine and the Envoys some rest.
		d.sleep(ctx, max(restAtLeast, time.Since(began)))
		poll := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-poll.C:
		}
		poll.Stop()
	}
}

func (d *Daemon) sleep(ctx context.Context, pause time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// refresh builds the document, and publishes it if it is another one. It returns false if
// that failed.
func (d *Daemon) refresh(ctx context.Context) bool {
	began := time.Now()
	result, err := d.guarded(func() (*policies.Result, error) { return d.build(ctx) })
	if ctx.Err() != nil {
		return false
	}
	d.metrics.Seconds.Observe(time.Since(began).Seconds())
	if err != nil {
		d.metrics.Refreshes.WithLabelValues("failed").Inc()
		if text := err.Error(); text != d.failing {
			d.failing = text
			d.log.Error("the document can't be built; the last good one stays", "error", err, "serving", d.served != nil)
		}
		return false
	}
	if d.failing != "" {
		d.failing = ""
		d.log.Info("the database answers again")
	}
	d.metrics.LastSuccess.SetToCurrentTime()
	d.report(result)
	if d.served == nil || d.served.ETag != result.Document.ETag {
		d.metrics.Refreshes.WithLabelValues("changed").Inc()
		d.publish(result.Document)
		d.log.Info("a new document", "policies", result.Document.Policies, "origins", result.Document.Origins,
			"bytes", len(result.Document.Text), "etag", result.Document.ETag, "took", time.Since(began).Round(time.Microsecond))
	} else {
		d.metrics.Refreshes.WithLabelValues("unchanged").Inc()
	}
	d.save(result)
	return true
}

// save writes the state of a result, unless it is there. If that fails, it is tried again after
// the next run of the queries.
func (d *Daemon) save(result *policies.Result) {
	if d.settings.State == "" || d.saved == result {
		return
	}
	err := save(d.settings.State, result.State)
	if err == nil {
		d.saved, result.State = result, nil
	} else {
		d.metrics.StateFailures.Inc()
		if !d.unsaved {
			d.log.Error("the state can't be written", "error", err)
		}
	}
	d.unsaved = err != nil
}

// guarded makes a document. A panic, which a row may cause that nobody has thought of, is a failure like others:
// it would come again after a restart.
func (d *Daemon) guarded(document func() (*policies.Result, error)) (result *policies.Result, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			result, err = nil, fmt.Errorf("a panic: %v", reason)
			d.panicked.Do(func() { d.log.Error("building ends in a panic", "panic", reason, "stack", string(debug.Stack())) })
		}
	}()
	return document()
}

// build reads the database, after it has made the table of origins where that is asked for.
// Where something was served before, a table that is gone is no reason to begin anew.
func (d *Daemon) build(ctx context.Context) (*policies.Result, error) {
	result, err := d.builder.Build(ctx, d.db)
	if err == nil || !d.fresh || !d.settings.Template.HasTable() {
		return result, err
	}
	if made := d.db.MakeTable(ctx); made != nil {
		return nil, errors.Join(err, fmt.Errorf("the table cors_origins: %w", made))
	}
	return d.builder.Build(ctx, d.db)
}

// publish serves a document.
func (d *Daemon) publish(document *policies.Document) {
	d.served, d.fresh = document, false
	d.metrics.Bytes.Set(float64(len(document.Text)))
	d.metrics.Policies.Set(float64(document.Policies))
	d.metrics.Origins.Set(float64(document.Origins))
	d.publisher.Publish(document)
	if d.xds != nil {
		if err := d.xds.Publish(document); err != nil {
			d.log.Error("the document can't be sent to Envoys", "error", err)
		}
	}
}

// report says which rows are left out, each once as long as it is there. Whoever writes rows could
// fill the log with bad ones, of which there are as many as one likes.
func (d *Daemon) report(result *policies.Result) {
	d.server.Built(result)
	for source, n := range result.Count {
		d.metrics.Rejected.WithLabelValues(source).Set(float64(n))
	}
	now, more := map[string]bool{}, 0
	for _, r := range result.Rejected {
		key := r.Key()
		now[key] = true
		switch {
		case d.logged[key]:
		case d.rows.Allow():
			d.log.Warn("a row is left out", "source", r.Source, "row", r.Row, "what", r.What, "instead", r.Instead)
		default:
			more++
		}
	}
	if more > 0 {
		d.more.Do(func() { d.log.Warn("more rows are left out; /v1/rejected lists them", "rows", more) })
	}
	d.logged = now
}

// firstAnswer is how long the database may take to answer before what was served before a restart is.
const firstAnswer = 2 * time.Second

// begin serves the last good document of before, unless the database answers soon: the state may be older
// than what clients have, since a crash or a full disk has kept it from being written.
func (d *Daemon) begin(ctx context.Context) {
	d.fresh = true
	if d.settings.State == "" {
		return
	}
	clean(d.settings.State)
	text, err := os.ReadFile(d.settings.State)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	d.fresh = false
	first, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	if d.refresh(first) || ctx.Err() != nil {
		return
	}
	var result *policies.Result
	if err == nil {
		result, err = d.guarded(func() (*policies.Result, error) { return d.builder.Restore(text) })
	}
	if err != nil {
		d.log.Warn("the state can't be used", "file", d.settings.State, "error", err)
		return
	}
	d.report(result)
	d.publish(result.Document)
	d.log.Info("serving the last good document, until the database answers", "etag", result.Document.ETag)
}

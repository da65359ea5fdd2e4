package database

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/sqltext"
)

// postgres is PostgreSQL.
type postgres struct {
	config *pgx.ConnConfig // is copied by connections while others are made, and so never changed
	tls    *reloading
	good   *pgx.ConnConfig // whose certificates are the last good ones
}

func newPostgres(o Options) (*postgres, error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, err
	}
	parameter := func(name, value string) {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	parameter("application_name", "cors-policyd")
	parameter("statement_timeout", strconv.FormatInt(o.Timeout.Milliseconds(), 10))
	// The server would else keep the locks of a transaction whose client was cut off without a word.
	parameter("idle_in_transaction_session_timeout", strconv.FormatInt(2*o.Timeout.Milliseconds(), 10))
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = o.Timeout
	}
	return &postgres{config: config, tls: &reloading{options: o}, good: config}, nil
}

// reload has a connection use what the files of certificates are now: the driver reads them once.
func (p *postgres) reload(config *pgx.ConnConfig) {
	p.tls.mu.Lock()
	defer p.tls.mu.Unlock()
	if now, err := pgx.ParseConfig(p.tls.options.URL); p.tls.told(err) {
		p.good = now
	}
	config.TLSConfig, config.Fallbacks = p.tls.watched(p.good.TLSConfig), nil
	for _, f := range p.good.Fallbacks {
		other := *f
		other.TLSConfig = p.tls.watched(f.TLSConfig)
		config.Fallbacks = append(config.Fallbacks, &other)
	}
}

func (p *postgres) open(write bool) (*sql.DB, error) {
	config := p.config.Copy()
	if !write {
		config.RuntimeParams["default_transaction_read_only"] = "on"
	}
	reload := func(_ context.Context, c *pgx.ConnConfig) error { p.reload(c); return nil }
	return stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(reload)), nil
}

func (p *postgres) bind(q *sqltext.Query) (text string, names []string) { return q.Numbered("$") }

// watch listens on a channel with a connection of its own.
func (p *postgres) watch(ctx context.Context, _ *DB, channel string, changed func()) error {
	if channel == "" {
		return nil
	}
	conn, err := p.listen(ctx, channel)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is lost
	for {
		changed() // first for what has changed before
		if err := waitFor(ctx, conn, aliveInterval); err != nil {
			return err
		}
	}
}

// listen returns a connection that listens on a channel.
func (p *postgres) listen(ctx context.Context, channel string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, aliveInterval)
	defer cancel()
	config := p.config.Copy()
	p.reload(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		_ = conn.Close(ctx) // it has failed
		return nil, err
	}
	return conn, nil
}

// A listening is a connection that listens on a channel.
type listening interface {
	WaitForNotification(ctx context.Context) (*pgconn.Notification, error)
	Ping(ctx context.Context) error
}

// waitFor waits for a notification. A connection that was cut off without a word would never
// tell, so it is asked at each interval.
func waitFor(ctx context.Context, conn listening, interval time.Duration) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, interval)
		_, err := conn.WaitForNotification(waiting)
		idle := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		if !idle {
			return err
		}
		asking, cancel := context.WithTimeout(ctx, interval)
		err = conn.Ping(asking)
		cancel()
		if err != nil {
			return err
		}
	}
}

// aliveInterval is how often a connection that waits is asked whether it is still there.
const aliveInterval = 10 * time.Second

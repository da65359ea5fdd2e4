package database

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/sqltext"
)

// sqlite is a file of SQLite.
type sqlite struct{ path string }

func newSQLite(o Options) *sqlite {
	path := strings.TrimPrefix(o.URL, "sqlite:")
	return &sqlite{strings.TrimPrefix(path, "//")}
}

func (s *sqlite) open(write bool) (*sql.DB, error) {
	options := url.Values{"_pragma": {"busy_timeout(2000)"}, "mode": {"ro"}}
	if write {
		options = url.Values{"_pragma": {"busy_timeout(5000)"}, "mode": {"rwc"}}
	}
	return sql.Open("sqlite", "file:"+(&url.URL{Path: s.path}).EscapedPath()+"?"+options.Encode())
}

func (s *sqlite) bind(q *sqltext.Query) (text string, names []string) { return q.Numbered("?") }

// watchInterval is how often a file is asked whether it has changed, which takes some
// microseconds.
const watchInterval = 20 * time.Millisecond

// watch asks one connection for the file's version, which each commit of others changes.
func (s *sqlite) watch(ctx context.Context, db *DB, _ string, changed func()) error {
	pool, err := s.open(false)
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }() // it has only read
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	file, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	statement, err := conn.PrepareContext(ctx, "PRAGMA data_version")
	if err != nil {
		return err
	}
	defer func() { _ = statement.Close() }()
	changed() // since the queries ran, maybe
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for last := int64(-1); ; {
		var version int64
		if err := statement.QueryRowContext(ctx).Scan(&version); err != nil {
			return err
		}
		if last >= 0 && version != last {
			changed()
		}
		last = version
		if now, err := os.Stat(s.path); err != nil {
			return err
		} else if !os.SameFile(file, now) {
			return errors.Join(errors.New("another file has taken the database's place"), db.reopen())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

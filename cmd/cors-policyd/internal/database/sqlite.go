package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/sqltext"
)

// sqlite is a file of SQLite.
type sqlite struct {
	path    string
	timeout time.Duration
}

// open has connections wait for a lock as long as a statement may take. Those that only read may
// write all the same, though no query may: else they could not roll back what a program was
// about to write when it was killed.
func (s *sqlite) open(write bool) (*sql.DB, error) {
	options := url.Values{"mode": {"rw"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", s.timeout.Milliseconds())}}
	if write {
		options.Set("mode", "rwc")
	} else {
		options.Add("_pragma", "query_only(1)")
	}
	return sql.Open("sqlite", "file:"+(&url.URL{Path: s.path}).EscapedPath()+"?"+options.Encode())
}

func (s *sqlite) bind(q *sqltext.Query) (text string, names []string) { return q.Numbered("?") }

// watchInterval is how often a file is asked whether it has changed, which takes some
// microseconds.
const watchInterval = 20 * time.Millisecond

// watch asks one connection for the file's version, which each commit of others changes. All
// other connections are made anew: those from before may be of a file that was there before.
func (s *sqlite) watch(ctx context.Context, db *DB, _ string, changed func()) error {
	file, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	if err := db.reopen(); err != nil {
		return err
	}
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
	statement, err := conn.PrepareContext(ctx, "PRAGMA data_version")
	if err != nil {
		return err
	}
	defer func() { _ = statement.Close() }()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for last := int64(-1); ; {
		var version int64
		if err := statement.QueryRowContext(ctx).Scan(&version); err != nil {
			return err
		}
		if version != last {
			changed() // the first time for what was changed before
		}
		last = version
		if now, err := os.Stat(s.path); err != nil {
			return err
		} else if !os.SameFile(file, now) {
			return errors.New("another file has taken the database's place")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Package database reads what policies are made of from SQLite, PostgreSQL, MySQL and
// MariaDB, and notices when it changes. It only reads, but for the table cors_origins of
// its own.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/sqltext"
)

// Options are what a database is opened with.
type Options struct {
	// URL says where it is. It may have a password.
	URL string
	// Timeout is how long a statement may take.
	Timeout time.Duration
	// Connections is how many connections there may be.
	Connections int
	// Certificate is called with when the certificate expires that the database has shown, and Reloaded with why
	// the files of certificates can't be used that a new connection needs, or nil when they can again.
	Certificate func(expires time.Time)
	Reloaded    func(error)
}

// A DB is a database. Its connections are made when they are first used, and made anew
// when they break.
type DB struct {
	options Options
	driver  driver
	secret  string

	mu   sync.RWMutex
	pool *sql.DB
	// prepared are the statements of look-ups in MySQL, by their text.
	prepared map[string]*sql.Stmt

	// lookups has room for those that may use a connection: all but one, so that however many
	// there are, documents are read.
	lookups chan struct{}
}

// A driver is what differs between databases.
type driver interface {
	// open returns a pool of connections, which may only read or may write too.
	open(write bool) (*sql.DB, error)
	// bind writes the named parameters of a query as the database has them.
	bind(q *sqltext.Query) (text string, names []string)
	// watch calls changed when data may have changed, until it fails or the context ends.
	// It returns nil at once if the database can't tell.
	watch(ctx context.Context, db *DB, channel string, changed func()) error
}

// errURL doesn't repeat the URL, since what is wrong with it may be in the password.
var errURL = errors.New("can't be read as a URL; write / as %2F in a user's name and a password, " +
	"and so : as %3A, @ as %40, # as %23, ? as %3F and % as %25")

// Open returns the database of a URL. It doesn't connect yet.
func Open(o Options) (*DB, error) {
	db := &DB{options: o, prepared: map[string]*sql.Stmt{}, lookups: make(chan struct{}, max(1, o.Connections-1))}
	var err error
	if path, ok := strings.CutPrefix(o.URL, "sqlite:"); ok {
		db.driver = &sqlite{strings.TrimPrefix(path, "//"), o.Timeout}
	} else if u, failed := url.Parse(o.URL); failed != nil || u.Fragment != "" {
		err = errURL
	} else {
		db.secret, _ = u.User.Password()
		switch u.Scheme {
		case "postgres", "postgresql":
			db.driver, err = newPostgres(o)
		case "mysql", "mariadb":
			db.driver, err = newMySQL(u, o)
		default:
			err = errors.New("the scheme is unknown")
		}
	}
	if err == nil {
		db.pool, err = db.openPool(false)
	}
	if err != nil {
		return nil, db.plain(err)
	}
	return db, nil
}

func (db *DB) openPool(write bool) (*sql.DB, error) {
	pool, err := db.driver.open(write)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(db.options.Connections)
	pool.SetMaxIdleConns(db.options.Connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(30 * time.Minute) // the name may be another server's by then
	return pool, nil
}

// plain is an error without the password, should a driver repeat it, and with the file of SQLite,
// which doesn't say it.
func (db *DB) plain(err error) error {
	if err == nil {
		return nil
	}
	if file, ok := db.driver.(*sqlite); ok {
		return fmt.Errorf("%s: %w", file.path, err)
	}
	if db.secret == "" || !strings.Contains(err.Error(), db.secret) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), db.secret, "…"))
}

// Close closes all connections.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.pool.Close()
}

// reopen makes new connections, to another file of the same name. The old ones have time to end
// what they do.
func (db *DB) reopen() error {
	pool, err := db.openPool(false)
	if err != nil {
		return err
	}
	db.mu.Lock()
	old := db.pool
	db.pool = pool
	db.mu.Unlock()
	time.AfterFunc(db.options.Timeout, func() { _ = old.Close() }) // it has only read
	return nil
}

// A Tx is a transaction that only reads: all its queries see the same state.
type Tx struct {
	db *DB
	tx *sql.Tx
}

// Read calls read with a transaction.
func (db *DB) Read(ctx context.Context, read func(ctx context.Context, tx *Tx) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, db.options.Timeout,
		fmt.Errorf("the database has not answered within %s", db.options.Timeout))
	defer cancel()
	db.mu.RLock()
	pool := db.pool
	db.mu.RUnlock()
	options := &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	if _, ok := db.driver.(*sqlite); ok {
		options = nil // its connections only read, and a transaction sees one state anyway
	}
	tx, err := pool.BeginTx(ctx, options)
	if err == nil {
		err = errors.Join(read(ctx, &Tx{db, tx}), ignoreDone(tx.Rollback()))
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return db.plain(err)
}

// ignoreDone ignores that a transaction has ended, which the context has done then.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Query runs a query, and calls each with the values of each row, which are only valid
// until it returns. The columns come first.
func (tx *Tx) Query(
	ctx context.Context, query string, parameters map[string]string,
	columns func(names []string) error, each func(values []any) error,
) error {
	text, args := tx.db.bind(query, parameters)
	rows, err := tx.tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // its error is that of Err
	names, err := rows.Columns()
	if err == nil {
		err = columns(names)
	}
	if err != nil {
		return err
	}
	values, pointers := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return err
		}
		if err := each(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (db *DB) bind(query string, parameters map[string]string) (text string, args []any) {
	text, names := db.driver.bind(sqltext.Parse(query))
	for _, name := range names {
		args = append(args, parameters[name])
	}
	return text, args
}

// Allows reports whether a query has a row that says yes.
func (db *DB) Allows(ctx context.Context, query string, parameters map[string]string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, db.options.Timeout)
	defer cancel()
	select {
	case db.lookups <- struct{}{}:
		defer func() { <-db.lookups }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	text, args := db.bind(query, parameters)
	allowed, err := db.anyYes(ctx, text, args)
	return allowed && err == nil, db.plain(err)
}

// anyYes reports whether one of a query's rows says yes.
func (db *DB) anyYes(ctx context.Context, text string, args []any) (bool, error) {
	rows, err := db.query(ctx, text, args)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }() // its error is that of Err
	names, err := rows.Columns()
	if err != nil {
		return false, err
	}
	pointers := make([]any, len(names))
	for i := range pointers {
		pointers[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return false, err
		}
		if yes(*pointers[0].(*any)) {
			return true, nil
		}
	}
	return false, rows.Err()
}

// yes reports whether a value isn't NULL, false, 0 or empty, as who counts or selects a flag
// means it. A BIT of MySQL is a byte.
func yes(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case []byte:
		return len(v) > 0 && string(v) != "0" && string(v) != "\x00"
	}
	text := fmt.Sprint(value)
	return text != "" && text != "0"
}

// query runs a query. For MySQL it is prepared once, since its driver would do so each time,
// in two more round trips; that of PostgreSQL remembers statements itself, and knows when one
// has to be prepared anew, and SQLite has none.
func (db *DB) query(ctx context.Context, text string, args []any) (*sql.Rows, error) {
	db.mu.RLock()
	statement, pool := db.prepared[text], db.pool
	db.mu.RUnlock()
	if _, ok := db.driver.(*mySQL); !ok {
		return pool.QueryContext(ctx, text, args...)
	}
	if statement == nil {
		var err error
		if statement, err = pool.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
		statement = db.keep(text, statement)
	}
	return statement.QueryContext(ctx, args...)
}

// keep keeps a statement, unless another one was faster.
func (db *DB) keep(text string, statement *sql.Stmt) *sql.Stmt {
	db.mu.Lock()
	defer db.mu.Unlock()
	if other := db.prepared[text]; other != nil {
		_ = statement.Close() // which nobody uses
		return other
	}
	db.prepared[text] = statement
	return statement
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	db.mu.RLock()
	pool := db.pool
	db.mu.RUnlock()
	return db.plain(pool.PingContext(ctx))
}

// Watch calls changed whenever data may have changed, and says of each failure to watch,
// after which it tries again. It returns when the context ends, or, if the database can't
// tell of changes, at once.
func (db *DB) Watch(ctx context.Context, channel string, changed func(), failed func(error)) {
	const least, most = 100 * time.Millisecond, 5 * time.Second
	for pause := least; ctx.Err() == nil; {
		began := time.Now()
		err := db.driver.watch(ctx, db, channel, changed)
		if err == nil || ctx.Err() != nil {
			return
		}
		failed(db.plain(err))
		if time.Since(began) > most {
			pause = least
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
	}
}

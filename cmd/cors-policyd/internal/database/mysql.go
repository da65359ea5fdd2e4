package database

import (
	"cmp"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/sqltext"
)

// mySQL is MySQL or MariaDB.
type mySQL struct {
	config  *mysql.Config
	timeout time.Duration
}

func newMySQL(u *url.URL, o Options) (*mySQL, error) {
	// The options are read by the driver itself, from its own form of URL.
	config, err := mysql.ParseDSN("/?" + u.RawQuery)
	if err != nil {
		return nil, err
	}
	if config.TLS != nil {
		config.TLS.ServerName = u.Hostname()
	}
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306"))
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Timeout = cmp.Or(config.Timeout, o.Timeout)
	config.ReadTimeout = cmp.Or(config.ReadTimeout, 2*o.Timeout)
	config.Logger = &mysql.NopLogger{} // what fails is an error too
	return &mySQL{config, o.Timeout}, nil
}

func (m *mySQL) open(write bool) (*sql.DB, error) {
	connector, err := mysql.NewConnector(m.config.Clone())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(&limited{connector, m.timeout, write}), nil
}

func (m *mySQL) bind(q *sqltext.Query) (text string, names []string) { return q.Positional() }

// watch can't.
func (*mySQL) watch(context.Context, *DB, string, func()) error { return nil }

// A limited connector makes connections on which statements have a time-out at the server,
// since the driver only leaves those alone that take too long.
type limited struct {
	sqldriver.Connector
	timeout time.Duration
	write   bool
}

// Connect implements [sqldriver.Connector].
func (l *limited) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := l.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execute := func(text string) error {
		_, err := conn.(sqldriver.ExecerContext).ExecContext(ctx, text, nil)
		return err
	}
	// MySQL has milliseconds, and MariaDB seconds in another variable.
	err = execute(fmt.Sprintf("SET SESSION max_execution_time = %d", l.timeout.Milliseconds()))
	if err != nil {
		err = execute(fmt.Sprintf("SET SESSION max_statement_time = %g", l.timeout.Seconds()))
	}
	if err == nil && !l.write {
		err = execute("SET SESSION TRANSACTION READ ONLY")
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

package database

import (
	"cmp"
	"context"
	"crypto/x509"
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
	tls     *reloading
	roots   *x509.CertPool // the last good ones
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
	m := &mySQL{config: config, timeout: o.Timeout, tls: &reloading{options: o}}
	if config.TLS == nil {
		return m, nil
	}
	reload := func(_ context.Context, c *mysql.Config) error { m.reload(c); return nil }
	return m, config.Apply(mysql.BeforeConnect(reload))
}

// reload has a connection use the authorities as they are now.
func (m *mySQL) reload(config *mysql.Config) {
	m.tls.mu.Lock()
	defer m.tls.mu.Unlock()
	if roots, err := authorities(); m.tls.told(err) {
		m.roots = roots
	}
	config.TLS = m.tls.watched(config.TLS.Clone())
	config.TLS.RootCAs = m.roots
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

// maxIdle is after how many seconds the server ends a connection, which is more than those of a pool are idle for.
const maxIdle = 600

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
	// The server would else keep the locks of a transaction whose client was cut off without a word. Only MariaDB ends
	// transactions sooner than connections.
	if err == nil {
		err = execute(fmt.Sprintf("SET SESSION wait_timeout = %d", maxIdle))
	}
	if err == nil {
		_ = execute(fmt.Sprintf("SET SESSION idle_transaction_timeout = %d", max(1, int(2*l.timeout.Seconds()))))
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

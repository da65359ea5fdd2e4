// Package dbtest runs real servers of databases for tests: Debian's PostgreSQL and MariaDB,
// each on a folder and a port of its own. Who uses it imports the drivers, "pgx" and "mysql".
package dbtest

import (
	"database/sql"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

// A Server is a server of databases, with one that is called cors.
type Server struct {
	// Driver and DSN are for a connection by database/sql, and URL is for cors-policyd.
	Driver, DSN, URL string

	command []string
	process *envoy.Process
	log     string
	folder  string
}

// PostgreSQL returns a PostgreSQL that doesn't run yet.
func PostgreSQL(tb testing.TB) *Server {
	tb.Helper()
	bin := filepath.Dir(installed(tb, "postgresql", "/usr/lib/postgresql/*/bin/postgres"))
	prefix, folder := owner(tb, "postgres")
	data, port := filepath.Join(folder, "db"), FreePort(tb)
	run(tb, append(prefix, filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync",
		"-E", "UTF8", "--locale=C.UTF-8")...)
	url := "postgres://postgres@127.0.0.1:" + port + "/postgres"
	return &Server{Driver: "pgx", DSN: url, URL: url, folder: folder, log: filepath.Join(folder, "log"), command: append(prefix,
		filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="+folder, "-c", "fsync=off")}
}

// MariaDB returns a MariaDB that doesn't run yet.
func MariaDB(tb testing.TB) *Server {
	tb.Helper()
	mariadbd := installed(tb, "mariadb", "/usr/sbin/mariadbd", "/usr/bin/mariadbd")
	prefix, folder := owner(tb, "mysql")
	data, port, begin := filepath.Join(folder, "db"), FreePort(tb), filepath.Join(folder, "begin.sql")
	run(tb, append(prefix, "mariadb-install-db", "--no-defaults", "--datadir="+data,
		"--auth-root-authentication-method=normal", "--skip-test-db", "--tmpdir="+folder)...)
	if err := os.WriteFile(begin, []byte("CREATE DATABASE IF NOT EXISTS cors;\n"), 0o644); err != nil {
		tb.Fatal(err)
	}
	return &Server{
		Driver: "mysql", DSN: "root@tcp(127.0.0.1:" + port + ")/cors", URL: "mysql://root@127.0.0.1:" + port + "/cors",
		folder: folder, log: filepath.Join(folder, "log"), command: append(prefix, mariadbd, "--no-defaults", "--datadir="+data,
			"--port="+port, "--bind-address=127.0.0.1", "--tmpdir="+folder, "--socket="+filepath.Join(folder, "s"),
			"--init-file="+begin),
	}
}

// Start starts the server until the test ends, and returns a connection when it answers.
func (s *Server) Start(tb testing.TB) *sql.DB {
	tb.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = envoy.Fork(cmd, false); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Kill)
	pool, err := sql.Open(s.Driver, s.DSN)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = pool.Close() }) // the server may have gone
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if err = pool.Ping(); err == nil {
			return pool
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(s.log)
			tb.Fatalf("%v\n%s", err, text)
		}
	}
}

// Kill ends the server as a power cut does, but for what is left of its memory.
func (s *Server) Kill() {
	signal := syscall.SIGKILL
	if s.Driver == "pgx" {
		signal = syscall.SIGQUIT // its children would live on
	}
	if !s.process.HasExited() { // or its number may be another process's by now
		_ = syscall.Kill(s.PID(), signal)
	}
	<-s.process.Exited()
}

// WriteFile writes a file that only the server may read, and returns its path.
func (s *Server) WriteFile(tb testing.TB, name string, text []byte) string {
	tb.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	info, err := os.Stat(s.folder)
	if err != nil {
		tb.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t) // on Unix
	if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
		tb.Fatal(err)
	}
	return path
}

// PID is the server's process id.
func (s *Server) PID() int { return s.process.PID() }

// FreePort returns a port of 127.0.0.1 that nobody listens on.
func FreePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// owner is what a command begins with to run as a user, whom a server wants that doesn't run
// as root, and a folder of that user's.
func owner(tb testing.TB, name string) (prefix []string, folder string) {
	tb.Helper()
	folder, err := os.MkdirTemp("", "cors-db-") // not below the test's own, which is for root alone
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(folder) })
	if os.Getuid() != 0 {
		return nil, folder
	}
	u, err := user.Lookup(name)
	if err != nil {
		tb.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid) // numbers on Unix
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(folder, uid, gid); err != nil {
		tb.Fatal(err)
	}
	return []string{"setpriv", "--reuid=" + name, "--regid=" + name, "--clear-groups",
		"--pdeathsig=SIGTERM", "--"}, folder // another user's process is asked anew to end with the tests
}

// installed is a program of a server, which isn't always in PATH.
func installed(tb testing.TB, target string, patterns ...string) string {
	tb.Helper()
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return slices.Max(found)
		}
	}
	tb.Fatalf("%s isn't installed; run: tools/install %s", target, target)
	return ""
}

func run(tb testing.TB, command ...string) {
	tb.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", command, err, out)
	}
}

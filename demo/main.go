// Command demo runs the CORS filter where a visitor can see it work: Envoy on
// envoy.yaml, a page on one origin, an API on another, and for every request
// the page sends, what Envoy and the API's upstream saw of it. And cors-policyd,
// so that the page can add and remove origins in a database.
//
// `make run` starts it, from the root of the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

const usage = `Usage: demo [flags]

Starts Envoy with the CORS filter, cors-policyd, an app page and an API, until Ctrl-C.
Run it from the root of the repository; "make run" builds what it needs.

Envoy is $ENVOY, else ` + envoy.Built + `, else envoy in PATH.

Flags:
`

// options are the command's flags.
type options struct {
	config      string
	database    string
	appUpstream string
	apiUpstream string
	logLevel    string
	web         string
}

// databaseConfig is what is added to the configuration for the database.
func (o options) databaseConfig() string { return filepath.Join(o.database, "envoy.yaml") }

func main() {
	var o options
	flag.StringVar(&o.config, "config", "envoy.yaml", "Envoy's configuration `file`")
	flag.StringVar(&o.database, "database", "demo/database",
		"`folder` with the configuration of cors-policyd, and with what Envoy's has for it besides")
	flag.StringVar(&o.appUpstream, "app-upstream", "127.0.0.1:10002",
		"`address` of the app's page, as in the configuration's cluster app")
	flag.StringVar(&o.apiUpstream, "api-upstream", "127.0.0.1:10003",
		"`address` of the API's upstream, as in the configuration's cluster api")
	flag.StringVar(&o.logLevel, "log-level", "warning",
		"Envoy's log `level`: trace, debug, info, warning, error, critical, off")
	flag.StringVar(&o.web, "web", "build/playground", "`folder` of the page, as \"make playground\" makes it")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: unexpected argument %q; see demo -help\n", flag.Arg(0))
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done, which is no error, or Envoy stops.
func run(ctx context.Context, o options, out io.Writer) error {
	binary, err := envoy.Find("")
	if err != nil {
		return err
	}
	appListener, err := listen("-app-upstream", o.appUpstream)
	if err != nil {
		return err
	}
	apiListener, err := listen("-api-upstream", o.apiUpstream)
	if err != nil {
		return err
	}
	database, err := newPolicyd(o.database, out, os.Stderr)
	if err != nil {
		return err
	}
	if err := checkPorts(o, database.listen); err != nil {
		return err
	}
	page, err := pageFiles(o.web)
	if err != nil {
		return err
	}

	rec, log := newRecorder(), newEventLog()
	app := newApp(rec, log, page)
	database.handle(&app.mux)
	serve(appListener, app)
	serve(apiListener, api{rec})

	fmt.Fprintf(out, "Starting %s on %s\n", database.binary, database.database)
	defer database.stop()
	if err := database.start(ctx); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return err
	}
	go database.watch(ctx)

	fmt.Fprintf(out, "Starting %s on %s\n", binary, o.config)
	dir, err := os.MkdirTemp("", "cors-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	reasons := newReasons()
	stdout := &lineWriter{line: accessLog(rec, log, out)}
	stderr := &lineWriter{line: func(line []byte) {
		fmt.Fprintf(os.Stderr, "%s", line)
		reasons.line(line)
	}}
	p, err := startProxy(binary, dir, o, stdout, stderr)
	if err != nil {
		return err
	}
	defer func() {
		p.Stop()
		stdout.flush()
		stderr.flush()
	}()

	err = present(ctx, p, &policies{app: app, reasons: reasons, out: out}, o, database)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(out, "\nStopping Envoy and cors-policyd")
		return nil
	case p.HasExited():
		return fmt.Errorf("envoy stopped by itself (%s); its last lines above say why", p.State())
	}
	return err
}

// accessLog takes Envoy's output: the access log to the recorder and the terminal. Of the
// probes of an origin the terminal and the page get those that end otherwise than the one before.
func accessLog(rec *recorder, log *eventLog, out io.Writer) func(line []byte) {
	probes := probes{}
	return func(line []byte) {
		r, ok := parseAccess(line)
		if !ok {
			fmt.Fprintf(os.Stderr, "%s", line)
			return
		}
		if r.mark() != "" {
			rec.addAccess(r)
			return
		}
		if r.probe() {
			if !probes.changed(r.Origin, r.AllowOrigin != "") {
				return
			}
		} else {
			rec.addAccess(r)
		}
		log.add("", r.line)
		fmt.Fprintln(out, r)
	}
}

// probes tell whether the latest one of an origin was readable.
type probes map[string]bool

// changed tells whether a probe is the first of an origin, or ends otherwise than the one before.
func (p probes) changed(origin string, readable bool) bool {
	before, known := p[origin]
	if !known && len(p) == kept { // origins may be made up
		clear(p)
	}
	p[origin] = readable
	return !known || before != readable
}

// present waits for Envoy, shows it to the page and on the terminal, and hands it other
// policies, until it ends or ctx does.
func present(ctx context.Context, p *proxy, policies *policies, o options, database *policyd) error {
	f, err := p.describe(ctx)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(o.apiUpstream)
	if err != nil {
		return err
	}
	f.Bare = "http://localhost:" + port
	f.Database.File, f.Database.Config, f.Database.Command = database.database, database.config, database.command()
	if f.File != "" {
		policies.reloader = newReloader(p, policies.reasons)
		go follow(ctx, p.config, p.text, func(text []byte) { policies.edited(ctx, text) })
	}
	policies.app.publish(f, policies)
	banner(policies.out, f, p.Admin())
	select {
	case <-ctx.Done():
	case <-p.Exited():
	}
	return nil
}

// listen opens one of the demo's own ports, named by its flag.
func listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(address)
		return nil, fmt.Errorf("%w\nIs another demo running? If not, choose another port in envoy.yaml and with %s",
			portTaken(address, port), flag)
	}
	return l, err
}

// serve answers with h until the process ends.
func serve(l net.Listener, h http.Handler) {
	// Who doesn't read an answer doesn't keep it: the longest last aStream.
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 3 * aStream}
	go func() { _ = s.Serve(l) }()
}

func banner(out io.Writer, f facts, admin string) {
	fmt.Fprintf(out, `
  The app          %s     open this page
  Another origin   %s     the same page, from another origin
  The API          %s
  The same API     %s     for pages whose origins are in %s; add one on the page, or with
                   %s
  Envoy's admin    http://%s
`, f.App, f.Other, f.API, f.Database.API, f.Database.File, f.Database.Command, admin)
	if f.File != "" {
		fmt.Fprintf(out, `  The policy       is in %s: edit it, and the page runs its requests again
`, f.File)
	}
	fmt.Fprint(out, `
  Ctrl-C stops the demo. Requests to the API:

`)
}

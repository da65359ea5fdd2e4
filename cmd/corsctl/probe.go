package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
)

// errNoAnswer ends a command that has printed why there is no answer.
var errNoAnswer = errors.New("there is no answer")

// probeFlags are the flags of probe.
type probeFlags struct {
	origin, method, connect             string
	compare, compareConnect             string
	headers                             []string
	credentials, send, insecure, others bool
	timeout                             time.Duration
	output                              *format
}

func newProbe() *cobra.Command {
	f := &probeFlags{}
	c := &cobra.Command{
		Use:   "probe URL --origin ORIGIN [--method METHOD]",
		Short: "Ask a live server as a browser would, and judge its answers",
		Long: `probe asks a live server as a browser would for a page of that origin: first the
preflight, if a browser makes one, then the request itself. It says what a browser makes
of the answers, by which step of the Fetch standard, in Chromium's words too, and what the
server should answer instead. It needs to know nothing of who serves the URL.

The request itself is only sent if its method is safe, such as GET; --send sends others
too. Redirects are followed as fetch() does. Where the server allows the origin by name,
probe asks once more from an origin that nobody has, to see whether it allows just any;
--other-origins tries more that servers are known to mistake for the right one.

What it prints can be shown to others: of headers it has the names, of URLs no values of
the query. To keep a secret out of your shell's history, write the headers into a file,
one a line, and give it as -H @FILE, or "-H @-" for standard input.

With --compare URL2 it asks two servers the same: the request, and what is made of it with
and without a preflight and credentials, from another origin, from null and from none. It
prints in what the answers differ. If URL2 has no path, it is that of URL. A server that
DNS doesn't lead to yet is asked with --connect, or as the second with --compare-connect.

It exits with 0 if the page gets the answer (or would, as far as it was asked), 1 if a
browser blocks it, or two servers differ in that, and 2 if there is no answer.`,
		Example: `  corsctl probe https://api.example.com/v1/users --origin https://app.example.com
  corsctl probe https://api.example.com/v1/users --origin https://app.example.com \
      --method PUT -H 'Content-Type: application/json' --credentials
  corsctl probe https://api.example.com/v1/users --origin https://app.example.com \
      --compare https://new.example.com`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("probe needs one URL; write what has spaces in quotes")
			}
			return nil
		},
		RunE: f.run,
	}
	flags := c.Flags()
	flags.StringVar(&f.origin, "origin", "", `the page's origin, such as https://app.example.com, or "null"`)
	flags.StringVar(&f.method, "method", "GET", "the request's method")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, `a header that the page sets, as "name: value", or the name of `+
		`one that is only asked for; @FILE has such lines; may be repeated`)
	flags.BoolVar(&f.credentials, "credentials", false, `the credentials mode is "include": the page sends cookies`)
	flags.BoolVar(&f.send, "send", false, "send the request itself even if its method isn't safe")
	flags.BoolVar(&f.others, "other-origins", false, "also ask from origins that servers are known to let in by mistake")
	flags.BoolVar(&f.insecure, "insecure", false, "accept any certificate of the server, as no browser does")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second,
		"how long to wait for the answers; for a connection and for TLS half of it each")
	flags.StringVar(&f.connect, "connect", "", "connect to this host:port instead of the URL's, which DNS may not lead to yet")
	flags.StringVar(&f.compare, "compare", "", "ask this URL the same, and print the differences")
	flags.StringVar(&f.compareConnect, "compare-connect", "",
		"for the second server, connect to this host:port; its URL is the same unless --compare has one")
	f.output = outputFlag(c, "text", "json")
	return c
}

func (f *probeFlags) run(c *cobra.Command, args []string) error {
	q, notes, err := f.question(c, args[0])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &probe.Prober{
		Timeout: f.timeout, Insecure: f.insecure, OtherOrigins: f.others, Connect: f.connect,
		Progress:  progress(c.ErrOrStderr()),
		UserAgent: "Mozilla/5.0 (compatible; corsctl/" + strings.TrimPrefix(thisBuild().Version, "v") + ")",
	}
	if f.compare != "" || f.compareConnect != "" {
		return f.runCompare(ctx, c, p, q, notes)
	}
	r := p.Probe(ctx, q)
	if f.output.value == "json" {
		err = printJSON(c.OutOrStdout(), r)
	} else {
		(&printer{w: c.OutOrStdout(), painter: paint(c.OutOrStdout())}).probed(r, notes)
	}
	switch {
	case err != nil:
		return err
	case r.Verdict == probe.Unknown:
		return errNoAnswer
	}
	return verdict(nil, r.Blocked != nil)
}

func (f *probeFlags) runCompare(
	ctx context.Context, c *cobra.Command, p *probe.Prober, q probe.Question, notes []string,
) error {
	url2, err := withPath(cmp.Or(f.compare, q.URL), q.URL)
	if err != nil {
		return fmt.Errorf("--compare: %w", err)
	}
	second := *p
	second.Connect = f.compareConnect
	compared := probe.Compare(ctx, p, &second, q, url2)
	if f.output.value == "json" {
		err = printJSON(c.OutOrStdout(), compared)
	} else {
		(&printer{w: c.OutOrStdout(), painter: paint(c.OutOrStdout())}).compared(compared, notes)
	}
	if _, failure := compared.Failure(); err == nil && failure != nil {
		return errNoAnswer
	}
	return verdict(err, compared.Differs())
}

// withPath is a URL, with another's path and query if it has none.
func withPath(rawURL, other string) (string, error) {
	if err := capture.CheckURL(rawURL); err != nil {
		return "", err
	}
	to, err := url.Parse(rawURL)
	if err != nil {
		return "", fmt.Errorf("%s can't be read as a URL", capture.MaskURL(rawURL))
	}
	from, err := url.Parse(other)
	if err == nil && to.Path == "" && to.RawQuery == "" {
		to.Path, to.RawPath, to.RawQuery = from.Path, from.RawPath, from.RawQuery
	}
	return asAsked(to.String())
}

// question is what the flags ask, and what to note of how they were read.
func (f *probeFlags) question(c *cobra.Command, rawURL string) (q probe.Question, notes []string, err error) {
	switch {
	case f.origin == "":
		return q, nil, errors.New("probe needs --origin, the origin of the page, such as https://app.example.com")
	case f.others && (f.compare != "" || f.compareConnect != ""):
		return q, nil, errors.New("--other-origins is for one server; a comparison asks both from another origin and from null")
	case f.timeout <= 0:
		return q, nil, errors.New("--timeout has to be more than nothing; write it as 10s")
	}
	for flag, address := range map[string]string{"connect": f.connect, "compare-connect": f.compareConnect} {
		if address != "" && !isHostPort(address) {
			return q, nil, fmt.Errorf("--%s %q is no host and port; write both, such as 10.0.0.7:443", flag, address)
		}
	}
	err = errors.Join(capture.CheckURL(rawURL), capture.CheckOrigin(f.origin), capture.CheckMethod(f.method))
	if err != nil {
		return q, nil, err
	}
	q = probe.Question{Send: f.send, Request: browser.Request{
		Method: browser.NormalizeMethod(f.method), CredentialsInclude: f.credentials}}
	if q.URL, err = asAsked(rawURL); err != nil {
		return q, nil, err
	}
	if q.Origin, err = capture.SentOrigin(f.origin); err != nil {
		return q, nil, err
	}
	if q.Origin != f.origin {
		notes = append(notes, "a browser sends the origin "+capture.MaskURL(f.origin)+" as "+q.Origin)
	}
	if q.Method == "OPTIONS" {
		notes = append(notes, "OPTIONS is the page's method here; a preflight is made for others by itself, such as --method PUT")
	}
	lines, err := f.lines(c)
	for _, line := range lines {
		if err == nil {
			notes, err = addHeader(&q, notes, line)
		}
	}
	return q, notes, err
}

// isHostPort reports whether an address has what a connection needs.
func isHostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	return err == nil && host != "" && notNumber == nil && n > 0
}

// asAsked is a URL as a browser asks for it.
func asAsked(rawURL string) (string, error) {
	host, path, err := browser.Target(rawURL)
	if err != nil {
		return "", err
	}
	scheme, _, _ := strings.Cut(rawURL, ":")
	whole := strings.ToLower(scheme) + "://" + host + path
	if _, err := url.Parse(whole); err != nil {
		return "", fmt.Errorf("%s can't be read as a URL", capture.MaskURL(rawURL))
	}
	return whole, nil
}

// lines are the headers of the flags and of the files that they name.
func (f *probeFlags) lines(c *cobra.Command) (lines []string, err error) {
	for _, given := range f.headers {
		name, isFile := strings.CutPrefix(given, "@")
		if !isFile {
			lines = append(lines, given)
			continue
		}
		_, text, err := read(c, name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

// addHeader adds a header that the page sets, or the cookies that the browser has.
func addHeader(q *probe.Question, notes []string, line string) ([]string, error) {
	name, value, valued := strings.Cut(line, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case name == "" || strings.ContainsAny(name, " \t"):
		return nil, fmt.Errorf(`--header %q is no header; write it as "name: value"`, capture.MaskHeader(line))
	case strings.EqualFold(name, "Cookie") && q.CredentialsInclude:
		q.Cookie = value
	case strings.EqualFold(name, "Cookie"):
		notes = append(notes, "the Cookie isn't sent, because the page sends no credentials; add --credentials")
		return notes, nil
	case browser.ForbiddenRequestHeader(name, value):
		return append(notes, "a page can't set the header "+name+": the browser leaves it out, or sends its own"), nil
	case valued:
		q.Headers = append(q.Headers, [2]string{name, value})
	default:
		q.UnsafeNames = append(q.UnsafeNames, name)
	}
	if strings.EqualFold(name, "Cookie") { // which only a browser sets
		name = "X-Cookie"
	}
	if err := capture.CheckHeader(name, value); err != nil {
		return nil, fmt.Errorf("--header: %w", err)
	}
	return notes, nil
}

// progress says on a terminal what a request waits for; nil where there is none.
func progress(w io.Writer) func(words string) {
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(words string) { fmt.Fprintf(w, "corsctl: waiting for %s …\n", words) }
}

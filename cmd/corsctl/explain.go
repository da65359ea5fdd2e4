package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/fetch"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/manifest"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	config, at, origin, method, url, route string
	headers                                []string
	credentials, private, all              bool
	curl, har                              string
	output                                 *format
}

func newExplain() *cobra.Command {
	f := &explainFlags{}
	c := &cobra.Command{
		Use:   "explain -c FILE --origin ORIGIN [--method METHOD] [--url URL]",
		Short: "Say what the filter and a browser make of a request, and why",
		Long: `explain tells of a request that a page makes: which policy applies and why that one,
whether a browser asks first with a preflight and why, what the filter answers, and
whether the page gets the answer. If it doesn't, explain says why, in Chromium's words
too, and what the smallest change of the policy is that would let it.

Of the request it shows nothing that may be secret: of most headers only the names, and
of URLs no values of the query.

The request may also come from what you have at hand: a command that was copied from
the browser's developer tools as cURL, or a HAR file that was exported from them, of
which each failing CORS request is explained.

It exits with 0 if the page gets the answer, and 1 if the browser blocks it or the
configuration is wrong.`,
		Example: `  corsctl explain -c envoy.yaml --origin https://app.example.com --method PUT \
      --header 'Content-Type: application/json' --url https://api.example.com/v1/users
  corsctl explain -c cors.json --from-curl "$(pbpaste)"
  corsctl explain -c cors.json --har localhost.har`,
		Args: usedRight,
	}
	flags := c.Flags()
	flags.StringVarP(&f.config, "config", "c", "", `the file with the configuration, "-" for standard input`)
	flags.StringVar(&f.at, "at", "", "the line of the configuration to explain with, if the file has several")
	flags.StringVar(&f.origin, "origin", "", `the page's origin, such as https://app.example.com, or "null"`)
	flags.StringVar(&f.method, "method", "GET", "the request's method")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, `a header that the page sets, as "name: value", or the name of one that needs a preflight; may be repeated`)
	flags.StringVar(&f.url, "url", "", "the request's URL; without it, only policies for every host and path match")
	flags.StringVar(&f.route, "route", "", "the name of Envoy's route for the request")
	flags.BoolVar(&f.credentials, "credentials", false, `the credentials mode is "include": the page sends cookies`)
	flags.BoolVar(&f.private, "private-network", false, "the browser asks for access to a private network, as Chromium did for some versions")
	flags.StringVar(&f.curl, "from-curl", "", `take the request from a curl command, "-" for standard input`)
	flags.StringVar(&f.har, "har", "", `take the failing requests from a HAR file, "-" for standard input`)
	flags.BoolVar(&f.all, "all", false, "of a HAR file, explain the CORS requests that didn't fail, too")
	f.output = outputFlag(c, "text", "json")
	if err := c.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag is there
	}
	c.MarkFlagsMutuallyExclusive("from-curl", "har")
	for _, given := range []string{"url", "method", "private-network"} {
		c.MarkFlagsMutuallyExclusive("from-curl", given)
		c.MarkFlagsMutuallyExclusive("har", given)
	}
	c.MarkFlagsMutuallyExclusive("har", "header")
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c) }
	return c
}

// usedRight says what is wrong with how explain is called, in words of its own: the
// library's name groups of flags, and repeat what may be a secret.
func usedRight(c *cobra.Command, args []string) error {
	for _, source := range []string{"har", "from-curl"} {
		if len(args) > 0 && c.Flags().Changed(source) {
			return fmt.Errorf("explain takes no arguments beside its flags; put what belongs to --%s in quotes", source)
		}
		for _, other := range []string{"from-curl", "url", "method", "private-network", "header"} {
			if other == source || source == "from-curl" && other == "header" {
				continue // more headers may stand beside a curl command
			}
			if c.Flags().Changed(source) && c.Flags().Changed(other) {
				return fmt.Errorf("--%s says the request, and --%s too; leave one out", source, other)
			}
		}
	}
	if len(args) > 0 {
		return errors.New("explain takes no arguments beside its flags; write the URL into --url, and what has spaces in quotes")
	}
	if !c.Flags().Changed("config") {
		return errors.New("explain needs --config, the file with the configuration")
	}
	return nil
}

// A captured request is one to explain, and what is known of where it comes from.
type captured struct {
	fetch.Request
	source string
	notes  []string
	// failed tells that a browser made the request, and withheld the answer.
	failed bool
	// typed tells that a person wrote the request, and no browser.
	typed bool
}

func (f *explainFlags) run(c *cobra.Command) error {
	if f.config == "-" && (f.curl == "-" || f.har == "-") {
		return errors.New("standard input can't be two things; give one of them as a file")
	}
	requests, err := f.requests(c)
	if err != nil {
		return err
	}
	plugin, rules, err := load(c, f.config, f.at, f.output.value == "json")
	if err != nil {
		return err
	}
	var explanations []*explanation
	isBlocked := false
	for _, r := range requests {
		e := newExplanation(plugin, rules, r, f.route)
		explanations = append(explanations, e)
		isBlocked = isBlocked || !e.allowed()
	}
	out := c.OutOrStdout()
	switch {
	case f.output.value == "json" && f.har != "":
		err = printJSON(out, explanations)
	case f.output.value == "json":
		err = printJSON(out, explanations[0])
	default:
		for i, e := range explanations {
			if i > 0 {
				fmt.Fprintln(out)
			}
			e.print(out)
		}
	}
	if err == nil && isBlocked {
		return errFindings
	}
	return err
}

// requests are the requests to explain.
func (f *explainFlags) requests(c *cobra.Command) ([]captured, error) {
	switch {
	case f.har != "":
		return f.fromHAR(c)
	case f.curl != "":
		return f.fromCurl(c)
	case f.origin == "":
		return nil, errors.New(`explain needs --origin, the origin of the page; or take the request from --from-curl or --har`)
	}
	r := captured{Request: fetch.Request{Origin: f.origin, URL: f.url, Method: f.method, CredentialsInclude: f.credentials, PrivateNetwork: f.private}, typed: true}
	return f.complete(r)
}

// complete adds the headers of the flags to a request, and checks it.
func (f *explainFlags) complete(r captured) ([]captured, error) {
	var asked [][2]string // of a preflight
	for _, line := range f.headers {
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		switch {
		case name == "" || strings.ContainsAny(name, " \t"):
			return nil, fmt.Errorf(`--header %q is no header; write it as "name: value"`, capture.MaskHeader(line))
		case strings.HasPrefix(strings.ToLower(name), "access-control-request-"):
			asked = append(asked, [2]string{name, strings.TrimSpace(value)})
			continue
		case fetch.ForbiddenRequestHeader(name, strings.TrimSpace(value)):
			r.notes = append(r.notes, "a page can't set the header "+name+": the browser leaves it out, or sends its own")
			continue
		case ok:
			r.Headers = append(r.Headers, [2]string{name, strings.TrimSpace(value)})
		default:
			r.UnsafeNames = append(r.UnsafeNames, name)
		}
		if err := capture.CheckHeader(name, value); err != nil {
			return nil, fmt.Errorf("--header: %w", err)
		}
	}
	if asked != nil {
		found := capture.Request{Method: r.Method}
		r.notes = append(r.notes, found.SetPreflight(asked)...)
		r.Method, r.UnsafeNames = found.Method, append(r.UnsafeNames, found.UnsafeNames...)
		if found.FromPreflight {
			r.typed = false // It is the request that the preflight asks for.
		}
	}
	r.ByHand = r.typed && strings.EqualFold(r.Method, "OPTIONS")
	return []captured{r}, check(r)
}

// check says what is wrong with a request that no page can make.
func check(r captured) error {
	if err := errors.Join(capture.CheckOrigin(r.Origin), capture.CheckMethod(r.Method)); err != nil || r.URL == "" {
		return err
	}
	return capture.CheckURL(r.URL)
}

func (f *explainFlags) fromCurl(c *cobra.Command) ([]captured, error) {
	command := f.curl
	if command == "-" {
		_, text, err := read(c, "-")
		if err != nil {
			return nil, err
		}
		if command = text; document.IsUTF16(text) {
			return nil, errors.New("--from-curl: the command is UTF-16; write it as UTF-8")
		}
	}
	found, warnings, err := capture.FromCurl(command)
	if err != nil {
		return nil, fmt.Errorf("--from-curl: %w", err)
	}
	r := f.captured(found)
	r.notes = append(r.notes, warnings...)
	r.typed = !found.FromPreflight && !found.ByBrowser
	if r.Origin == "" {
		return nil, errors.New("the curl command has no Origin header; give the page's origin with --origin")
	}
	return f.complete(r)
}

func (f *explainFlags) fromHAR(c *cobra.Command) ([]captured, error) {
	name, text, err := read(c, f.har)
	if err != nil {
		return nil, err
	}
	if document.IsUTF16(text) {
		return nil, fmt.Errorf("%s is UTF-16; save it as UTF-8", name)
	}
	found, err := capture.FromHAR([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	failing := found
	if !f.all {
		failing = capture.Failing(found)
	}
	if len(failing) == 0 {
		return nil, fmt.Errorf("%s has no failing CORS request, and %s that succeeded; record the failure with the developer tools open, or explain all with --all", name, plural(len(found), "request", "requests"))
	}
	var list []captured
	for _, request := range failing {
		r := f.captured(request)
		if r.Origin == "" {
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s: the page's origin isn't recorded; give it with --origin\n", printable(name), printable(r.source))
			continue
		}
		if err := check(r); err != nil {
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s: %s\n", printable(name), printable(r.source), printable(err.Error()))
			continue
		}
		list = append(list, r)
	}
	if list == nil {
		return nil, fmt.Errorf("no request of %s says which page made it; give the page's origin with --origin", name)
	}
	return list, nil
}

// captured is a captured request, with what the flags say in place of what isn't known.
func (f *explainFlags) captured(found capture.Request) captured {
	r := captured{Request: found.Fetch(), source: found.Source, failed: found.Failed()}
	if found.Error != "" {
		r.notes = append(r.notes, "the browser recorded "+found.Error)
	}
	if err := found.Verdict(); err != nil {
		if blocked, ok := errors.AsType[*fetch.Blocked](err); ok && blocked.Header == "Location" {
			blocked.Value = capture.MaskURL(blocked.Value)
		}
		r.notes = append(r.notes, "of what it recorded the standard says: "+err.Error())
	} else if found.Error != "" && found.Error != "net::ERR_FAILED" { // Chromium's for CORS
		r.notes = append(r.notes, "the failure may have nothing to do with CORS")
	}
	if f.origin != "" {
		r.Origin = f.origin
	} else if found.OriginFrom != "" && found.OriginFrom != "the Origin header" {
		r.notes = append(r.notes, "the origin is taken from "+found.OriginFrom)
	}
	switch {
	case f.credentials:
		r.CredentialsInclude = true
	case found.Credentials:
		r.notes = append(r.notes, `the credentials mode is taken to be "include", because of `+found.CredentialsFrom)
	default:
		r.notes = append(r.notes, `the credentials mode isn't recorded; if the page sends cookies, add --credentials`)
	}
	return r
}

// An explanation is an explanation with the places in the user's file.
type explanation struct {
	*explain.Explanation
	plugin   *manifest.Plugin
	captured captured
	route    string
}

func newExplanation(plugin *manifest.Plugin, rules []config.Rule, r captured, route string) *explanation {
	e := &explanation{explain.Explain(rules, capture.Mask(r.Request), route), plugin, r, route}
	e.Request.URL = capture.MaskURL(e.Request.URL) // its path has found the policy
	for _, f := range plugin.Around() {
		e.Hints = append(e.Hints, f.Error())
	}
	if r.failed && e.Blocked == nil {
		e.Hints = append(e.Hints, "it failed when it was recorded, and this configuration allows it: see that the proxy has this configuration, that the filter is the first in its chain, and that the request reaches that proxy")
	}
	return e
}

// allowed reports whether a page gets the answer. It gets none of a request that no
// browser makes.
func (e *explanation) allowed() bool { return e.Blocked == nil && !e.Request.ByHand }

// place is the place in the user's file of an offset in the configuration.
func (e *explanation) place(offset int) string {
	return e.plugin.File().Name + ":" + e.plugin.Position(offset).String()
}

// print prints the explanation for people.
func (e *explanation) print(w io.Writer) {
	p := &printer{w: w, painter: paint(w)}
	r := e.Request
	url := r.URL
	if url == "" {
		url = "a URL that isn't given"
	}
	p.section("Request")
	if e.captured.source != "" && e.captured.source != "curl" {
		p.line("%s", p.in(bold, e.captured.source))
	}
	p.line("%s %s", r.Method, url)
	mode := "without credentials"
	if r.CredentialsInclude {
		mode = `with credentials (mode "include")`
	}
	p.line("by a page of %s, %s", r.Origin, mode)
	for _, h := range r.Headers {
		p.line("%s: %s", h[0], h[1])
	}
	for _, name := range r.UnsafeNames {
		p.line("%s: …", name)
	}
	for _, note := range e.captured.notes {
		p.line("%s", p.in(faint, note))
	}

	p.section("Policy")
	e.printChoices(p)

	p.section("Preflight")
	switch reasons := r.PreflightReasons(); {
	case e.Preflight == nil && e.Actual == nil:
		p.line("none: the browser doesn't make the request at all")
	case !r.CORS():
		p.line("none: the request isn't subject to CORS")
	case r.ByHand:
		p.line("none: no browser makes this request, and without Access-Control-Request-Method it is no preflight itself")
	case e.Preflight == nil:
		p.line("none: the method and the headers are such as any page may send")
	default:
		for _, reason := range reasons {
			p.line("because %s", reason.String())
		}
		p.gap()
		p.line("%s", p.in(faint, "OPTIONS "+url))
		for _, h := range r.Preflight() {
			p.line("%s", p.in(faint, h[0]+": "+h[1]))
		}
		p.gap()
		printAnswer(p, e.Preflight)
	}

	p.section("Actual")
	if e.Actual == nil {
		p.line("the browser never makes the request")
	} else {
		printAnswer(p, e.Actual)
	}

	p.section("Verdict")
	e.printVerdict(p)
	if e.Typed != "" {
		p.section("As typed")
		p.line("%s", p.in(yellow, e.Typed))
	}

	if len(e.Hints) > 0 {
		p.section("Note")
		for _, hint := range e.Hints {
			p.line("%s", hint)
		}
	}
}

func (e *explanation) printChoices(p *printer) {
	shown := 0
	for _, c := range e.Choices {
		name := c.Path
		if name == "" {
			name = "the configuration"
		}
		if c.Name != "" {
			name += " " + c.Name
		}
		switch {
		case c.Applies:
			p.line("%s applies (%s): %s", p.in(bold, name), e.place(c.Offset), c.Why)
		case c.Matches:
			p.line("%s doesn't apply: %s", name, c.Why)
		case shown < 10:
			p.line("%s", p.in(faint, name+" doesn't apply: "+c.Why))
			shown++
		case shown == 10:
			p.line("%s", p.in(faint, "… and more that don't match"))
			shown++
		}
	}
	if e.Policy == nil {
		p.line("%s", p.in(yellow, "no policy applies"))
	}
}

func printAnswer(p *printer, a *explain.Answer) {
	switch {
	case !a.Forwarded:
		p.line("the filter answers %d:", a.Status)
	case len(a.Headers) == 0:
		p.line("forwarded, and the filter leaves the answer as it is")
	default:
		p.line("forwarded, and the filter adds to the answer:")
	}
	for _, h := range a.Headers {
		p.line("%s: %s", h[0], h[1])
	}
}

func (e *explanation) printVerdict(p *printer) {
	r := e.Request
	switch {
	case e.Blocked == nil && r.ByHand:
		p.line("%s", p.in(yellow, "no preflight, but a request that the filter forwards and whose answer has headers for this origin"))
		e.printChanges(p)
		return
	case e.Blocked == nil && r.Mode == fetch.ModeNoCORS:
		p.line("%s", p.in(yellow, "not blocked, and not readable: the request's mode is no-cors"))
		return
	case e.Blocked == nil && r.Mode != fetch.ModeCORS && r.Mode != "cors" && r.Mode != fetch.ModeSameOrigin:
		p.line("%s", p.in(green, "not blocked: CORS has no say in requests of the mode "+string(r.Mode)))
		return
	case e.Blocked == nil:
		p.line("%s", p.in(green, "allowed: the page gets the answer"))
		if len(e.plugin.Around()) > 0 {
			p.line("%s", p.in(yellow, "but what stands around the filter may prevent it: see the notes"))
		}
		if names := e.exposed(); names != "" && r.CORS() {
			p.line("it can read the CORS-safelisted response headers, and %s", names)
		}
		return
	}
	p.line("%s", p.in(red, "blocked: "+e.Because()))
	if chromium := e.chromium(); chromium.Message != "" {
		p.gap()
		p.line("Chromium's console says:")
		p.line("  %s", chromium.Message)
		if chromium.Name != "" {
			p.line("and its network panel %s", chromium.Name)
		}
	}
	if details := e.details(); details != "" {
		p.line("Envoy's access log says (response_code_details):")
		p.line("  %s", details)
	}
	e.printChanges(p)
}

func (e *explanation) printChanges(p *printer) {
	p.section("Change")
	for _, c := range e.Changes {
		if c.Path == "" {
			p.line("%s", c.Edit)
			continue
		}
		p.line("%s: %s: %s", e.place(c.Offset), p.in(bold, c.Path), p.in(green, c.Edit))
		for _, warning := range c.Warnings {
			p.line("  %s", p.in(yellow, "but then: "+warning+" (warning)"))
		}
	}
}

// chromium is how Chromium reports what it blocks.
func (e *explanation) chromium() fetch.ChromiumError {
	r := e.Request
	if r.URL == "" {
		r.URL = "…"
	}
	return fetch.Chromium(r, e.Blocked)
}

// details is what the filter hands to Envoy for its access log.
func (e *explanation) details() string {
	if d := e.PreflightDecision; d != nil && d.Answered() && !d.Allowed() {
		return strings.ReplaceAll("cors: "+d.Explain(), " ", "_")
	}
	return ""
}

// exposed are the response headers that the policy lets the page read.
func (e *explanation) exposed() string {
	for _, h := range e.Actual.Headers {
		if h[0] == "access-control-expose-headers" {
			if h[1] == "*" {
				return "all others"
			}
			return h[1]
		}
	}
	return ""
}

// MarshalJSON implements [json.Marshaler].
func (e *explanation) MarshalJSON() ([]byte, error) { return e.json() }

// A printer prints sections with a heading at their left.
type printer struct {
	painter
	w       io.Writer
	heading string
	some    bool
}

const headingWidth = 11

func (p *printer) section(heading string) {
	if p.some {
		fmt.Fprintln(p.w)
	}
	p.heading, p.some = heading, true
}

// line prints a line. What is not painted may come from anybody.
func (p *printer) line(format string, args ...any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = printable(s)
		}
	}
	heading := p.heading + strings.Repeat(" ", headingWidth-len(p.heading))
	fmt.Fprintln(p.w, string(p.in(bold, heading))+fmt.Sprintf(format, args...))
	p.heading = ""
}

func (p *printer) gap() { fmt.Fprintln(p.w) }

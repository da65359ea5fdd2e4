package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/explain"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	config, at, origin, method, url, route string
	headers                                []string
	credentials, private, all              bool
	curl, har                              string
	lookup, by, output                     *format

	// recorded is how many CORS requests the HAR file has, and failed how many of them failed.
	recorded, failed int
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
which the failing CORS requests are explained: those that are blocked for the same cause
at once, with one change for all of them, or with --by request each on its own.

Where the policy looks the origin up (origin_lookup), nobody is asked: explain says what
the filter would ask, and what the page gets for each answer.

It exits with 0 if the page gets the answer, and 1 if the browser blocks it or the
configuration is wrong.`,
		Example: `  corsctl explain -c envoy.yaml --origin https://app.example.com --method PUT \
      --header 'Content-Type: application/json' --url https://api.example.com/v1/users
  corsctl explain -c cors.json --from-curl - < request.txt
  corsctl explain -c cors.json --har localhost.har
  corsctl explain -c cors.json --har localhost.har --all --by request -o json`,
		Args: usedRight,
		RunE: f.run,
	}
	flags := c.Flags()
	flags.StringVarP(&f.config, "config", "c", "", `the file with the configuration, "-" for standard input`)
	flags.StringVar(&f.at, "at", "", "the line of the configuration to explain with, if the file has several")
	flags.StringVar(&f.origin, "origin", "", `the page's origin, such as https://app.example.com, or "null"`)
	flags.StringVar(&f.method, "method", "GET", "the request's method")
	flags.StringArrayVarP(&f.headers, "header", "H", nil,
		`a header that the page sets, as "name: value", or the name of one that needs a preflight; may be repeated`)
	flags.StringVar(&f.url, "url", "", "the request's URL; without it, only policies for every host and path match")
	flags.StringVar(&f.route, "route", "", "the name of Envoy's route for the request")
	flags.BoolVar(&f.credentials, "credentials", false, `the credentials mode is "include": the page sends cookies`)
	flags.BoolVar(&f.private, "private-network", false,
		"the browser asks for access to a private network, as Chromium did for some versions")
	flags.StringVar(&f.curl, "from-curl", "", `take the request from a curl command, "-" for standard input`)
	flags.StringVar(&f.har, "har", "", `take the failing requests from a HAR file, "-" for standard input`)
	flags.BoolVar(&f.all, "all", false, "of a HAR file, explain the CORS requests that didn't fail, too")
	f.lookup = &format{among: explain.LookupResults()}
	flags.Var(f.lookup, "lookup", "what a look-up of the origin comes to (origin_lookup): "+
		strings.Join(f.lookup.among, ", ")+"; if not given, it says no")
	complete(c, "lookup", f.lookup.among)
	f.by = &format{among: []string{"cause", "request"}}
	flags.Var(f.by, "by", "of a HAR file, explain each of: "+strings.Join(f.by.among, ", ")+
		"; if not given, text is by cause, and JSON a list by request")
	complete(c, "by", f.by.among)
	f.output = outputFlag(c, "text", "json")
	if err := c.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag is there
	}
	for _, r := range requestFlags {
		for _, other := range r.others {
			c.MarkFlagsMutuallyExclusive(r.flag, other)
		}
	}
	return c
}

// requestFlags are the flags that take a request from a capture, and those that say of it
// what the capture says. More headers may stand beside a curl command.
var requestFlags = []struct {
	flag   string
	others []string
}{
	{"har", []string{"from-curl", "url", "method", "private-network", "header"}},
	{"from-curl", []string{"url", "method", "private-network"}},
}

// usedRight says what is wrong with how explain is called, in words of its own: the
// library's name groups of flags, and repeat what may be a secret.
func usedRight(c *cobra.Command, args []string) error {
	given := c.Flags().Changed
	for _, r := range requestFlags {
		if len(args) > 0 && given(r.flag) {
			return fmt.Errorf("explain takes no arguments beside its flags; put what belongs to --%s in quotes", r.flag)
		}
		if i := slices.IndexFunc(r.others, given); given(r.flag) && i >= 0 {
			return fmt.Errorf("--%s says the request, and --%s too; leave one out", r.flag, r.others[i])
		}
	}
	if len(args) > 0 {
		return errors.New("explain takes no arguments beside its flags; " +
			"write the URL into --url, and what has spaces in quotes")
	}
	if given("by") && !given("har") {
		return errors.New("--by says how a HAR file is explained; give one with --har, or leave it out")
	}
	if !given("config") {
		return errors.New("explain needs --config, the file with the configuration")
	}
	return nil
}

func (f *explainFlags) run(c *cobra.Command, _ []string) error {
	if f.config == "-" && (f.curl == "-" || f.har == "-") {
		return errors.New("standard input can't be two things; give one of them as a file")
	}
	subjects, err := f.subjects(c)
	if err != nil {
		return err
	}
	plugin, err := load(c, f.config, f.at, f.output.value == "json")
	if err != nil {
		return err
	}
	var list []*explain.Report
	lookup, _ := explain.ParseLookupResult(f.lookup.value) // which the flag has checked
	for _, s := range subjects {
		list = append(list, explain.ByFile(plugin, s, f.route, lookup))
	}
	isBlocked := func(e *explain.Report) bool { return !e.Allowed() }
	return verdict(f.print(c.OutOrStdout(), list), slices.ContainsFunc(list, isBlocked))
}

// print prints explanations; of one request alone, programs read no list.
func (f *explainFlags) print(w io.Writer, list []*explain.Report) error {
	switch {
	case f.har != "" && f.byCause():
		causes := explain.FindCauses(list)
		causes.Recorded, causes.Failed = f.recorded, f.failed
		return f.printCauses(w, causes)
	case f.output.value == "json" && f.har != "":
		return printJSON(w, list)
	case f.output.value == "json":
		return printJSON(w, list[0])
	}
	for i, e := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		p := &printer{w: w, painter: paint(w)}
		p.explanation(e)
	}
	return nil
}

// subjects are the requests to explain.
func (f *explainFlags) subjects(c *cobra.Command) ([]*explain.Subject, error) {
	switch {
	case f.har != "":
		return f.fromHAR(c)
	case f.curl != "":
		return f.fromCurl(c)
	case f.origin == "":
		return nil, errors.New("explain needs --origin, the origin of the page; " +
			"or take the request from --from-curl or --har")
	}
	return f.complete(&explain.Subject{Typed: true, Request: browser.Request{
		Origin: f.origin, URL: f.url, Method: f.method, CredentialsInclude: f.credentials, PrivateNetwork: f.private,
	}})
}

// complete adds the headers of the flags to a request, and checks it.
func (f *explainFlags) complete(s *explain.Subject) ([]*explain.Subject, error) {
	for _, line := range f.headers {
		name, value, valued := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf(`--header %q is no header; write it as "name: value"`, capture.MaskHeader(line))
		}
		if err := s.AddHeader(name, value, valued); err != nil {
			return nil, fmt.Errorf("--header: %w", err)
		}
	}
	return []*explain.Subject{s}, s.Complete()
}

func (f *explainFlags) fromCurl(c *cobra.Command) ([]*explain.Subject, error) {
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
	s := f.subject(found)
	s.Notes = append(s.Notes, warnings...)
	s.Typed = !found.FromPreflight && !found.ByBrowser
	if s.Origin == "" {
		return nil, errors.New("the curl command has no Origin header; give the page's origin with --origin")
	}
	return f.complete(s)
}

func (f *explainFlags) fromHAR(c *cobra.Command) ([]*explain.Subject, error) {
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
	failing := capture.Failing(found)
	f.recorded, f.failed = len(found), len(failing)
	if f.all {
		failing = found
	}
	if len(failing) == 0 {
		return nil, fmt.Errorf("%s has no failing CORS request, and %s that succeeded; "+
			"record the failure with the developer tools open, or explain all with --all",
			name, plural(len(found), "request", "requests"))
	}
	var list []*explain.Subject
	for _, request := range failing {
		s := f.subject(request)
		err := s.Check()
		if s.Origin == "" {
			err = errors.New("the page's origin isn't recorded; give it with --origin")
		}
		if err != nil {
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s: %s\n", printable(name), printable(s.From), printable(err.Error()))
			continue
		}
		list = append(list, s)
	}
	if list == nil {
		return nil, fmt.Errorf("no request of %s says which page made it; give the page's origin with --origin", name)
	}
	return list, nil
}

// subject is a captured request, with what the flags say in place of what isn't known.
func (f *explainFlags) subject(found capture.Request) *explain.Subject {
	s := explain.Recorded(found, f.origin, f.credentials)
	if !s.CredentialsInclude {
		s.Notes = append(s.Notes, `the credentials mode isn't recorded; if the page sends cookies, add --credentials`)
	}
	return s
}

// explanation prints an explanation for people.
func (p *printer) explanation(e *explain.Report) {
	p.section("Request")
	p.request(e)
	p.section("Policy")
	p.choices(e)
	if e.Lookup != nil {
		p.section("Look-up")
		p.lookup(e)
	}
	p.section("Preflight")
	p.preflight(e)
	p.section("Actual")
	if e.Actual == nil {
		p.line("the browser never makes the request")
	} else {
		p.answer(e.Actual)
	}
	p.section("Verdict")
	p.verdict(e)
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

func (p *printer) request(e *explain.Report) {
	if e.Subject.From != "" && e.Subject.From != "curl" {
		p.line("%s", p.in(bold, e.Subject.From))
	}
	p.asked(e.Request)
	for _, note := range e.Subject.Notes {
		p.line("%s", p.in(faint, note))
	}
}

// asked prints a request that a page makes.
func (p *printer) asked(r browser.Request) {
	p.line("%s %s", r.Method, urlOf(r))
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
}

func urlOf(r browser.Request) string { return cmp.Or(r.URL, "a URL that isn't given") }

func (p *printer) preflight(e *explain.Report) {
	r := e.Request
	switch {
	case e.Preflight == nil && e.Actual == nil:
		p.line("none: the browser doesn't make the request at all")
	case !r.CORS():
		p.line("none: the request isn't subject to CORS")
	case r.ByHand:
		p.line("none: no browser makes this request, and without Access-Control-Request-Method " +
			"it is no preflight itself")
	case e.Preflight == nil:
		p.line("none: the method and the headers are such as any page may send")
	default:
		for _, reason := range r.PreflightReasons() {
			p.line("because %s", reason)
		}
		p.gap()
		p.line("%s", p.in(faint, "OPTIONS "+urlOf(r)))
		for _, h := range r.Preflight() {
			p.line("%s", p.in(faint, h[0]+": "+h[1]))
		}
		p.gap()
		p.answer(e.Preflight)
	}
}

func (p *printer) choices(e *explain.Report) {
	shown := 0
	for _, c := range e.Choices {
		name := cmp.Or(c.Path, "the configuration")
		if c.Name != "" {
			name += " " + c.Name
		}
		switch {
		case c.Applies:
			p.line("%s applies (%s): %s", p.in(bold, name), e.Place(c.Offset), c.Why)
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

func (p *printer) lookup(e *explain.Report) {
	l := e.Lookup
	if l.NotAsked != "" {
		p.line("none: %s", l.NotAsked)
		return
	}
	p.line("allow_origins lacks the origin, and the cluster %s is asked (Host: %s):", l.Cluster, l.Authority)
	p.line("  GET %s", l.Path)
	answers := map[string]string{"allowed": "200 or 204", "denied": "403 or 404",
		"failed": "anything else, or nothing within " + l.Timeout.String() + ", and no remembered answer"}
	for _, o := range l.Outcomes {
		then := "blocked: " + o.Because
		switch {
		case o.Because == "" && (e.Request.ByHand || !e.Request.CORS()):
			then = "not blocked"
		case o.Because == "":
			then = "the page gets the answer"
		}
		p.line("%s: %s", answers[o.Result], then)
	}
	chosen := "; --lookup chooses another"
	if l.Given {
		chosen = ", as --lookup says"
	}
	p.line("what follows takes it to be %s%s", p.in(bold, l.Result), chosen)
}

func (p *printer) answer(a *explain.Answer) {
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

func (p *printer) verdict(e *explain.Report) {
	r := e.Request
	switch {
	case e.Blocked == nil && r.ByHand:
		p.line("%s", p.in(yellow, "no preflight, but a request that the filter forwards "+
			"and whose answer has headers for this origin"))
		p.changes(e)
		return
	case e.Blocked == nil && r.Mode == browser.ModeNoCORS:
		p.line("%s", p.in(yellow, "not blocked, and not readable: the request's mode is no-cors"))
		return
	case e.Blocked == nil && r.Mode != browser.ModeCORS && r.Mode != "cors" && r.Mode != browser.ModeSameOrigin:
		p.line("%s", p.in(green, "not blocked: CORS has no say in requests of the mode "+string(r.Mode)))
		return
	case e.Blocked == nil:
		p.line("%s", p.in(green, "allowed: the page gets the answer"))
		if len(e.Plugin.Around()) > 0 {
			p.line("%s", p.in(yellow, "but what stands around the filter may prevent it: see the notes"))
		}
		if names := e.Exposed(); names != "" && r.CORS() {
			p.line("it can read the CORS-safelisted response headers, and %s", names)
		}
		return
	}
	p.line("%s", p.in(red, "blocked: "+e.Because()))
	if chromium := e.Chromium(); chromium.Message != "" {
		p.gap()
		p.line("Chromium's console says:")
		p.line("  %s", chromium.Message)
		if chromium.Name != "" {
			p.line("and its network panel %s", chromium.Name)
		}
	}
	if details := e.Details(); details != "" {
		p.line("Envoy's access log says (response_code_details):")
		p.line("  %s", details)
	}
	p.changes(e)
}

func (p *printer) changes(e *explain.Report) {
	p.section("Change")
	p.edits(e, e.Changes)
}

// edits prints changes of the configuration that a report is on.
func (p *printer) edits(e *explain.Report, changes []explain.Change) {
	for _, c := range changes {
		if c.Path == "" {
			p.line("%s", c.Edit)
			continue
		}
		p.line("%s: %s: %s", e.Place(c.Offset), p.in(bold, c.Path), p.in(green, c.Edit))
		if c.Or != "" {
			p.line("  or %s", p.in(green, c.Or))
		}
		for _, warning := range c.Warnings {
			p.line("  %s", p.in(yellow, "but then: "+warning+" (warning)"))
		}
	}
}

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

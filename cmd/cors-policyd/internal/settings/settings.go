// Package settings reads the configuration of cors-policyd. It is as strict as the filter
// is with its own, and says what is wrong in the same form.
package settings

import (
	"cmp"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// Settings are what a configuration says.
type Settings struct {
	// Listen is where HTTP is served.
	Listen string
	// XDS is where and how ECDS is served over gRPC, or nil.
	XDS *XDS
	// Database is the database's URL. It may have a password: don't print it.
	Database string
	// Poll is how often the queries run, Timeout how long one run may take.
	Poll, Timeout time.Duration
	// Notify is the channel of PostgreSQL to listen on, or "".
	Notify string
	// State is the file that keeps the last good document, or "".
	State string
	// TLS is the server's certificate, or nil.
	TLS *TLS
	// TokenFile has the tokens that clients may send, one a line, or is "".
	TokenFile string
	// Insecure allows to listen beyond this machine without TLS and tokens.
	Insecure bool
	// LookupTTL is how long the filter may remember the answer to a look-up.
	LookupTTL time.Duration
	// Limits bound what clients can make the server do.
	Limits Limits
	// Template is the document but for what comes from the database; nil if there is none.
	Template *Template
	// Lookups are the queries of look-ups, by the policies' names.
	Lookups map[string]string
}

// XDS says how ECDS is served.
type XDS struct {
	// Listen is the address, Resource the resource's name, and Module the module's path in Envoy's file system.
	Listen, Resource, Module string
}

// TLS are the files of a server's certificate. Clients need one of ClientCA if there is one.
type TLS struct{ Certificate, Key, ClientCA string }

// Limits bound what clients can make the server do.
type Limits struct {
	// Waiting is how many clients may wait for a change.
	Waiting int
	// Lookups is how many look-ups there may be in a second.
	Lookups int
	// Connections is how many connections to the database there may be.
	Connections int
}

// Load reads a file. Without settings, one of the findings is an error.
func Load(name string) (*Settings, []*document.Finding, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	s, findings := Parse(name, string(text))
	return s, findings, nil
}

// Parse reads a configuration. Without settings, one of the findings is an error.
func Parse(name, text string) (*Settings, []*document.Finding) {
	file, failed := document.Parse(name, text)
	if failed != nil {
		return nil, []*document.Finding{failed}
	}
	r := &reader{file: file}
	if len(file.Documents) != 1 {
		r.failAt(0, problem.Missing, "configuration", "has to be one document", `write at least "database" and "policies"`)
		return nil, r.findings
	}
	s := &Settings{
		Listen: "127.0.0.1:8081", Poll: 10 * time.Second, Timeout: 10 * time.Second, LookupTTL: time.Minute,
		Limits: Limits{Waiting: 20_000, Lookups: 5_000, Connections: 8},
	}
	r.top(s, file.Documents[0])
	document.Sort(r.findings)
	if slices.ContainsFunc(r.findings, func(f *document.Finding) bool { return !f.Warning }) {
		return nil, r.findings
	}
	return s, r.findings
}

// A reader collects what is wrong with a file.
type reader struct {
	file     *document.File
	findings []*document.Finding
}

func (r *reader) failAt(offset int, kind problem.Kind, path, what, instead string) {
	r.findings = append(r.findings, r.file.Finding(offset, problem.New(kind, path, what, instead)))
}

func (r *reader) fail(n *document.Node, kind problem.Kind, path, what, instead string) {
	r.findings = append(r.findings, n.Finding(kind, path, what, instead))
}

func (r *reader) top(s *Settings, n *document.Node) {
	var template templateNodes
	var lookups *document.Node
	const least = 100 * time.Millisecond
	r.object(n, "", fields{
		"listen":   func(v *document.Node, path string) { s.Listen = r.address(v, path) },
		"xds":      func(v *document.Node, path string) { s.XDS = r.xds(v, path) },
		"database": func(v *document.Node, path string) { s.Database = r.database(v, path) },
		"poll":     func(v *document.Node, path string) { s.Poll = r.duration(v, path, least, 24*time.Hour) },
		"timeout": func(v *document.Node, path string) {
			s.Timeout = r.duration(v, path, least, 10*time.Minute)
		},
		"notify":     func(v *document.Node, path string) { s.Notify = r.text(v, path) },
		"state":      func(v *document.Node, path string) { s.State = r.text(v, path) },
		"tls":        func(v *document.Node, path string) { s.TLS = r.tls(v, path) },
		"token_file": func(v *document.Node, path string) { s.TokenFile = r.text(v, path) },
		"insecure":   func(v *document.Node, path string) { s.Insecure = r.boolean(v, path) },
		"lookup_ttl": func(v *document.Node, path string) { s.LookupTTL = r.duration(v, path, 0, 24*time.Hour) },
		"limits":     func(v *document.Node, path string) { r.limits(&s.Limits, v, path) },
		"defaults":   func(v *document.Node, _ string) { template.defaults = v },
		"policies":   func(v *document.Node, _ string) { template.policies = v },
		"lookups":    func(v *document.Node, _ string) { lookups = v },
	})
	if n.Kind != document.Object {
		return
	}
	if !n.Has("database") {
		r.fail(n, problem.Missing, "database", "is missing", `write the database's URL, such as "sqlite:origins.db"`)
	}
	if template.policies == nil && lookups == nil {
		r.fail(n, problem.Missing, "policies", "is missing, and so is lookups", "write the list of policies")
	}
	if s.Notify != "" && s.Database != "" && !strings.HasPrefix(s.Database, "postgres") {
		// Not an error, so that one file can be for several databases.
		r.findings = append(r.findings, n.Get("notify").Warning(problem.MisplacedField, "notify",
			"is for PostgreSQL, and has no effect here", "leave it out; SQLite is watched without it, others by poll"))
	}
	if template.policies != nil || template.defaults != nil {
		s.Template = r.template(template)
	}
	if lookups != nil {
		s.Lookups = r.lookups(lookups, s.Template)
	}
	r.exposed(s, n, "listen", s.Listen)
	if s.XDS != nil {
		if template.policies == nil {
			r.fail(n.Get("xds"), problem.MisplacedField, "xds", "has nothing to serve, since there are no policies",
				"leave it out, or write policies")
		}
		r.exposed(s, n.Get("xds"), "xds.listen", s.XDS.Listen)
	}
}

// exposed refuses to serve whoever can reach an address.
func (r *reader) exposed(s *Settings, n *document.Node, path, address string) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || s.Insecure || s.TLS != nil || s.TokenFile != "" {
		return
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return
	}
	if v := n.Get("listen"); v != nil {
		n = v
	}
	r.fail(n, problem.InvalidValue, path, problem.Quote(address)+" can be reached from other machines, by anybody",
		`write "tls" or "token_file", or "insecure: true" if the network keeps others away`)
}

func (r *reader) xds(n *document.Node, path string) *XDS {
	x := &XDS{Listen: "127.0.0.1:8082", Resource: "cors", Module: "/etc/envoy/cors.wasm"}
	r.object(n, path, fields{
		"listen":   func(v *document.Node, path string) { x.Listen = r.address(v, path) },
		"resource": func(v *document.Node, path string) { x.Resource = r.text(v, path) },
		"module":   func(v *document.Node, path string) { x.Module = r.text(v, path) },
	})
	return x
}

func (r *reader) tls(n *document.Node, path string) *TLS {
	t := &TLS{}
	r.object(n, path, fields{
		"cert_file":      func(v *document.Node, path string) { t.Certificate = r.text(v, path) },
		"key_file":       func(v *document.Node, path string) { t.Key = r.text(v, path) },
		"client_ca_file": func(v *document.Node, path string) { t.ClientCA = r.text(v, path) },
	})
	for _, name := range []string{"cert_file", "key_file"} {
		if n.Kind == document.Object && !n.Has(name) {
			r.fail(n, problem.Missing, path+"."+name, "is missing", "write the name of a PEM file")
		}
	}
	return t
}

func (r *reader) limits(l *Limits, n *document.Node, path string) {
	r.object(n, path, fields{
		"waiting":     func(v *document.Node, path string) { l.Waiting = r.number(v, path, 0, 1_000_000) },
		"lookups":     func(v *document.Node, path string) { l.Lookups = r.number(v, path, 1, 1_000_000) },
		"connections": func(v *document.Node, path string) { l.Connections = r.number(v, path, 1, 1000) },
	})
}

// database reads the URL, which may be in a variable of the environment, since it has a password.
func (r *reader) database(n *document.Node, path string) string {
	const instead = `write "sqlite:FILE", "postgres://…", "mysql://…", or "$NAME" for what a variable of the environment has`
	url := r.text(n, path)
	if name, ok := strings.CutPrefix(url, "$"); ok {
		if url = os.Getenv(name); url == "" {
			r.fail(n, problem.Missing, path, "the variable "+problem.Quote(name)+" of the environment is empty", instead)
			return ""
		}
	}
	for _, scheme := range []string{"sqlite:", "postgres://", "postgresql://", "mysql://", "mariadb://"} {
		if rest, ok := strings.CutPrefix(url, scheme); !ok || rest == "" {
			continue
		}
		db, err := database.Open(database.Options{URL: url, Connections: 1}) // which doesn't connect
		if err != nil {
			what, instead, _ := strings.Cut(err.Error(), "; ")
			r.fail(n, problem.InvalidValue, path, what, cmp.Or(instead, "write it as the driver has it, pgx or go-sql-driver/mysql"))
			return ""
		}
		_ = db.Close() // nothing was opened
		return url
	}
	if url != "" {
		r.fail(n, problem.InvalidValue, path, "is no URL of a database", instead)
	}
	return ""
}

func (r *reader) lookups(n *document.Node, t *Template) map[string]string {
	lookups := map[string]string{}
	if n.Kind != document.Object {
		r.fail(n, problem.WrongType, "lookups", "is not an object", `write {"POLICY": "SELECT 1 FROM … WHERE origin = :origin"}`)
		return nil
	}
	for _, m := range n.Members {
		path := "lookups." + problem.Printable(m.Name, '?')
		if _, twice := lookups[m.Name]; twice {
			r.failAt(m.Offset, problem.Duplicate, path, "is given twice", "leave one out")
		}
		if t != nil && !t.mayHave(m.Name) {
			// Not an error: the look-ups may be those of policies that are elsewhere.
			p := problem.New(problem.InvalidValue, path, "policies has no "+problem.Quote(m.Name), "write a policy's name, as its look-ups have it")
			p.Warning = true
			r.findings = append(r.findings, r.file.Finding(m.Offset, p))
		}
		lookups[m.Name] = r.query(m.Value, path, "policy", "host", "origin")
	}
	return lookups
}

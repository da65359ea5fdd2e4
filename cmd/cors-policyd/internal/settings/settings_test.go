package settings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const whole = `
listen: 127.0.0.1:8081
xds: {listen: 127.0.0.1:8082, resource: cors, module: /etc/envoy/cors.wasm}
database: sqlite:origins.db
poll: 5s
state: last-good.json
defaults: {allow_methods: [PUT, DELETE], allow_credentials: true}
policies:
- name: tenants
  match: {hosts: [api.example.com]}
  allow_origins: ["https://app.example.com", {query: "SELECT origin FROM tenant_origins WHERE verified"}, {table: true}]
- rows: "SELECT name, host, path, origin FROM sites"
  allow_credentials: false
  allow_headers: [Content-Type]
lookups:
  tenants: "SELECT 1 FROM tenant_origins WHERE origin = :origin AND verified"
`

func TestParse(t *testing.T) {
	s, findings := Parse("policyd.yaml", whole)
	if s == nil || len(findings) > 0 {
		t.Fatal(findings)
	}
	if s.Poll != 5*time.Second || s.XDS.Module != "/etc/envoy/cors.wasm" || len(s.Lookups) != 1 ||
		s.LookupTTL != time.Minute {
		t.Errorf("read as %+v", s)
	}
	p := s.Template.Policies
	if len(p) != 2 || !p[0].Credentials || p[1].Credentials || p[1].Rows == "" || !s.Template.HasTable() ||
		len(p[0].Origins) != 3 || p[0].Origins[0].JSON != `"https://app.example.com"` ||
		p[0].Origins[2].Query != TableQuery ||
		p[0].Fields != `,"match":{"hosts":["api.example.com"]}` || !p[1].Inherits ||
		len(p[0].Match.Hosts) != 1 || len(p[1].Match.Hosts) != 0 {
		t.Errorf("read as %+v", s.Template)
	}
}

// TestLoad: a file is read, and one that is missing is said.
func TestLoad(t *testing.T) {
	name := filepath.Join(t.TempDir(), "policyd.yaml")
	if _, _, err := Load(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(name, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, findings, err := Load(name); s == nil || err != nil {
		t.Errorf("%v %v", findings, err)
	}
}

// TestFindings: what is wrong is said with its place and with what to write instead.
func TestFindings(t *testing.T) {
	const good = "database: sqlite:x\npolicies: [{name: a, allow_origins: [{table: true}]}]\n"
	for _, test := range []struct{ text, expect string }{
		{"[]", `p.yaml:1:1: configuration: is not an object; write {…}`},
		{"listen: x:1", `p.yaml:1:9: listen: "x:1" can be reached from other machines, by anybody; write "tls" or "token_file", or "insecure: true"`},
		{"{}", `p.yaml:1:1: database: is missing; write the database's URL`},
		{good + "polll: 10s", `p.yaml:3:1: polll: is no known field; the fields are`},
		{good + "poll: 10s\npoll: 5s", "p.yaml:4:1:"},
		{good + "poll: 1ms", `p.yaml:3:7: poll: 1ms is out of range; write 100ms to 24h0m0s`},
		{good + "poll: 24h1s", `p.yaml:3:7: poll: 24h1s is out of range; write 100ms to 24h0m0s`},
		{good + "poll: 86401", `p.yaml:3:7: poll: 86401s is out of range; write 100ms to 24h0m0s`},
		{good + "poll: true", `p.yaml:3:7: poll: is not a duration; write a duration, such as "10s"`},
		{good + "limits: {waiting: 1000001}", `p.yaml:3:19: limits.waiting: is no number from 0 to 1000000`},
		{good + "limits: {waiting: '5'}", `p.yaml:3:19: limits.waiting: is no number from 0 to 1000000`},
		{good + "limits: {waiting: 1.5}", `p.yaml:3:19: limits.waiting: is no number from 0 to 1000000`},
		{good + "listen: nonsense", `p.yaml:3:9: listen: "nonsense" is no address; write a host and a port`},
		{"database: sqlite:x\npolicies: [{rows: 'SELECT :x'}]", `policies[0].rows: has the parameter ":x"; no parameter is known here`},
		{"database: sqlite:x\npolicies: [5, {name: a, allow_origins: [x]}]", `p.yaml:2:41: policies[1].allow_origins[0]:`},
		{"database: sqlite:x\ndefaults: {max_age: 5}\nlookups: {a: SELECT 1}", `p.yaml:2:11: policies: is missing`},
		{"database: sqlite:x\npolicies:\n- {name: a, match: {hosts: [a.example/x, b.example]}, allow_origins: [{table: true}]}",
			`p.yaml:3:29: policies[0].match.hosts[0]:`},
		{good + "listen: 10.0.0.1:1", `p.yaml:3:9: listen: "10.0.0.1:1" can be reached from other machines, by anybody`},
		{good + "listen: '[::]:1'", `p.yaml:3:9: listen: "[::]:1" can be reached from other machines, by anybody`},
		{good + "poll: soon", `p.yaml:3:7: poll: is not a duration; write a duration, such as "10s"`},
		{good + "limits: {waiting: -1}", `p.yaml:3:19: limits.waiting: is no number from 0 to 1000000`},
		{good + "tls: {cert_file: x}", `p.yaml:3:6: tls.key_file: is missing; write the name of a PEM file`},
		{good + "lookups: {a: 'SELECT 1 WHERE x = :orig'}", `lookups.a: has the parameter ":orig"; the parameters are :policy, :host, :origin`},
		{good + "defaults: {allow_origins: [{table: true}]}", `defaults.allow_origins[0]: is a query, and stands in defaults; write it into the policies`},
		{"database: mssql://u:secret@h/d", `database: is no URL of a database; write "sqlite:FILE"`},
		{"database: mysql://u:sec/ret@h/d", "p.yaml:1:11: database: can't be read as a URL; write / as %2F"},
		{"database: postgres://u:secret@h/d?sslmode=none", "p.yaml:1:11: database: cannot parse"},
		{"database: sqlite:x\nlookups: {a: SELECT 1}\nxds: {}", `p.yaml:3:6: xds: has nothing to serve, since there are no policies; leave it out, or write policies`},
		{"database: $CORS_NO_SUCH", `database: the variable "CORS_NO_SUCH" of the environment is empty`},
		{"database: sqlite:x\npolicies:\n- name: a\n  allow_origins: ['https://a.example/', {query: SELECT 1}]",
			`p.yaml:4:19: policies[0].allow_origins[0]: "https://a.example/" has a path (a trailing slash), and an origin is only scheme, host and port; write "https://a.example"`},
		{"database: sqlite:x\npolicies:\n- name: a\n  match: {hosts: [a.example/x]}\n  allow_origins: [{table: true}]", `p.yaml:4:19: policies[0].match.hosts[0]:`},
		{"database: sqlite:x\npolicies:\n- name: a\n  allow_origins: [{table: true, query: SELECT 1}]", `p.yaml:4:19: policies[0].allow_origins[0]: is neither a query nor the table`},
		{"database: sqlite:x\npolicies:\n- rows: SELECT 1\n  name: x", `p.yaml:4:9: policies[0].name: stands beside rows, which have it; leave it out`},
		{"database: sqlite:x\npolicies:\n- rows: SELECT 1\n  allow_origins: [{table: true}]", `is the table, which is by the policy's name, and there is none`},
		{"database: sqlite:x\npolicies: []", `p.yaml:2:11: policies: is empty; write at least one policy`},
		{"database: sqlite:x\npolicies: [{name: a, allow_origins: [{table: true}]}, {name: b, allow_origins: [{table: true}]}]", `claims every host and every path`},
	} {
		s, findings := Parse("p.yaml", test.text)
		var all strings.Builder
		for _, f := range findings {
			all.WriteString(f.Error() + "\n")
		}
		if s != nil || !strings.Contains(all.String(), test.expect) {
			t.Errorf("%s\nsays\n%swant %s", test.text, all.String(), test.expect)
		}
		if strings.Contains(all.String(), "secret") || strings.Contains(all.String(), "sec/ret") {
			t.Errorf("%s: the password is shown", test.text)
		}
	}
}

// TestAccepted: what is as large as it may be is right, and so is an address that only this machine
// reaches, or that is kept from others.
func TestAccepted(t *testing.T) {
	const good = "database: sqlite:x\npolicies: [{name: a, allow_origins: [{table: true}]}]\n"
	for _, more := range []string{
		"poll: 24h", "poll: 86400", "poll: 100ms", "limits: {waiting: 0}", "limits: {waiting: 1000000}",
		"defaults: {allow_origins: ['https://a.example', {regex: 'https://[a-z]\\.example'}]}",
		"listen: localhost:1", "listen: 127.9.9.9:1", "listen: '[::1]:1'", "listen: 0.0.0.0:1\ninsecure: true",
		"listen: 0.0.0.0:1\ntoken_file: t", "listen: 0.0.0.0:1\ntls: {cert_file: c, key_file: k}",
	} {
		if s, findings := Parse("p.yaml", good+more); s == nil {
			t.Errorf("%s: %v", more, findings)
		}
	}
	if s, _ := Parse("p.yaml", good+"poll: 15"); s == nil || s.Poll != 15*time.Second {
		t.Errorf("a number is of seconds: %+v", s)
	}
	if s, _ := Parse("p.yaml", good); s == nil || s.Poll != 10*time.Second {
		t.Errorf("without poll: %+v", s)
	}
}

// TestWarnings: what is doubtful is said, and taken.
func TestWarnings(t *testing.T) {
	for _, test := range []struct{ text, expect string }{
		{"notify: x\nlookups: {a: SELECT 1}", "p.yaml:2:9: notify: is for PostgreSQL, and has no effect here; " +
			"leave it out; SQLite is watched without it, others by poll"},
		{"policies: [{name: tenants, allow_origins: ['https://a.example']}]\nlookups: {tenant: SELECT 1}", `p.yaml:3:11: lookups.tenant: ` +
			`policies has no "tenant"; write a policy's name, as its look-ups have it`},
		{"policies: [{name: a, allow_origins: ['https://a.example']}, {rows: SELECT 1}]\nlookups: {b: SELECT 1}", ""},
		{"lookups: {b: SELECT 1}", ""},
	} {
		s, findings := Parse("p.yaml", "database: sqlite:x\n"+test.text)
		said := ""
		for _, f := range findings {
			said += f.Error()
		}
		if s == nil || said != test.expect {
			t.Errorf("%s\nsays %s\nwant %s", test.text, said, test.expect)
		}
	}
}

// TestEnvironment: the URL may be in a variable.
func TestEnvironment(t *testing.T) {
	t.Setenv("CORS_TEST_DATABASE", "postgres://u:p@h/d")
	s, findings := Parse("p.yaml", "database: $CORS_TEST_DATABASE\nnotify: x\nlookups: {a: SELECT 1}")
	if s == nil || s.Database != "postgres://u:p@h/d" {
		t.Error(findings)
	}
}

package database_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// A site is a row of sites; nil is NULL.
type site struct {
	kind                     string // of the fault
	name, host, path, origin any
	reason                   string // what is said of it, in part
	// closed says that only the origin is wrong, so that the host has a policy that allows none.
	closed bool
}

// badSites are rows of which none allows anything.
var badSites = []site{
	{"SQL in the origin", "a1", "a1.example", nil, "https://a.example' OR '1'='1", "contains white space", true},
	{"SQL in the host", "a2", "a2.example'; DROP TABLE sites; --", nil, app, "is not a host", false},
	{"SQL in the path", "a3", "a3.example", "/'; DROP TABLE sites; --\n", app, "characters that no request has", false},
	{"JSON in the origin", "a4", "a4.example", nil, `https://a.example"],"allow_credentials":true,"x":["`, "has quotes", true},
	{"JSON in the host", "a5", `a5.example"]},"allow_origins":["*"],"x":{"y":["`, nil, app, "has a wildcard", false},
	{"JSON in the path", "a6", "a6.example", `/"}]},"allow_origins":["*"],"x":{"y":["` + "\x01", app, "has a wildcard", false},
	{"JSON in the name", `a7","allow_origins":["*"],"x":"`, "a7.example", nil, app, "is not a name", false},
	{"another header in the origin", "a8", "a8.example", nil, "https://a.example\r\nSet-Cookie: a=b", "contains white space", true},
	{"another line in the host", "a9", "a9.example\r\nX-Other: 1", nil, app, "has an invalid port", false},
	{"NUL in the origin", "a10", "a10.example", nil, "https://a.example\x00.evil.example", "a character that can't be seen", true},
	{"NUL in the host", "a11", "a11\x00.example", nil, app, "is not a host", false},
	{"bytes that are no UTF-8", "a12", "a12.example", nil, []byte("https://\xff\xfe.example"), "is not UTF-8", true},
	{"a very long origin", "a13", "a13.example", nil, "https://" + strings.Repeat("a", 1<<20) + ".example", "bytes long", true},
	{"an origin longer than a host may be", "a14", "a14.example", nil, "https://" + strings.Repeat("a", 300) + ".example", "longer than the 254 characters", true},
	{"several origins", "a15", "a15.example", nil, "https://a.example, https://b.example", "is a list in one string", true},
	{"a path in the origin", "a16", "a16.example", nil, "https://a.example/", "has a path", true},
	{"user information in the origin", "a17", "a17.example", nil, "https://user:secret@a.example", "has user information", true},
	{"upper case", "a18", "a18.example", nil, "https://A.example", "upper-case", true},
	{"any origin, with credentials", "a19", "a19.example", nil, "*", "credentials", true},
	{"a public suffix, with credentials", "a20", "a20.example", nil, "https://*.co.uk", "public suffix", true},
	{"plain http, with credentials", "a21", "a21.example", nil, "http://a.example", "plain http", true},
	{"an empty name", "", "a23.example", nil, app, "is empty", false},
	{"a number", "a24", "a24.example", nil, 42, "has no scheme", true},
	{"bytes that are no text", "a31", "a31.example", nil, []byte{0, 1, 2}, "a character that can't be seen", true},
	{"a regex in its quotes", "a25", "a25.example", nil, `{"regex": ".*"}`, "contains white space", true},
	{"a look-alike in Unicode", "a26", "a26.example", nil, "https://аpp.example", "outside ASCII", true},
	{"a query in the path", "a27", "a27.example", "/a?b=c", app, "has a query", false},
	{"a wildcard in the midst of a host", "a28", "a.*.example", nil, app, "has a wildcard", false},
	{"the name of another policy", "tenants", "a29.example", nil, app, "name of another policy", false},
	{"the host of another policy", "a30", "tenants.example", nil, app, "as the policy \"tenants\" does", false},
}

// TestBadRows: rows of many kinds that are wrong, some of them on purpose, are left out, listed with a
// reason, counted, and logged once, the first of them one by one. They hold no other row up, and the
// document is one that the filter takes and that allows nothing by them.
func TestBadRows(t *testing.T) {
	d := deploy(t, newSQLite(t), patient, byWait)
	load := d.load(t)
	var batch int // as many as are logged at once
	for from := 0; from < len(badSites); from += batch {
		batch = min(15, len(badSites)-from)
		tx, err := d.store.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range badSites[from : from+batch] {
			err := execute(tx, "INSERT INTO sites VALUES (?, ?, ?, ?, 1)", s.name, s.host, s.path, s.origin)
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		envoytest.Eventually(t, fleet.Recovery, "all to be rejected",
			func() bool { return d.rejected(t).Total == from+batch })
	}
	for range 2 { // What is good goes on meanwhile.
		d.await(t, load, d.change(t))
	}
	list := d.rejected(t)
	log := d.policyd.log.String()
	for _, s := range badSites {
		i := slices.IndexFunc(list.Rejected, func(r rejected) bool { return r.Row["host"] == s.host })
		if i < 0 {
			t.Errorf("%s: is not listed as rejected", s.kind)
			continue
		}
		r := list.Rejected[i]
		t.Logf("%s: %s; %s", s.kind, r.What, r.Instead)
		if !strings.Contains(r.What, s.reason) || r.Source != "policies[2].rows" {
			t.Errorf("%s: is rejected in %s because it %s, want %q", s.kind, r.Source, r.What, s.reason)
		}
		host, _, _ := strings.Cut(strings.Trim(strconv.Quote(s.host.(string)), `"`), `\`)
		if n := strings.Count(log, `msg="a row is left out" source=policies[2].rows row="map[host:`+host); n > 1 {
			t.Errorf("%s: is logged %d times", s.kind, n)
		}
	}
	if n := d.policyd.metric(t, "cors_policyd_rejected_rows"); int(n) != len(badSites) || list.Total != len(badSites) {
		t.Errorf("%g rows are counted as rejected, and %d listed, want %d", n, list.Total, len(badSites))
	}
	closed := 0
	for _, s := range badSites {
		if s.closed {
			closed++
		}
	}
	document := d.policyd.must(t, "/v1/policies").text
	parsed, problems := config.ParseFetched(document)
	if len(problems) > 0 || len(parsed.Policies.All()) != 3+closed {
		t.Errorf("%v in %s", problems, document)
	}
	for _, p := range d.proxies {
		for _, s := range badSites {
			d.allowsNothing(t, p, s)
		}
	}

	// Who mends a row has it.
	d.store.exec(t, "UPDATE sites SET origin = 'https://a.example' WHERE name = 'a16'")
	envoytest.Eventually(t, fleet.Recovery, "the row that is mended", func() bool {
		return d.rejected(t).Total == len(badSites)-1 &&
			strings.Contains(d.policyd.must(t, "/v1/policies").text, `"https://a.example"`)
	})
	load.Check(t)
	log = d.policyd.log.String()
	n := strings.Count(log, "a row is left out")
	for _, more := range regexp.MustCompile(`more rows are left out.* rows=(\d+)`).FindAllStringSubmatch(log, -1) {
		others, _ := strconv.Atoi(more[1])
		n += others
	}
	if n != len(badSites) {
		t.Errorf("the log tells of %d rejected rows, want %d", n, len(badSites))
	}
}

// A rejected is a row that is listed as rejected.
type rejected struct {
	Source, What, Instead string
	Row                   map[string]any
}

func (d *deployment) rejected(tb testing.TB) (list struct {
	Total    int
	Rejected []rejected
}) {
	tb.Helper()
	if err := json.Unmarshal([]byte(d.policyd.must(tb, "/v1/rejected").text), &list); err != nil {
		tb.Fatal(err)
	}
	return list
}

// allowsNothing fails the test unless a host that can be asked for is closed, or has no policy.
func (d *deployment) allowsNothing(tb testing.TB, p *fleet.Proxy, s site) {
	tb.Helper()
	host := s.host.(string)
	if !strings.HasPrefix(host, "a") || strings.ContainsAny(host, "\r\n\x00 *\"") {
		return
	}
	request := cases.Request{Host: host, Headers: [][2]string{{"origin", app}}}
	response, err := envoytest.HTTP1(p.Addr(tb, byWait), request)
	want := []string{"access-control-allow-origin: " + foreign} // as the upstream says
	if s.closed {
		want = []string{"vary: Origin"}
	}
	if err != nil || !slices.Equal(envoytest.CORSLines(response), want) {
		tb.Errorf("%s: a request for %s gets %q, %v", s.kind, host, envoytest.CORSLines(response), err)
	}
}

package database_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/fleet"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// An authority issues certificates into a folder: NAME.pem and NAME.key. Its own is ca.pem.
type authority struct {
	folder      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	folder, err := os.MkdirTemp("", "cors-certificates-") // which other users may read, those of databases
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		tb.Fatal(err)
	}
	a := &authority{folder: folder}
	a.renew(tb)
	return a
}

// renew makes another authority of it, which knows nobody that the former one has issued.
func (a *authority) renew(tb testing.TB) {
	tb.Helper()
	a.certificate, a.key = nil, nil
	a.certificate, a.key = a.issue(tb, "ca", 24*time.Hour)
}

func (a *authority) path(file string) string { return filepath.Join(a.folder, file) }

// issue writes a certificate that is valid for some time from now on.
func (a *authority) issue(tb testing.TB, name string, valid time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name + serial.String()}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid).Truncate(time.Second),
		BasicConstraintsValid: true, IsCA: name == "ca",
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	a.write(tb, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	a.write(tb, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return certificate, key
}

func (a *authority) write(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(a.path(file), []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// client is one that has a certificate, remembers sessions, and takes any server: it looks at it itself.
func (a *authority) client(tb testing.TB, name string) *http.Client {
	tb.Helper()
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+".key"))
	if err != nil {
		tb.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, Certificates: []tls.Certificate{pair},
		ClientSessionCache: tls.NewLRUClientSessionCache(10),
	}}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: fleet.Recovery}
}

// secure has a cors-policyd serve by TLS, from its next start on, and ask clients for a certificate or not.
func (p *policyd) secure(tb testing.TB, a *authority, clients bool) {
	tb.Helper()
	fields := fmt.Sprintf("tls: {cert_file: %s, key_file: %s", a.path("server.pem"), a.path("server.key"))
	if clients {
		fields += ", client_ca_file: " + a.path("ca.pem")
	}
	p.edit(tb, "listen:", fields+"}\nlisten:")
	a.issue(tb, "client", time.Hour)
	p.scheme, p.client = "https", a.client(tb, "client")
}

// served is when the certificate expires that a server shows.
func (p *policyd) served(tb testing.TB) time.Time {
	tb.Helper()
	conn, err := tls.Dial("tcp", p.http, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // nothing more is asked of it
	return conn.ConnectionState().PeerCertificates[0].NotAfter
}

// expiry is the metric of when a certificate expires.
func expiry(name string) string {
	return fmt.Sprintf("cors_policyd_certificate_expiry_timestamp_seconds{certificate=%q}", name)
}

// expiry waits until a metric says when a certificate expires.
func (p *policyd) expiry(tb testing.TB, name string, want time.Time) {
	tb.Helper()
	envoytest.Eventually(tb, fleet.Recovery, fmt.Sprintf("%s to be %s", expiry(name), want), func() bool {
		return p.metric(tb, expiry(name)) == float64(want.Unix())
	})
}

// unusable waits until a metric says whether what took files' place can't be used.
func (p *policyd) unusable(tb testing.TB, files string, want float64) {
	tb.Helper()
	metric := fmt.Sprintf("cors_policyd_unusable_files{files=%q}", files)
	envoytest.Eventually(tb, fleet.Recovery, fmt.Sprintf("%s to be %g", metric, want), func() bool {
		return p.metric(tb, metric) == want
	})
}

// TestCertificates: certificates expire and are replaced while cors-policyd runs. New connections have the new one;
// what can't be used leaves the old one, and is said once, also if it is there again as it was; when each expires is a
// metric. Who has a certificate of an authority that was replaced gets in no more, not by an old session either.
func TestCertificates(t *testing.T) {
	t.Parallel() // it waits, most of the time
	s := newSQLite(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	a := newAuthority(t)
	p := configured(t, s.url, s.fields+tenants())
	expired, _ := a.issue(t, "server", -time.Minute)
	p.secure(t, a, true)
	p.start(t)
	p.expiry(t, "server", expired.NotAfter)
	p.expiry(t, "client_ca", a.certificate.NotAfter)
	first, _ := a.issue(t, "server", time.Hour)
	p.expiry(t, "server", first.NotAfter)
	if at := p.served(t); !at.Equal(first.NotAfter) {
		t.Errorf("the certificate that is served expires at %s, want %s", at, first.NotAfter)
	}

	// What can't be used, twice; the key of another certificate may have been such a thing for a moment above.
	complaints := func() int { return strings.Count(p.log.String(), "can't be used; the last good one stays") }
	before := complaints()
	whole, err := os.ReadFile(a.path("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a.write(t, "server.key", "nonsense")
		p.unusable(t, "tls", 1)
		if at := p.served(t); !at.Equal(first.NotAfter) {
			t.Errorf("the certificate that is served expires at %s, want %s", at, first.NotAfter)
		}
		a.write(t, "server.key", string(whole))
		p.unusable(t, "tls", 0)
	}
	if n := complaints() - before; n != 2 {
		t.Errorf("it is said %d times", n)
	}

	// Another authority of the clients.
	former := p.client
	a.renew(t)
	p.meet(t, a)
	p.expiry(t, "client_ca", a.certificate.NotAfter)
	if response, err := former.Get("https://" + p.http + "/healthz"); err == nil {
		response.Body.Close()
		t.Error("who has a certificate of the former authority gets in")
	}
	p.has(t, "https://nobody.invalid")
}

// meet has the tests' own client have a certificate of the authority that is there now.
func (p *policyd) meet(tb testing.TB, a *authority) {
	tb.Helper()
	a.issue(tb, "client", time.Hour)
	p.client = a.client(tb, "client")
	envoytest.Eventually(tb, fleet.Recovery, "the new authority to be taken", func() bool {
		_, err := p.get("/healthz")
		return err == nil
	})
}

// TestCertificatesExpire: nobody gets in by a certificate that had expired before, or does while cors-policyd runs, not
// by an old session either. Its own is shown after that as well, and clients see it. New ones end both.
func TestCertificatesExpire(t *testing.T) {
	t.Parallel() // has little to do
	c := newClock(t)
	s := newSQLite(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	a := newAuthority(t)
	a.issue(t, "server", time.Hour)
	p := configured(t, s.url, s.fields+tenants())
	p.secure(t, a, true)
	c.rules(p)
	p.start(t)
	a.issue(t, "late", -time.Minute)
	a.issue(t, "long", 3*time.Hour)
	// One that looks at the server's certificate, by the same time of day.
	careful := a.client(t, "long")
	config := careful.Transport.(*http.Transport).TLSClientConfig
	config.InsecureSkipVerify, config.RootCAs = false, x509.NewCertPool()
	config.RootCAs.AddCert(a.certificate)
	config.Time = func() time.Time { return time.Now().Add(c.ahead) }
	clients := map[string]*http.Client{
		"an hour": p.client, "none any more": a.client(t, "late"), "three hours": a.client(t, "long"), "three, careful": careful,
	}
	// check asks as each client, where fails has who gets no answer, and why.
	check := func(when string, fails map[string]string) {
		t.Helper()
		for name, client := range clients {
			response, err := client.Get("https://" + p.http + "/healthz")
			if err == nil {
				response.Body.Close()
			}
			if want, bad := fails[name]; (err != nil) != bad || bad && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, who has a certificate for %s: %v, want %q", when, name, err, want)
			}
		}
	}
	const refused, seen = "remote error: tls: expired certificate", "certificate has expired"
	check("before", map[string]string{"none any more": refused})
	c.jump(t, 2*time.Hour)
	check("after two hours", map[string]string{"none any more": refused, "an hour": refused, "three, careful": seen})
	next, _ := a.issue(t, "server", 4*time.Hour)
	p.client = clients["three hours"]
	p.expiry(t, "server", next.NotAfter)
	a.issue(t, "client", 4*time.Hour)
	clients["an hour"] = a.client(t, "client")
	check("with new ones", map[string]string{"none any more": refused})
	// Whoever puts the clock right has not to wait two hours for the next one.
	c.jump(t, 0)
	last, _ := a.issue(t, "server", 5*time.Hour)
	p.expiry(t, "server", last.NotAfter)
}

// TestDatabaseCertificates: the same of those of a database: its own is replaced, then its authority, while
// cors-policyd runs. A file of the authority that can't be used leaves the last good one.
func TestDatabaseCertificates(t *testing.T) {
	s := newPostgreSQL(t)
	s.table(t, "tenant_origins", "origin VARCHAR(255) NOT NULL")
	a := newAuthority(t)
	certificate, _ := a.issue(t, "server", time.Hour)
	s.exec(t, "ALTER SYSTEM SET ssl_cert_file = '"+a.path("server.pem")+"'")
	s.exec(t, "ALTER SYSTEM SET ssl_key_file = '"+s.key(t, a)+"'")
	s.exec(t, "ALTER SYSTEM SET ssl = on")
	reload := func() {
		t.Helper()
		s.exec(t, "SELECT pg_reload_conf()") // doesn't wait until that is done
	}
	reconnect := func() {
		t.Helper()
		s.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cors-policyd'")
	}
	reload()
	p := newPolicyd(t, s.url+"?sslmode=verify-full&sslrootcert="+a.path("ca.pem"), s.fields+tenants())
	p.expiry(t, "database", certificate.NotAfter)
	change := func(n int) {
		t.Helper()
		s.exec(t, "INSERT INTO tenant_origins VALUES (?)", tenant(n))
		p.has(t, tenant(n))
	}
	change(1)

	replace := func(valid time.Duration) {
		t.Helper()
		certificate, _ := a.issue(t, "server", valid)
		s.key(t, a)
		reload()
		envoytest.Eventually(t, fleet.Recovery, "a connection by the certificate that is there now", func() bool {
			reconnect()
			return p.metric(t, expiry("database")) == float64(certificate.NotAfter.Unix())
		})
	}
	replace(2 * time.Hour)
	change(2)

	a.renew(t)
	replace(3 * time.Hour)
	change(3)

	whole, err := os.ReadFile(a.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "ca.pem", "nonsense")
	reconnect()
	change(4)
	p.unusable(t, "database", 1)
	a.write(t, "ca.pem", string(whole))
	reconnect()
	change(5)
	p.unusable(t, "database", 0)
}

// key puts the key of the authority's server where only the database may read it, as PostgreSQL wants.
func (s *store) key(tb testing.TB, a *authority) string {
	tb.Helper()
	text, err := os.ReadFile(a.path("server.key"))
	if err != nil {
		tb.Fatal(err)
	}
	return s.server.WriteFile(tb, "server.key", text)
}

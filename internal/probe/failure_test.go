package probe_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/probe"
)

const app = "https://app.example.com"

func getFrom(origin, url string) probe.Question {
	return probe.Question{Request: browser.Request{Method: "GET", Origin: origin, URL: url}}
}

// listen serves connections by hand, one after another.
func listen(t *testing.T, serve func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

// after answers once it has read a request.
func after(answer func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			answer(conn)
		}
	}
}

func says(text string) func(net.Conn) {
	return after(func(conn net.Conn) { _, _ = io.WriteString(conn, text) })
}

// hangs waits until the client goes away.
func hangs(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// endless writes a text for as long as somebody reads it.
func endless(first, again string) func(net.Conn) {
	return after(func(conn net.Conn) {
		_, err := io.WriteString(conn, first)
		for err == nil {
			_, err = io.WriteString(conn, again)
		}
	})
}

// closed is the URL of a port that nobody listens on.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String() + "/"
}

// secure is a URL with https instead of http.
func secure(url string) string { return "https" + strings.TrimPrefix(url, "http") }

// TestFailures: why there is no answer, in words, and what the browser calls it.
func TestFailures(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	reset := func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	const headers = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n"
	for _, test := range []struct {
		name, url string
		kind      probe.FailureKind
		what      string
		chromium  string
	}{
		{"no such host", "https://api.invalid/", probe.FailedDNS, "api.invalid", "ERR_NAME_NOT_RESOLVED"},
		{"refused", closed(t), probe.FailedConnect, "the connection is refused", "ERR_CONNECTION_REFUSED"},
		{"reset", listen(t, after(reset)), probe.FailedReset, "reset the connection", "ERR_CONNECTION_RESET"},
		{"closed", listen(t, after(func(net.Conn) {})), probe.FailedReset, "closed the connection", "ERR_EMPTY_RESPONSE"},
		{"closed in the header", listen(t, says(headers)), probe.FailedReset, "in the middle of the answer's header", ""},
		{"garbage", listen(t, says("SSH-2.0-OpenSSH_9.6\r\n\r\n")), probe.FailedHTTP, "no answer of HTTP",
			"ERR_INVALID_HTTP_RESPONSE"},
		{"garbage in the header", listen(t, says(headers+"SECRET\r\n\r\n")), probe.FailedHTTP,
			"a line of the header doesn't begin with a name and a colon", ""},
		{"a control character in a header", listen(t, says(headers+"Set-Cookie: SECRET\x01\r\n\r\n")), probe.FailedHTTP,
			"the line of Set-Cookie has a character in it that no header may have", ""},
		{"a length that is none", listen(t, says(headers+"Content-Length: x\r\n\r\n")), probe.FailedHTTP,
			`breaks HTTP: bad Content-Length "x"`, ""},
		{"a status that is none", listen(t, says("HTTP/1.1 99 x\r\n\r\n")), probe.FailedHTTP,
			`breaks HTTP: malformed HTTP status code "99"`, ""},
		{"an empty line first", listen(t, says("\r\n"+headers+"\r\n")), probe.FailedHTTP, "breaks HTTP", ""},
		{"another protocol", listen(t, says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")), probe.FailedHTTP,
			"the server answers 101", ""},
		{"a redirect to what net/url can't read", listen(t, says("HTTP/1.1 302 Found\r\nAccess-Control-Allow-Origin: *\r\n"+
			"Location: /SECRET%zz\r\n\r\n")), probe.FailedOther, "can't ask for the URL", ""},
		{"an endless header", listen(t, endless(headers, "X-A: "+strings.Repeat("a", 1000)+"\r\n")), probe.FailedTooLarge,
			"larger than 256 KiB", "ERR_RESPONSE_HEADERS_TOO_BIG"},
		{"an endless line", listen(t, endless(headers+"X-A: ", strings.Repeat("a", 1000))), probe.FailedTooLarge,
			"larger than 256 KiB", "ERR_RESPONSE_HEADERS_TOO_BIG"},
		{"endless hints", listen(t, endless("", "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")),
			probe.FailedTooLarge, "larger than 256 KiB", "ERR_RESPONSE_HEADERS_TOO_BIG"},
		{"no TLS", secure(listen(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.6\r\n") })),
			probe.FailedTLS, "the server doesn't speak TLS on this port", "ERR_SSL_PROTOCOL_ERROR"},
		{"plain HTTP", secure(plain.URL), probe.FailedTLS, "the server speaks plain HTTP on this port",
			"ERR_SSL_PROTOCOL_ERROR"},
		{"closed in the handshake", secure(listen(t, after(hangs))), probe.FailedReset,
			"the server closed the connection in the TLS handshake", "ERR_CONNECTION_CLOSED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := prober().Probe(t.Context(), getFrom("http://app.example.com", test.url))
			check(t, r, test.kind, test.what, test.chromium)
		})
	}
}

func check(t *testing.T, r *probe.Report, kind probe.FailureKind, what, chromium string) {
	t.Helper()
	f := r.Failure()
	if r.Verdict != probe.Unknown || f == nil {
		t.Fatalf("the verdict is %s, and the failure %v", r.Verdict, f)
	}
	if strings.Contains(f.What, "SECRET") {
		t.Errorf("a secret is told: %s", f.What)
	}
	if f.Kind != kind || !strings.Contains(f.What, what) || f.Chromium != chromium {
		t.Errorf("%s: %s (%s), want %s: … %s … (%s)", f.Kind, f.What, f.Chromium, kind, what, chromium)
	}
}

// TestTimeout: who waits in vain is told for what.
func TestTimeout(t *testing.T) {
	for _, test := range []struct{ name, url, what string }{
		{"for the answer", listen(t, after(hangs)), "gave up waiting for the answer, with --timeout 200ms"},
		{"for the rest of it", listen(t, after(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nAccess-Control-")
			hangs(conn)
		})), "gave up waiting for the answer"},
		{"for TLS", secure(listen(t, hangs)), "gave up waiting for the TLS handshake"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &probe.Prober{Timeout: 200 * time.Millisecond}
			check(t, p.Probe(t.Context(), getFrom("http://app.example.com", test.url)), probe.FailedTimeout, test.what,
				"ERR_TIMED_OUT")
		})
	}
}

// TestInterrupted: who is interrupted says so.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := listen(t, after(func(conn net.Conn) {
		cancel()
		hangs(conn)
	}))
	check(t, prober().Probe(ctx, getFrom("http://app.example.com", url)), probe.FailedInterrupted,
		"interrupted while waiting for the answer", "")
}

// TestEndlessBody: what CORS doesn't depend on isn't read.
func TestEndlessBody(t *testing.T) {
	for _, length := range []string{"", "Content-Length: 1000000000000\r\n", "Transfer-Encoding: chunked\r\n"} {
		url := listen(t, endless("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n"+length+"\r\n", "400\r\n"))
		if r := prober().Probe(t.Context(), getFrom("http://app.example.com", url)); r.Verdict != probe.Allowed {
			t.Errorf("with %q the verdict is %s (%v)", length, r.Verdict, r.Failure())
		}
	}
}

// An authority signs certificates.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.certificate)
	return a
}

// server serves TLS with a certificate that edit makes wrong.
func (a *authority) server(edit func(*x509.Certificate), config *tls.Config) *httptest.Server {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	edit(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Server", r.Proto)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}
	server.TLS = config
	server.StartTLS()
	a.t.Cleanup(server.Close)
	return server
}

// TestTLS: what is wrong with a server's TLS, and with --insecure what would be.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	right := func(*x509.Certificate) {}
	names := func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"a.example", "b.example"} }
	expired := func(c *x509.Certificate) {
		c.NotBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		c.NotAfter = time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC)
	}
	early := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(100, 0, 0), time.Now().AddDate(101, 0, 0)
	}
	usage := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	old := &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	client := &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	for _, test := range []struct {
		name     string
		edit     func(*x509.Certificate)
		config   *tls.Config
		roots    *x509.CertPool
		kind     probe.FailureKind
		what     string
		chromium string
	}{
		{"expired", expired, &tls.Config{}, a.pool, probe.FailedExpired, "expired on 01 February 2020",
			"ERR_CERT_DATE_INVALID"},
		{"not valid yet", early, &tls.Config{}, a.pool, probe.FailedExpired, "isn't valid before", "ERR_CERT_DATE_INVALID"},
		{"another host's", names, &tls.Config{}, a.pool, probe.FailedHost,
			"the server's certificate isn't for 127.0.0.1, but for a.example, b.example", "ERR_CERT_COMMON_NAME_INVALID"},
		{"an unknown authority", right, &tls.Config{}, x509.NewCertPool(), probe.FailedAuthority,
			"is signed by an authority that isn't trusted here: Test authority", "ERR_CERT_AUTHORITY_INVALID"},
		{"a client's certificate", usage, &tls.Config{}, a.pool, probe.FailedCertificate, "isn't valid", "ERR_CERT_INVALID"},
		{"old versions", right, old, a.pool, probe.FailedTLS, "the TLS handshake fails", "ERR_SSL_PROTOCOL_ERROR"},
		{"wants a certificate", right, client, a.pool, probe.FailedTLS, "the TLS handshake fails", "ERR_SSL_PROTOCOL_ERROR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := prober()
			p.Roots = test.roots
			q := getFrom(app, a.server(test.edit, test.config).URL)
			check(t, p.Probe(t.Context(), q), test.kind, test.what, test.chromium)
			if test.kind == probe.FailedTLS {
				return
			}
			p.Insecure = true
			r := p.Probe(t.Context(), q)
			warned := slices.ContainsFunc(r.Advice, func(a probe.Advice) bool {
				return a.Kind == string(test.kind) && a.Severity == probe.Warning && strings.Contains(a.What, test.what)
			})
			if r.Verdict != probe.Allowed || !warned {
				t.Errorf("with --insecure: %s, %v, %v", r.Verdict, r.Failure(), r.Advice)
			}
		})
	}
}

// TestProtocols: HTTP/2 where TLS negotiates it, and HTTP/1.1 otherwise.
func TestProtocols(t *testing.T) {
	a := newAuthority(t)
	right := func(*x509.Certificate) {}
	p := prober()
	p.Roots = a.pool
	for _, test := range []struct {
		name, protocol string
		config         *tls.Config
	}{
		{"HTTP/2", "HTTP/2.0", &tls.Config{}},
		{"HTTP/1.1", "HTTP/1.1", &tls.Config{NextProtos: []string{"http/1.1"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := a.server(right, test.config)
			q := getFrom(app, server.URL)
			q.Method = "PUT"
			q.Send = true
			r := p.Probe(t.Context(), q)
			preflight := r.Last().Preflight.Answer
			if preflight.Protocol != test.protocol || preflight.TLS != "TLS 1.3" ||
				!slices.Contains(preflight.Headers, [2]string{"server", test.protocol}) {
				t.Errorf("asked over %s and %s: %v", preflight.Protocol, preflight.TLS, preflight.Headers)
			}
			if r.Blocked == nil || r.Blocked.Reason != browser.MethodNotAllowed {
				t.Errorf("blocked by %v", r.Blocked)
			}
		})
	}
}

// TestProxy: the environment's proxy is asked. Go reads the environment once, and asks no
// proxy for the own machine, so that this runs in a process of its own.
func TestProxy(t *testing.T) {
	if url := os.Getenv("PROBE_TEST_URL"); url != "" {
		r := prober().Probe(t.Context(), getFrom("http://app.example.com", url))
		if f := r.Failure(); f != nil {
			fmt.Println("failure:", f.Kind)
		} else {
			fmt.Println("verdict:", r.Verdict, r.Last().Actual.Answer.Address.IsValid())
		}
		return
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}))
	t.Cleanup(proxy.Close)
	for _, test := range []struct{ url, proxy, want string }{
		{"http://api.example/", proxy.URL, "verdict: allowed false"},
		{"https://api.example/", proxy.URL, "failure: proxy"},
		{"http://api.example/", closed(t), "failure: proxy"},
	} {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy$")
		command.Env = append(os.Environ(), "PROBE_TEST_URL="+test.url, "HTTP_PROXY="+test.proxy, "HTTPS_PROXY="+test.proxy,
			"NO_PROXY=")
		output, err := command.CombinedOutput()
		if err != nil || !strings.Contains(string(output), test.want) {
			t.Errorf("%s by %s: %v, want %q:\n%s", test.url, test.proxy, err, test.want, output)
		}
	}
}

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// An Answer is what a server answered, as far as anybody needs it: nothing of its body is read.
type Answer struct {
	browser.Response
	// Protocol is the version of HTTP, such as HTTP/2.0.
	Protocol string
	// TLS is the version of TLS, such as "TLS 1.3"; "" without.
	TLS string
	// Address is who answered; it isn't valid where that was a proxy.
	Address netip.Addr
	// Untrusted is what is wrong with the server's certificate, if it was asked all the same.
	Untrusted *Failure
}

// maxHeaderBytes is how much of an answer's header is read. Chromium reads as much.
const maxHeaderBytes = 256 << 10

// A client asks one server, and those that it redirects to.
type client struct {
	transport *http.Transport
	timeout   time.Duration
	userAgent string
	progress  func(words string)
	untrusted atomic.Pointer[Failure] // what is wrong with the certificate seen last
}

func newClient(p *Prober) *client {
	c := &client{timeout: p.Timeout, userAgent: p.UserAgent, progress: p.Progress}
	config := &tls.Config{RootCAs: p.Roots, MinVersion: tls.VersionTLS12}
	if p.Insecure {
		config.InsecureSkipVerify = true // and VerifyConnection remembers what would have been wrong
		config.VerifyConnection = func(state tls.ConnectionState) error {
			c.untrusted.Store(certificateFailure(verify(state, p.Roots)))
			return nil
		}
	}
	// A step that hangs leaves time to say which one.
	step := p.Timeout / 2
	c.transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: step}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    step,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // bodies aren't read
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return c
}

// verify is what crypto/tls does unless it is told not to.
func verify(state tls.ConnectionState, roots *x509.CertPool) error {
	options := x509.VerifyOptions{Roots: roots, DNSName: state.ServerName, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// ask makes one request with these header lines, and those that a browser adds.
func (c *client) ask(ctx context.Context, method, rawURL string, lines [][2]string) (*Answer, *Failure) {
	t := &trace{}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, t.hooks()), method, rawURL, http.NoBody)
	if err != nil {
		return nil, failure(err, t, c.timeout)
	}
	for _, h := range append(c.added(rawURL, lines), lines...) {
		if strings.EqualFold(h[0], "User-Agent") {
			request.Header.Del(h[0]) // the page's own
		}
		request.Header.Add(h[0], h[1])
	}
	if c.progress != nil {
		slow := time.AfterFunc(time.Second, func() { c.progress(t.waitingFor()) })
		defer slow.Stop()
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, failure(err, t, c.timeout)
	}
	_ = response.Body.Close() // CORS has no say in it
	a := &Answer{Protocol: response.Proto, Address: t.remote(c.proxied(request))}
	a.Status, a.Headers = response.StatusCode, headerLines(response.Header)
	if response.TLS != nil {
		a.TLS = tls.VersionName(response.TLS.Version)
		a.Untrusted = c.untrusted.Load()
	}
	return a, nil
}

func (c *client) proxied(r *http.Request) bool {
	proxy, err := c.transport.Proxy(r)
	return proxy != nil || err != nil
}

// added are the header lines that a browser adds to a fetch of its own accord, as far as
// servers go by them.
func (c *client) added(rawURL string, lines [][2]string) [][2]string {
	list := [][2]string{
		{"User-Agent", c.userAgent},
		{"Accept-Encoding", "gzip, deflate, br, zstd"},
		{"Sec-Fetch-Mode", "cors"},
		{"Sec-Fetch-Dest", "empty"},
	}
	named := func(name string) func(h [2]string) bool {
		return func(h [2]string) bool { return strings.EqualFold(h[0], name) }
	}
	if !slices.ContainsFunc(lines, named("Accept")) {
		list = append(list, [2]string{"Accept", "*/*"})
	}
	if !slices.ContainsFunc(lines, named("Accept-Language")) {
		list = append(list, [2]string{"Accept-Language", "en"})
	}
	i := slices.IndexFunc(lines, named("Origin"))
	if i < 0 {
		return list
	}
	origin := lines[i][1]
	list = append(list, [2]string{"Sec-Fetch-Site", site(origin, rawURL)})
	// By the referrer policy of pages that set none, strict-origin-when-cross-origin.
	if strings.HasPrefix(origin, "http") && (!strings.HasPrefix(origin, "https:") || isHTTPS(rawURL)) {
		list = append(list, [2]string{"Referer", origin + "/"})
	}
	return list
}

func isHTTPS(rawURL string) bool {
	scheme, _, _ := strings.Cut(rawURL, ":")
	return strings.EqualFold(scheme, "https")
}

// site is the value of Sec-Fetch-Site for a request from an origin to a URL.
//
// See https://w3c.github.io/webappsec-fetch-metadata/#sec-fetch-site-header.
func site(origin, rawURL string) string {
	if browser.SameOrigin(origin, rawURL) {
		return "same-origin"
	}
	from, to := registrable(origin), registrable(rawURL)
	if from != "" && from == to && isHTTPS(origin) == isHTTPS(rawURL) {
		return "same-site"
	}
	return "cross-site"
}

// registrable is the domain that somebody registered, of which a URL's host is a part, or the
// host itself where that is none: an address, for example.
func registrable(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}

// headerLines are the lines of an answer, sorted by name, which is in lower case. The lines of
// a name keep their order.
func headerLines(header http.Header) (lines [][2]string) {
	for name, values := range header {
		for _, value := range values {
			lines = append(lines, [2]string{strings.ToLower(name), value})
		}
	}
	slices.SortStableFunc(lines, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return lines
}

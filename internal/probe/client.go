package probe

import (
	"cmp"
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
	roots     *x509.CertPool
}

// newClient is a client for the question of a URL.
func newClient(p *Prober, rawURL string) *client {
	c := &client{timeout: p.Timeout, userAgent: p.UserAgent, progress: p.Progress, roots: p.Roots}
	// A step that hangs leaves time to say which one.
	step := p.Timeout / 2
	dialer := &net.Dialer{Timeout: step}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
			address = net.JoinHostPort("localhost", port) // As browsers do, who ask no DNS for it.
		}
		return dialer.DialContext(ctx, network, address)
	}
	c.transport = &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: dial,
		TLSClientConfig: &tls.Config{
			RootCAs: p.Roots, MinVersion: tls.VersionTLS12,
			InsecureSkipVerify: p.Insecure, //nolint:gosec // ask says what would be wrong
		},
		TLSHandshakeTimeout:    step,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // bodies aren't read
		MaxResponseHeaderBytes: maxHeaderBytes,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
			if response.StatusCode != http.StatusOK {
				return proxyError(response.StatusCode)
			}
			return nil
		},
	}
	if p.Connect != "" {
		c.transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
		c.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == hostPort(rawURL) {
				address = p.Connect
			}
			return dial(ctx, network, address)
		}
	}
	return c
}

// hostPort is the host and the port of a URL, as a connection is asked for.
func hostPort(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	return net.JoinHostPort(u.Hostname(), port)
}

// verify is what crypto/tls does unless it is told not to.
func verify(state *tls.ConnectionState, host string, roots *x509.CertPool) error {
	options := x509.VerifyOptions{Roots: roots, DNSName: host, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// A sender is who makes a request: the page's origin, and the URLs of the request, the last of
// which is asked, and which the others redirected to. Without an origin it is no page.
type sender struct {
	page string
	urls []string
}

func (s sender) url() string { return s.urls[len(s.urls)-1] }

// ask makes one request with these header lines, and those that a browser adds.
func (c *client) ask(ctx context.Context, method string, from sender, lines [][2]string) (*Answer, *Failure) {
	t := &trace{}
	ctx = httptrace.WithClientTrace(ctx, t.hooks())
	request, err := http.NewRequestWithContext(ctx, method, from.url(), http.NoBody)
	if err != nil {
		return nil, unaskable(err)
	}
	for _, h := range append(c.added(from, lines), lines...) {
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
	if response.StatusCode == http.StatusSwitchingProtocols {
		return nil, &Failure{FailedHTTP, "the server answers 101 to who asked for no other protocol",
			"see what serves this path: a WebSocket, perhaps", ""}
	}
	a := &Answer{Protocol: response.Proto, Address: t.remote(c.proxied(request))}
	a.Status, a.Headers = response.StatusCode, headerLines(response.Header)
	if response.TLS != nil {
		a.TLS = tls.VersionName(response.TLS.Version)
		a.Untrusted = certificateFailure(verify(response.TLS, request.URL.Hostname(), c.roots))
	}
	return a, nil
}

func (c *client) proxied(r *http.Request) bool {
	proxy, err := c.transport.Proxy(r)
	return proxy != nil || err != nil
}

// added are the header lines that a browser adds to a fetch of its own accord, as far as
// servers go by them.
func (c *client) added(from sender, lines [][2]string) [][2]string {
	list := [][2]string{{"User-Agent", c.userAgent}, {"Accept-Encoding", "gzip, deflate, br, zstd"}}
	for _, h := range [][2]string{{"Accept", "*/*"}, {"Accept-Language", "en"}} {
		if values(lower(lines), strings.ToLower(h[0])) == nil {
			list = append(list, h)
		}
	}
	if from.page == "" {
		return list
	}
	if isHTTPS(from.url()) || trustworthy(from.url()) {
		list = append(list, [2]string{"Sec-Fetch-Site", from.site()}, [2]string{"Sec-Fetch-Mode", "cors"},
			[2]string{"Sec-Fetch-Dest", "empty"})
	}
	// By the referrer policy of pages that set none, strict-origin-when-cross-origin.
	if strings.HasPrefix(from.page, "http") && (!isHTTPS(from.page) || isHTTPS(from.url())) {
		list = append(list, [2]string{"Referer", from.page + "/"})
	}
	return list
}

// lower are header lines with their names in lower case.
func lower(lines [][2]string) [][2]string {
	lines = slices.Clone(lines)
	for i := range lines {
		lines[i][0] = strings.ToLower(lines[i][0])
	}
	return lines
}

func isHTTPS(rawURL string) bool {
	scheme, _, _ := strings.Cut(rawURL, ":")
	return strings.EqualFold(scheme, "https")
}

// site is the value of Sec-Fetch-Site: the farthest that the request has gone.
//
// See https://w3c.github.io/webappsec-fetch-metadata/#sec-fetch-site-header.
func (s sender) site() string {
	farthest := "same-origin"
	for _, url := range s.urls {
		switch {
		case browser.SameOrigin(s.page, url):
		case !sameSite(s.page, url):
			return "cross-site"
		default:
			farthest = "same-site"
		}
	}
	return farthest
}

// sameSite reports whether an origin and a URL are of the same site.
//
// See https://html.spec.whatwg.org/multipage/browsers.html#same-site.
func sameSite(origin, rawURL string) bool {
	site := registrable(origin)
	return site != "" && site == registrable(rawURL) && isHTTPS(origin) == isHTTPS(rawURL)
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

// headerLines are the lines of an answer, sorted by name, which is in lower case, and without
// white space at its end, which browsers ignore. The lines of a name keep their order.
func headerLines(header http.Header) (lines [][2]string) {
	for name, values := range header {
		for _, value := range values {
			lines = append(lines, [2]string{strings.ToLower(strings.TrimRight(name, " \t")), value})
		}
	}
	slices.SortStableFunc(lines, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return lines
}

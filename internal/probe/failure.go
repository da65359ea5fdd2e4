package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A FailureKind is why there is no answer. The values are for machines, and stay.
type FailureKind string

// The kinds.
const (
	FailedDNS         FailureKind = "dns"
	FailedConnect     FailureKind = "connect"           // Refused, or nothing there.
	FailedReset       FailureKind = "reset"             // The connection ended before the answer was there.
	FailedTimeout     FailureKind = "timeout"           // At any step.
	FailedExpired     FailureKind = "tls-expired"       // Or not valid yet.
	FailedHost        FailureKind = "tls-wrong-host"    // The certificate is another host's.
	FailedAuthority   FailureKind = "tls-unknown-ca"    // Nobody who is trusted signed the certificate.
	FailedCertificate FailureKind = "tls-certificate"   // Something else is wrong with it.
	FailedTLS         FailureKind = "tls"               // The handshake fails.
	FailedHTTP        FailureKind = "http"              // What came is no answer of HTTP.
	FailedTooLarge    FailureKind = "headers-too-large" // More than a browser reads.
	FailedProxy       FailureKind = "proxy"             // It doesn't connect.
	FailedInterrupted FailureKind = "interrupted"       // Whoever asked didn't wait.
	FailedOther       FailureKind = "other"
)

// A Failure is why there is no answer. Where Chromium has a word for it, the page gets none in a
// browser either: its network error comes before CORS.
type Failure struct {
	Kind FailureKind `json:"kind"`
	// What is wrong, and what to do about it, which may be "".
	What string `json:"what"`
	Do   string `json:"do,omitempty"`
	// Chromium is what Chromium calls it, such as ERR_CERT_DATE_INVALID; "" if it has no
	// such word.
	Chromium string `json:"net_error,omitempty"`
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Do == "" {
		return f.What
	}
	return f.What + "; " + f.Do
}

const insecure = "to see what it answers all the same, add --insecure"

// failure says what went wrong with a request that has come so far.
func failure(err error, t *trace, timeout time.Duration) *Failure {
	if errors.Is(err, context.Canceled) {
		return &Failure{Kind: FailedInterrupted, What: "interrupted while waiting for " + t.waitingFor()}
	}
	for _, classify := range []func(error) *Failure{
		proxyFailure, timeoutFailure(t, timeout), networkFailure(t), certificateFailure, tlsFailure, httpFailure,
	} {
		if f := classify(err); f != nil {
			return f
		}
	}
	return &Failure{Kind: FailedOther, What: clean(err)}
}

// clean is the text of an error that others made: it may contain what a server sent.
func clean(err error) string {
	const most = 300
	text := err.Error()
	if len(text) > most {
		text = text[:most] + "…"
	}
	return problem.Printable(text, '\uFFFD')
}

// A proxyError is the status with which a proxy refuses to connect.
type proxyError int

// Error implements error.
func (e proxyError) Error() string { return "it answers " + strconv.Itoa(int(e)) }

func proxyFailure(err error) *Failure {
	const do = "see the environment's HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
	if status, ok := errors.AsType[proxyError](err); ok {
		return &Failure{FailedProxy, "the proxy doesn't connect: " + status.Error(), do, "ERR_TUNNEL_CONNECTION_FAILED"}
	}
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "proxyconnect" && !strings.HasPrefix(op.Op, "socks") {
		return nil
	}
	return &Failure{FailedProxy, "the proxy doesn't connect: " + clean(op.Err), do,
		"ERR_PROXY_CONNECTION_FAILED"}
}

func timeoutFailure(t *trace, timeout time.Duration) func(error) *Failure {
	return func(err error) *Failure {
		timed, ok := err.(interface{ Timeout() bool })
		if !ok {
			timed, ok = errors.AsType[net.Error](err)
		}
		isTimeout := ok && timed.Timeout() || errors.Is(err, context.DeadlineExceeded) ||
			errors.Is(err, os.ErrDeadlineExceeded)
		if !isTimeout {
			return nil
		}
		return &Failure{FailedTimeout, "gave up waiting for " + t.waitingFor() + ", with --timeout " + timeout.String(),
			"see that the server is reachable from here, or wait longer", "ERR_TIMED_OUT"}
	}
}

// networkFailure is about what is below TLS and HTTP.
func networkFailure(t *trace) func(error) *Failure {
	return func(err error) *Failure {
		f := connectionFailure(err)
		switch {
		case f == nil || f.Kind != FailedReset:
		case t.waitingFor() == string(stepHandshake):
			f.What = strings.Replace(f.What, "before it answered", "in the TLS handshake", 1)
			f.Do = "see that it speaks TLS on this port, and has a certificate for this host"
			f.Chromium = strings.Replace(f.Chromium, "EMPTY_RESPONSE", "CONNECTION_CLOSED", 1)
		case errors.Is(err, io.ErrUnexpectedEOF):
			f.What = "the server closed the connection in the middle of the answer's header"
			f.Chromium = "" // Which takes what there is for the whole.
		}
		return f
	}
}

func connectionFailure(err error) *Failure {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		what := "the name " + dns.Name + " can't be looked up: " + dns.Err
		if dns.IsNotFound {
			what = "there is no host " + dns.Name
		}
		return &Failure{FailedDNS, what, "see that it is spelled right, and known to the DNS that is asked from here",
			"ERR_NAME_NOT_RESOLVED"}
	}
	const reset = "see the log of the server, or of what stands in front of it"
	switch {
	case is(err, syscall.ECONNREFUSED, "actively refused"):
		return &Failure{FailedConnect, "the connection is refused", "see that the server runs, and listens on this port",
			"ERR_CONNECTION_REFUSED"}
	case is(err, syscall.ENETUNREACH, "unreachable network"), is(err, syscall.EHOSTUNREACH, "unreachable host"):
		return &Failure{FailedConnect, "the host can't be reached from here", "see the network, or its firewall",
			"ERR_ADDRESS_UNREACHABLE"}
	case is(err, syscall.ECONNRESET, "forcibly closed"), is(err, syscall.EPIPE, "was aborted"):
		return &Failure{FailedReset, "the server reset the connection before it answered", reset, "ERR_CONNECTION_RESET"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed"):
		return &Failure{FailedReset, "the server closed the connection before it answered", reset, "ERR_EMPTY_RESPONSE"}
	}
	return nil
}

// is reports whether an error is one of the system's, which on Windows only its words tell.
func is(err error, number syscall.Errno, words string) bool {
	return errors.Is(err, number) || runtime.GOOS == "windows" && strings.Contains(err.Error(), words)
}

// certificateFailure is about the server's certificate; nil if nothing is wrong with it.
func certificateFailure(err error) *Failure {
	const date = "02 January 2006"
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		what := "the server's certificate expired on " + invalid.Cert.NotAfter.UTC().Format(date)
		if time.Now().Before(invalid.Cert.NotBefore) {
			what = "the server's certificate isn't valid before " + invalid.Cert.NotBefore.UTC().Format(date)
		}
		return &Failure{FailedExpired, what, "renew it, or set the clock; " + insecure, "ERR_CERT_DATE_INVALID"}
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return &Failure{FailedHost, "the server's certificate isn't for " + host.Host + namesOf(host.Certificate),
			"see that DNS leads to the right server, and that it has a certificate for this host; " + insecure,
			"ERR_CERT_COMMON_NAME_INVALID"}
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		who := "an authority that isn't trusted here"
		if c := unknown.Cert; c != nil {
			if c.Subject.String() == c.Issuer.String() {
				who = "itself"
			} else if c.Issuer.CommonName != "" {
				who += ": " + problem.Printable(c.Issuer.CommonName, '\uFFFD')
			}
		}
		return &Failure{FailedAuthority, "the server's certificate is signed by " + who,
			"see that the server sends the whole chain; trust the authority (SSL_CERT_FILE=ca.pem); " + insecure,
			"ERR_CERT_AUTHORITY_INVALID"}
	}
	if invalid, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &Failure{FailedCertificate, "the server's certificate isn't valid: " + clean(invalid.Err), insecure,
			"ERR_CERT_INVALID"}
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return &Failure{FailedCertificate, "the server's certificate isn't valid: " + clean(invalid), insecure,
			"ERR_CERT_INVALID"}
	}
	return nil
}

// namesOf are the first names that a certificate is for.
func namesOf(c *x509.Certificate) string {
	if c == nil || len(c.DNSNames) == 0 {
		return ""
	}
	names := c.DNSNames
	more := ""
	if len(names) > 3 {
		names, more = names[:3], ", …"
	}
	return ", but for " + problem.Printable(strings.Join(names, ", "), '\uFFFD') + more
}

func tlsFailure(err error) *Failure {
	record, ok := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), ok && string(record.RecordHeader[:]) == "HTTP/":
		return &Failure{FailedTLS, "the server speaks plain HTTP on this port, and no TLS", "ask it with http://",
			"ERR_SSL_PROTOCOL_ERROR"}
	case ok:
		return &Failure{FailedTLS, "the server doesn't speak TLS on this port: " + record.Msg, "see its port",
			"ERR_SSL_PROTOCOL_ERROR"}
	}
	if strings.Contains(err.Error(), "tls: ") {
		_, said, _ := strings.Cut(clean(err), "tls: ")
		do := "see its versions of TLS, and that it has a certificate for this host"
		if strings.Contains(said, "certificate required") || strings.Contains(said, "bad certificate") {
			do = "it may want a client's certificate, which this command has none of"
		}
		return &Failure{FailedTLS, "the TLS handshake fails: " + said, do, "ERR_SSL_PROTOCOL_ERROR"}
	}
	return nil
}

// unaskable says why a request can't be made of a URL that a redirect leads to.
func unaskable(err error) *Failure {
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		err = wrong.Err // Without the URL, which may have a secret in it.
	}
	return &Failure{Kind: FailedOther, What: "this command can't ask for the URL, as a browser may: " + clean(err)}
}

// httpFailure is about answers that break HTTP. Browsers read many of them all the same, and so
// nothing is said of Chromium but where it is certain.
func httpFailure(err error) *Failure {
	text := clean(err)
	_, broken, isHTTP1 := strings.Cut(text, "HTTP/1.x transport connection broken: ")
	switch {
	case strings.Contains(text, "exceeded") && strings.Contains(text, "bytes"),
		strings.Contains(text, "header list too large"):
		return &Failure{FailedTooLarge, "the answer's header is larger than 256 KiB, and no browser reads more",
			"see what the server puts into it", "ERR_RESPONSE_HEADERS_TOO_BIG"}
	case strings.HasPrefix(broken, "malformed HTTP response ") && !strings.Contains(broken, "HTTP/") &&
		!strings.HasSuffix(broken, `""`): // Chromium skips an empty line.
		return &Failure{FailedHTTP, "what came is no answer of HTTP: " + broken,
			"see that a server of HTTP listens on this port", "ERR_INVALID_HTTP_RESPONSE"}
	case isHTTP1:
		return &Failure{FailedHTTP, "the answer breaks HTTP: " + withoutValue(broken),
			"mend that first: a browser may read it all the same, or not, and this command doesn't", ""}
	case strings.Contains(text, "http2: "), strings.Contains(text, "stream error"):
		return &Failure{FailedHTTP, "the server breaks off, or breaks HTTP/2: " + text,
			"see its log, or that of what stands in front of it", "ERR_HTTP2_PROTOCOL_ERROR"}
	}
	return nil
}

// withoutValue is what is wrong with an answer. Of a header line it has no more than the name.
func withoutValue(broken string) string {
	_, line, ok := strings.Cut(broken, "malformed MIME header")
	if !ok {
		return broken
	}
	_, line, _ = strings.Cut(line, `"`)
	name, _, hasColon := strings.Cut(line, ":")
	if !hasColon || !httpguts.ValidHeaderFieldName(name) {
		return "a line of the header doesn't begin with a name and a colon"
	}
	return "the line of " + name + " has a character in it that no header may have"
}

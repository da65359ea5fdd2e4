package wpt_test

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

// The servers of WPT, by what its tests call them. A host is of the same site as the page's.
const (
	pageHost   = "page.test.localhost"
	remoteHost = "remote.test.localhost"
	otherHost  = "other.test.localhost"
)

// A website is the servers of all rows: one Envoy, behind a front that notes what the browser sends,
// and before an upstream that answers as the rows say.
type website struct {
	rows    []row
	origins map[string]string // of the servers, by their names

	mu       sync.Mutex
	sent     map[int][]*http.Request // by the browser, of each row
	upstream map[int][]string        // the methods that reached the upstream, of each row
}

// start starts the servers.
func start(t *testing.T, rows []row) *website {
	t.Helper()
	w := &website{rows: rows, sent: map[int][]*http.Request{}, upstream: map[int][]string{}}
	listeners := map[string]net.Listener{}
	for _, name := range []string{"first", "second", "tls"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		listeners[name] = l
	}
	at := func(scheme, host, listener string) string {
		_, port, _ := net.SplitHostPort(listeners[listener].Addr().String())
		return scheme + "://" + host + ":" + port
	}
	w.origins = map[string]string{
		"page":         at("http", pageHost, "first"),
		"port":         at("http", pageHost, "second"),
		"https":        at("https", pageHost, "tls"),
		"remote":       at("http", remoteHost, "first"),
		"remote port":  at("http", remoteHost, "second"),
		"remote https": at("https", remoteHost, "tls"),
		"other":        at("http", otherHost, "first"),
	}
	upstream := httptest.NewServer(w)
	t.Cleanup(upstream.Close)
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	envoy := envoytest.Start(t, envoytest.Bootstrap{
		Upstream: strings.TrimPrefix(upstream.URL, "http://"),
		Listeners: []envoytest.Listener{{
			Name:    "wpt",
			Filters: []any{envoytest.Plugin{Module: module, Config: w.policies(t)}.Filter()},
			Extra:   map[string]any{"http_protocol_options": map[string]any{"allow_custom_methods": true}},
		}},
	}.String(), envoytest.Options{})
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	t.Cleanup(certificate.Close)
	listeners["tls"] = tls.NewListener(listeners["tls"], &tls.Config{Certificates: certificate.TLS.Certificates})
	for _, l := range listeners {
		go w.front(l, envoy.Addr(t, "wpt"))
	}
	return w
}

// policies is the plugin's configuration: the policies of all servers that have one, by their paths.
func (w *website) policies(t *testing.T) string {
	t.Helper()
	var policies []any
	for i, r := range w.rows {
		for j, s := range r.servers {
			if s.policy == "" {
				continue
			}
			var fields map[string]any
			if err := json.Unmarshal([]byte("{"+w.fill(s.policy, i, j)+"}"), &fields); err != nil {
				t.Fatalf("%s: %v", r, err)
			}
			policies = append(policies, merged(fields, map[string]any{
				"name":  fmt.Sprintf("row-%d-%d", i, j),
				"match": map[string]any{"paths": []any{map[string]any{"prefix": fmt.Sprintf("/%d/%d", i, j)}}},
			}))
		}
	}
	return envoytest.JSON(map[string]any{"policies": policies})
}

func merged(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// fill puts into a text what a row can't know; see [row].
func (w *website) fill(text string, row, server int) string {
	next := ""
	if server+1 < len(w.rows[row].servers) {
		next = w.url(row, server+1)
	}
	address := func(url string) string { _, rest, _ := strings.Cut(url, "://"); return rest }
	page := w.origins[w.rows[row].page()]
	return strings.NewReplacer(
		"PAGE", page, "UPPER", strings.ToUpper(page), "UPHOST", strings.ToUpper(address(page)), "HOST", address(page),
		"REMOTE", w.origins["remote"], "ASKED", w.origins[w.rows[row].servers[server].origin()],
		"HERE", fmt.Sprintf("/%d/%d", row, server), "NEXT-ADDRESS", address(next), "NEXT", next,
	).Replace(text)
}

// url is the URL of a server of a row.
func (w *website) url(row, server int) string {
	s := w.rows[row].servers[server]
	return fmt.Sprintf("%s/%d/%d", w.origins[s.origin()], row, server)
}

var rowPath = regexp.MustCompile(`^/(\d+)/(\d+)`)

// rowOf is the row and the server that a path is of.
func (w *website) rowOf(path string) (row, server int, ok bool) {
	found := rowPath.FindStringSubmatch(path)
	if found == nil {
		return 0, 0, false
	}
	row, _ = strconv.Atoi(found[1])
	server, _ = strconv.Atoi(found[2])
	return row, server, row < len(w.rows) && server < len(w.rows[row].servers)
}

// front passes on what comes to a listener, and notes the requests.
func (w *website) front(l net.Listener, envoy string) {
	for {
		browser, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer browser.Close()
			proxy, err := net.Dial("tcp", envoy)
			if err != nil {
				return
			}
			defer proxy.Close()
			copied, copies := io.Pipe()
			go w.note(copied)
			go func() {
				_, err := io.Copy(proxy, io.TeeReader(browser, copies))
				copies.CloseWithError(err)
				proxy.Close()
			}()
			_, _ = io.Copy(browser, proxy) // until either hangs up
		}()
	}
}

// note notes the requests of a connection.
func (w *website) note(connection io.Reader) {
	r := bufio.NewReader(connection)
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		if row, _, ok := w.rowOf(request.URL.Path); ok {
			w.mu.Lock()
			w.sent[row] = append(w.sent[row], request)
			w.mu.Unlock()
		}
		_, _ = io.Copy(io.Discard, request.Body)
	}
}

// observed is what the browser sent of a row, and the methods of what reached the upstream.
func (w *website) observed(row int) (sent []*http.Request, upstream []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent[row]), slices.Clone(w.upstream[row])
}

// isPreflight tells preflights from other requests.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// ServeHTTP is the upstream.
func (w *website) ServeHTTP(response http.ResponseWriter, r *http.Request) {
	row, server, ok := w.rowOf(r.URL.Path)
	header := response.Header()
	if !ok {
		header.Set("Content-Type", "text/html")
		if r.URL.Path == "/sandbox" {
			header.Set("Content-Security-Policy", "sandbox allow-scripts")
		}
		fmt.Fprint(response, pageSource)
		return
	}
	w.mu.Lock()
	w.upstream[row] = append(w.upstream[row], r.Method)
	w.mu.Unlock()
	s := w.rows[row].servers[server]
	a := s.actual
	switch {
	case isPreflight(r):
		a = s.preflight
	case r.Header.Get("If-None-Match") != "":
		a = s.again
	}
	header["Date"] = nil
	for line := range strings.SplitSeq(w.fill(a.lines, row, server), "|") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			name := http.CanonicalHeaderKey(name)
			value = strings.ReplaceAll(value, "COOKIE", r.Header.Get("Cookie"))
			value = strings.ReplaceAll(value, "METHOD", r.Method)
			header[name] = append(header[name], value)
		}
	}
	response.WriteHeader(cmp.Or(a.status, http.StatusOK))
	// WPT's redirects have no body, either.
	if r.Method != http.MethodHead && a.status/100 != 3 && a.status != 204 && a.status != 205 {
		fmt.Fprint(response, "text")
	}
}

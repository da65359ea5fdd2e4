package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// orders is an API as many are: each path has a mistake of its own.
func orders(w http.ResponseWriter, r *http.Request) {
	h, origin := w.Header(), r.Header.Get("Origin")
	switch {
	case strings.HasSuffix(r.URL.Path, "/right"):
		h.Set("Vary", "Origin")
		if origin != "https://app.example.com" {
			break
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "PUT, DELETE")
			h.Set("Access-Control-Allow-Headers", "authorization, content-type")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "X-Request-Id")
		h.Set("X-Request-Id", "1")
		if r.URL.Path == "/fails/right" {
			w.WriteHeader(http.StatusBadGateway)
		}
		h.Set("Set-Cookie", "session=secret; SameSite=None; Secure")
	case strings.HasPrefix(r.URL.Path, "/any"):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	case r.URL.Path == "/login" && r.Method == http.MethodOptions:
		h.Set("WWW-Authenticate", `Bearer realm="secret"`)
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/moved":
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Location", "/right?token=secret")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// TestProbe: what is printed of questions to a live server, and how the command ends. Nothing
// that is secret is printed.
func TestProbe(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked += fmt.Sprintln(r.Method, r.URL.Path, r.Header["Authorization"], r.Header["Cookie"])
		orders(w, r)
	}))
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	file := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(file, []byte("Authorization: Bearer secret\n\nCookie: session=secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const app = "--origin=https://app.example.com"
	for _, test := range []struct {
		name  string
		args  []string
		exits int
	}{
		{"allowed", []string{server.URL + "/right?key=secret", app, "--method=put", "--credentials", "-H=@" + file, "--send",
			"--other-origins"}, 0},
		{"not_sent", []string{server.URL + "/right", app, "--method=DELETE"}, 0},
		{"blocked", []string{server.URL + "/login", app, "--method=POST", "-H=Content-Type: application/json",
			"-H=X-Key: secret"}, 1},
		{"redirect", []string{server.URL + "/moved", app}, 0},
		{"json", []string{server.URL + "/right?key=secret", app, "--method=PUT", "-H=Authorization: secret", "-H=X-Key",
			"-o=json"}, 1},
		{"json_redirect", []string{server.URL + "/moved", app, "-o=json"}, 0},
		{"json_no_answer", []string{server.URL + "/right", app, "--connect=127.0.0.1:1", "-o=json"}, 2},
		{"json_not_sent", []string{server.URL + "/right", app, "--method=POST", "-o=json"}, 2},
		{"any_origin", []string{server.URL + "/any", app, "--credentials"}, 0},
		{"same_origin", []string{server.URL + "/any", "--origin=" + server.URL + "/page", "--method=PATCH"}, 2},
		{"mixed_content", []string{"http://api.example.com/", app}, 1},
		{"no_answer", []string{server.URL + "/right", app, "--connect=127.0.0.1:1"}, 2},
		{"connect", []string{"http://api.localhost/right", app, "--connect=" + addr}, 0},
		{"unknown", []string{server.URL + "/right", app, "--method=POST"}, 2},
		{"compare_same", []string{server.URL + "/right", app, "--method=PUT", "--compare=" + server.URL + "/also/right"}, 0},
		{"compare_fails", []string{server.URL + "/right", app, "--compare=" + server.URL + "/fails/right"}, 0},
		{"compare_blocked", []string{server.URL + "/login", app, "--method=PUT", "-H=Cookie: session=secret",
			"--compare=" + server.URL + "/login"}, 0},
		{"compare_differs", []string{"http://api.localhost/any?key=secret", app, "--connect=" + addr,
			"--compare=http://api.localhost/right", "--compare-connect=" + addr}, 1},
		{"compare_json", []string{server.URL + "/any", app, "--compare=" + server.URL + "/right", "-o=json"}, 1},
		{"compare_json_connect", []string{server.URL + "/right", app, "--connect=" + addr, "--compare-connect=127.0.0.1:1",
			"-o=json"}, 2},
		{"compare_no_answer", []string{server.URL + "/right", app, "--compare-connect=127.0.0.1:1"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked = ""
			printed := probed(t, test.args, test.exits)
			if strings.Contains(printed, "secret") {
				t.Errorf("a secret is printed:\n%s", printed)
			}
			if test.name == "allowed" && !strings.Contains(asked, "PUT /right [Bearer secret] [session=secret]") {
				t.Errorf("it asked\n%s", asked)
			}
			printed = strings.ReplaceAll(printed, addr, "127.0.0.1:8080")
			golden := filepath.Join("testdata", "probe", test.name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(printed), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), printed); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// probed is what the command prints.
func probed(t *testing.T, args []string, exits int) string {
	t.Helper()
	var stdout, stderr strings.Builder
	if got := run(append([]string{"probe"}, args...), strings.NewReader(""), &stdout, &stderr); got != exits {
		t.Errorf("the exit code is %d, want %d", got, exits)
	}
	if stderr.Len() > 0 {
		t.Errorf("on standard error: %s", stderr.String())
	}
	return stdout.String()
}

// TestProbeUsage: who uses it wrongly is told how to do it.
func TestProbeUsage(t *testing.T) {
	const url, app = "https://api.example.com/", "--origin=https://app.example.com"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{app}, "probe needs one URL"},
		{[]string{url, url, app}, "probe needs one URL"},
		{[]string{url}, "probe needs --origin"},
		{[]string{"api.example.com", app}, "write it whole, such as https://api.example.com"},
		{[]string{"ftp://api.example.com", app}, "is not of the scheme http or https"},
		{[]string{"https://u:secret@api.example.com", app}, "the URL has a user name, which no page may fetch"},
		{[]string{url, "--origin=app.example.com"}, "write scheme and host, such as https://app.example.com"},
		{[]string{url, "--origin=https://*.example.com"}, "the origin has a wildcard"},
		{[]string{url, app, "--method=P T"}, "is no method"},
		{[]string{url, app, "-H=secret secret"}, `--header "secret…" is no header; write it as "name: value"`},
		{[]string{url, app, "-H=Cookie: a\nb", "--credentials"}, "goes over the end of its line"},
		{[]string{url, app, "-H=@nothing"}, "open nothing: no such file or directory"},
		{[]string{url, app, "--timeout=0s"}, "--timeout has to be more than nothing"},
		{[]string{url, app, "--timeout=10"}, "missing unit"},
		{[]string{url, app, "--connect=10.0.0.7"}, "is no host and port; write both, such as 10.0.0.7:443"},
		{[]string{url, app, "--connect=:443"}, "is no host and port"},
		{[]string{url, app, "--compare-connect=10.0.0.7:"}, `--compare-connect "10.0.0.7:" is no host and port`},
		{[]string{url, app, "--connect=[::1]:99999"}, "is no host and port"},
		{[]string{url, app, "--other-origins", "--compare=https://new.example.com"}, "--other-origins is for one server"},
		{[]string{url, app, "--compare=/v2"}, "write it whole, such as https://api.example.com/v1"},
		{[]string{url, app, "--compare=new.example.com"}, "--compare: the URL"},
		{[]string{url, app, "-o=yaml"}, "write one of text, json"},
	} {
		var stdout, stderr strings.Builder
		code := run(append([]string{"probe"}, test.args...), strings.NewReader(""), &stdout, &stderr)
		if code != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q: exit code %d, %q, want %q", test.args, code, stderr.String(), test.want)
		}
	}
}

// TestProbeNotes: what a page can't do is said, and not done.
func TestProbeNotes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.Header.Get("Cookie")+r.Header.Get("Host") != "" {
			t.Errorf("sent: %v", r.Header)
		}
	}))
	t.Cleanup(server.Close)
	printed := probed(t, []string{server.URL, "--origin=HTTPS://App.example.com:443/page", "-H=Cookie: a=b", "-H=Host: a"}, 0)
	for _, want := range []string{
		"a browser sends the origin HTTPS://App.example.com:443/page as https://app.example.com",
		"the Cookie isn't sent, because the page sends no credentials; add --credentials",
		"a page can't set the header Host: the browser leaves it out, or sends its own",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q isn't in\n%s", want, printed)
		}
	}
}

// TestProbeHeadersFromInput: headers may come from standard input, where no history has them.
func TestProbeHeadersFromInput(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+r.Header.Get("Access-Control-Request-Headers"))
	}))
	t.Cleanup(server.Close)
	args := []string{"probe", server.URL, "--origin=https://app.example.com", "-H=@-"}
	if code := run(args, strings.NewReader("X-Key: 1\nX-Other: 2\n"), io.Discard, io.Discard); code != exitFindings ||
		!slices.Equal(asked, []string{"OPTIONSx-key,x-other"}) {
		t.Errorf("exit code %d, asked %q", code, asked)
	}
}

// TestProbeHostile: an answer can't control the terminal, nor fill it.
func TestProbeHostile(t *testing.T) {
	many := strings.Repeat("Access-Control-Allow-Headers: \x9b31m\u009b31m\r\n", 1000)
	for _, test := range []struct {
		answer string
		exits  int
	}{
		{"HTTP/1.1 200 \x1b[31mOK\r\nAccess-Control-Allow-Origin: " + strings.Repeat("x", 10000) + "\r\n" + many + "\r\n", 1},
		{"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: \x1b]0;a\x07\r\n\r\n", 2}, // which Go doesn't read
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, test.answer)
		}))
		printed := probed(t, []string{server.URL, "--origin=https://app.example.com"}, test.exits)
		server.Close()
		if strings.ContainsAny(printed, "\x1b\x07\u009b") || strings.Contains(printed, "\x9b31") || len(printed) > 10000 {
			t.Errorf("%d bytes: %q", len(printed), printed)
		}
	}
}

package envoy_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoytest"
)

//go:embed testdata/fetch-cases.jsonl
var fetchCases []byte

// A row is one line of testdata/fetch-cases.jsonl: a request, and what a
// browser that follows the Fetch standard makes of the answer.
type row struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`      // where the expectation comes from
	PolicyName string          `json:"policy_name"` // for the reader
	Policy     json.RawMessage `json:"policy"`
	Request    struct {
		Method          string      `json:"method"`
		Headers         [][2]string `json:"headers"`
		CredentialsMode string      `json:"credentials_mode"`
		UpstreamStatus  int         `json:"upstream_status"`
	} `json:"request"`
	Expect struct {
		Preflight    bool     `json:"preflight"`
		Allowed      bool     `json:"allowed"`
		BrowserCheck string   `json:"browser_check"` // "cors", or "none" if the mode is exempt from CORS
		Forward      bool     `json:"forward"`
		Level        string   `json:"level"`         // "must"
		StatusClass  string   `json:"status_class"`  // "2xx" or not checked
		ACAO         *string  `json:"acao"`          // null: no Access-Control-Allow-Origin,
		ACAOOptional bool     `json:"acao_optional"` // unless its presence is free
		ACAC         *string  `json:"acac"`
		ACMA         *string  `json:"acma"` // not checked if null
		ACAMCovers   string   `json:"acam_covers"`
		ACAHCovers   []string `json:"acah_covers"`
		ACEHCovers   []string `json:"aceh_covers"`
		VaryOrigin   *bool    `json:"vary_origin"` // not checked if null
		Notes        string   `json:"notes"`
	} `json:"expect"`
}

// TestFetchConformance lets the Fetch standard judge the filter's answers.
func TestFetchConformance(t *testing.T) {
	module, err := envoytest.Module()
	if err != nil {
		t.Fatal(err)
	}
	up := envoytest.NewUpstream(t)
	bootstrap := envoytest.Bootstrap{Upstream: up.Addr()}
	listenerOf := map[string]string{} // by policy
	rows := readRows(t)
	for _, r := range rows {
		policy := string(r.Policy)
		if _, ok := listenerOf[policy]; ok {
			continue
		}
		name := "policy-" + strconv.Itoa(len(listenerOf))
		listenerOf[policy] = name
		bootstrap.Listeners = append(bootstrap.Listeners, envoytest.Listener{
			Name:    name,
			Filters: []any{envoytest.Plugin{Module: module, Config: policy}.Filter()},
		})
	}
	envoy := envoytest.Start(t, bootstrap.String(), envoytest.Options{})
	for _, r := range rows {
		t.Run(r.ID, func(t *testing.T) {
			got, err := up.Exchange(envoytest.HTTP1, envoy.Addr(t, listenerOf[string(r.Policy)]),
				cases.Request{Method: r.Request.Method, Headers: r.Request.Headers},
				cases.Upstream{Status: r.Request.UpstreamStatus})
			if err != nil {
				t.Fatal(err)
			}
			r.judge(t, got)
			if t.Failed() {
				t.Logf("%s: %s", r.Source, r.Expect.Notes)
				t.Logf("policy %s", r.Policy)
				t.Logf("request %s %q", r.Request.Method, r.Request.Headers)
				t.Logf("answer %d %q", got.Response.Status, envoytest.CORSLines(got.Response))
			}
		})
	}
}

// readRows reads the table, and refuses what it does not know: an expectation
// must not be ignored because its name is new.
func readRows(t *testing.T) (rows []row) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(fetchCases))
	decoder.DisallowUnknownFields()
	for {
		var r row
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("row %d: %v", len(rows)+1, err)
		}
		for _, field := range []struct {
			name, value string
			known       []string
		}{
			{"credentials_mode", r.Request.CredentialsMode, []string{"omit", "include"}},
			{"browser_check", r.Expect.BrowserCheck, []string{"cors", "none"}},
			{"level", r.Expect.Level, []string{"must"}},
			{"status_class", r.Expect.StatusClass, []string{"", "2xx"}},
		} {
			if !slices.Contains(field.known, field.value) {
				t.Fatalf("%s: %s %q is none of %q", r.ID, field.name, field.value, field.known)
			}
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	return rows
}

// judge reports everything in which the exchange is not as expected.
func (r row) judge(t *testing.T, got envoytest.Exchange) {
	t.Helper()
	resp, expect := got.Response, r.Expect
	include := r.Request.CredentialsMode == "include"
	// What the browser is about to do, and asks for in its preflight.
	sent := browser.Request{Method: "GET", CredentialsInclude: include}
	for _, h := range r.Request.Headers {
		switch strings.ToLower(h[0]) {
		case "origin":
			sent.Origin = h[1]
		case "access-control-request-method":
			sent.Method = h[1]
		case "access-control-request-headers":
			sent.Headers = append(sent.Headers, unsafeHeaders(strings.Split(h[1], ",")...)...)
		}
	}

	forwards := 0
	if expect.Forward {
		forwards = 1
	}
	if len(got.Received) != forwards {
		t.Errorf("reached the upstream %d times, want %d", len(got.Received), forwards)
	}
	for _, received := range got.Received {
		if received.Method != r.Request.Method {
			t.Errorf("reached the upstream as %s", received.Method)
		}
	}
	denied := expect.Preflight && !expect.Allowed && !expect.Forward && expect.ACAO == nil
	switch {
	case denied && resp.Status != 403:
		t.Errorf("status %d, want 403 for a preflight that is not allowed", resp.Status)
	case expect.StatusClass == "2xx" && resp.Status/100 != 2:
		t.Errorf("status %d, want 2xx", resp.Status)
	case expect.Forward && resp.Status != max(r.Request.UpstreamStatus, 200):
		t.Errorf("status %d is not the upstream's", resp.Status)
	}

	if expect.BrowserCheck == "cors" {
		var err *browser.Blocked
		if expect.Preflight {
			err = browser.PreflightCheck(sent, resp.Status, resp.Headers)
		} else {
			err = browser.CORSCheck(sent.Origin, include, resp.Headers)
		}
		if allowed := err == nil; allowed != expect.Allowed {
			t.Errorf("the browser allows it: %v, want %v (%v)", allowed, expect.Allowed, err)
		}
	}
	header(t, resp, "Access-Control-Allow-Origin", expect.ACAO, expect.ACAOOptional)
	header(t, resp, "Access-Control-Allow-Credentials", expect.ACAC, false)
	header(t, resp, "Access-Control-Max-Age", expect.ACMA, expect.ACMA == nil)
	if expect.ACMA != nil && strconv.Itoa(browser.MaxAge(resp.Headers)) != *expect.ACMA {
		t.Errorf("the browser caches it for %d s, want %s", browser.MaxAge(resp.Headers), *expect.ACMA)
	}

	// "Covers" is for the browser to say, too: would it send just this?
	if method := expect.ACAMCovers; method != "" {
		just := browser.Request{Origin: sent.Origin, CredentialsInclude: include, Method: method}
		if err := browser.PreflightCheck(just, resp.Status, resp.Headers); err != nil {
			t.Errorf("method %s is not covered: %v", method, err)
		}
	}
	for _, name := range expect.ACAHCovers {
		just := browser.Request{Origin: sent.Origin, CredentialsInclude: include, Method: "GET",
			Headers: unsafeHeaders(name)}
		if err := browser.PreflightCheck(just, resp.Status, resp.Headers); err != nil {
			t.Errorf("header %s is not covered: %v", name, err)
		}
	}
	for _, name := range expect.ACEHCovers {
		if !browser.Exposed(resp.Headers, name, include) {
			t.Errorf("header %s is not exposed", name)
		}
	}

	if expect.VaryOrigin != nil {
		want, listed := 0, 0
		if *expect.VaryOrigin {
			want = 1
		}
		for name := range strings.SplitSeq(strings.Join(resp.Values("vary"), ","), ",") {
			if strings.EqualFold(strings.TrimSpace(name), "origin") {
				listed++
			}
		}
		if listed != want {
			t.Errorf("Vary lists Origin %d times, want %d", listed, want)
		}
	}
}

// header reports whether the answer has exactly one line of that name with
// that value, or none if want is nil and the header is not optional.
func header(t *testing.T, resp *envoytest.Response, name string, want *string, optional bool) {
	t.Helper()
	got := resp.Values(name)
	switch {
	case want != nil && !slices.Equal(got, []string{*want}):
		t.Errorf("%s is %q, want %q", name, got, *want)
	case want == nil && !optional && len(got) > 0:
		t.Errorf("%s is %q, want none", name, got)
	}
}

// unsafeHeaders makes headers of names, each with a value that no
// CORS-safelisted request-header has.
func unsafeHeaders(names ...string) (headers [][2]string) {
	for _, name := range names {
		if name = strings.Trim(name, " \t"); name != "" {
			headers = append(headers, [2]string{name, `"`})
		}
	}
	return headers
}

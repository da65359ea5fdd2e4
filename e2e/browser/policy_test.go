package browser_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// An applied is what the demo says of a policy that a page has applied.
type applied struct {
	Accepted bool
	Policy   string
	Reasons  []string
}

// write gives the running Envoy a policy, or with DELETE that of the file again.
func (d *demo) write(t *testing.T, method, policy string, header ...string) (result applied, status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.app+"/policy", strings.NewReader(policy))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, &result); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	}
	return result, res.StatusCode
}

// allowed returns what the API allows a preflight of the app's page for PUT.
func (d *demo) allowed(t *testing.T) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, d.api+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", d.app)
	r.Header.Set("Access-Control-Request-Method", "PUT")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.Header.Get("Access-Control-Allow-Methods")
}

// TestAppliedPolicies: what the demo says of a policy that the page applies is what Envoy does.
func TestAppliedPolicies(t *testing.T) {
	d := startDemo(t)
	shipped := d.facts(t).Policy
	// Characters that a file of YAML must quote.
	more := "{\"allow_origins\": [\"" + d.app + "\"],\t\"allow_methods\": [\"PUT\", \"DELETE\"]\r\n}\n"
	const bad = `{"allow_origins": ["*"], "allow_credentials": true}`
	for _, step := range []struct {
		name, method, policy string
		accepted             bool
		reason               string // one begins with it
		serves               string
		applied              bool
		methods              string
	}{
		{"another", "POST", more, true, "", strings.TrimSpace(more), true, "PUT, DELETE"},
		{"the same", "POST", more, true, "", strings.TrimSpace(more), true, "PUT, DELETE"},
		{"bad", "POST", bad, false, `1:20 allow_origins[0]: "*" with allow_credentials`, strings.TrimSpace(more), true, "PUT, DELETE"},
		{"bad again", "POST", bad, false, `1:20 allow_origins[0]: "*" with allow_credentials`, strings.TrimSpace(more), true, "PUT, DELETE"},
		{"no JSON", "POST", "allow_origins: '*'", false, "1:1 ", strings.TrimSpace(more), true, "PUT, DELETE"},
		{"none", "POST", "", false, "1:1 ", strings.TrimSpace(more), true, "PUT, DELETE"},
		{"that of the file", "DELETE", "", true, "", shipped, false, "PUT, PATCH"},
		{"that of the file again", "DELETE", "", true, "", shipped, false, "PUT, PATCH"},
		{"another again", "POST", more, true, "", strings.TrimSpace(more), true, "PUT, DELETE"},
	} {
		got, status := d.write(t, step.method, step.policy)
		if status != 200 || got.Accepted != step.accepted || got.Policy != step.serves ||
			(step.reason != "") != slices.ContainsFunc(got.Reasons, func(r string) bool { return strings.HasPrefix(r, step.reason) && step.reason != "" }) {
			t.Errorf("%s: %d %+v", step.name, status, got)
		}
		if f := d.facts(t); f.Policy != step.serves || f.Applied != step.applied || f.Refused {
			t.Errorf("%s: facts %+v", step.name, f)
		}
		if got := d.allowed(t); got != step.methods {
			t.Errorf("%s: Envoy allows %q, want %q", step.name, got, step.methods)
		}
	}

	// An edit of the file takes over.
	text, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(text), `"PUT", "PATCH"`, `"PUT"`, 1)
	d.edit(t, edited, "Envoy serves the new policy")
	if f := d.facts(t); f.Applied || !strings.Contains(f.Policy, `"allow_methods": ["PUT"]`) {
		t.Errorf("after an edit of the file: %+v", f)
	}
	if got := d.allowed(t); got != "PUT" {
		t.Errorf("after an edit of the file Envoy allows %q", got)
	}

	for _, test := range []struct {
		name   string
		header []string
		policy string
		want   int
	}{
		{"another site", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, more, 403},
		{"a sandboxed frame", []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, more, 403},
		{"another port", []string{"Origin", d.api, "Sec-Fetch-Site", "same-site"}, more, 403},
		{"too long", nil, strings.Repeat(" ", 1<<20+1), 413},
		{"no UTF-8", nil, "\xff", 400},
	} {
		for _, method := range []string{"POST", "DELETE"} {
			if method == "DELETE" && test.header == nil {
				continue
			}
			if _, status := d.write(t, method, test.policy, test.header...); status != test.want {
				t.Errorf("%s of %s: %d, want %d", method, test.name, status, test.want)
			}
		}
	}
	if got := d.allowed(t); got != "PUT" {
		t.Errorf("after what others have sent Envoy allows %q", got)
	}
}

// A facts is what the demo says of the running Envoy.
type facts struct {
	Policy  string
	Applied bool
	Refused bool
	Reasons []string
	Bare    string
	Origins []string
}

func (d *demo) facts(t *testing.T) (f facts) {
	t.Helper()
	res, err := http.Get(d.app + "/facts")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

package policyjson_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policyjson"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

var (
	none  = 0
	every = policyjson.Policy{
		Config: cors.Config{
			Name:         "shop",
			AllowOrigins: []cors.OriginEntry{{Text: "https://<a>.test"}, {Text: `https://[a-z]+\.test`, Regex: true}},
			AllowMethods: []string{"PUT"}, AllowHeaders: []string{"X-A"}, ExposeHeaders: []string{"X-B", "X-C"},
			AllowCredentials: true, MaxAge: &none, AllowPrivateNetwork: true, ForwardUnmatchedPreflights: true,
			PreflightStatus: 200, KeepUpstreamHeaders: true, Shadow: true,
		},
		Match: match.Match{
			Hosts: []string{"a.test"}, Paths: []match.Path{{Path: "/a"}, {Path: "/b", Prefix: true}},
			Routes: []string{"r"},
		},
	}
	off = policyjson.Policy{
		Config: cors.Config{Name: "off", AllowOrigins: []cors.OriginEntry{{Text: "*"}}, Shadow: true, Off: true},
		Match:  match.Match{Hosts: []string{"b.test"}},
	}
	long = policyjson.Policy{Config: cors.Config{Name: "long", AllowOrigins: []cors.OriginEntry{
		{Text: "https://" + strings.Repeat("a", 40)}, {Text: "https://" + strings.Repeat("b", 40)},
	}}}
)

func TestDocument(t *testing.T) {
	for _, test := range []struct {
		name     string
		policies []policyjson.Policy
		want     string
	}{
		{"every field", []policyjson.Policy{every}, `{
  "policies": [
    {
      "name": "shop",
      "match": {"hosts": ["a.test"], "paths": [{"exact": "/a"}, {"prefix": "/b"}], "routes": ["r"]},
      "allow_origins": ["https://<a>.test", {"regex": "https://[a-z]+\\.test"}],
      "allow_methods": ["PUT"],
      "allow_headers": ["X-A"],
      "expose_headers": ["X-B", "X-C"],
      "allow_credentials": true,
      "max_age": 0,
      "allow_private_network": true,
      "unmatched_preflights": "forward",
      "preflight_status": 200,
      "upstream_cors_headers": "keep",
      "mode": "shadow"
    }
  ]
}
`},
		{"one for everything, with a long list", []policyjson.Policy{long}, `{
  "allow_origins": [
    "https://` + strings.Repeat("a", 40) + `",
    "https://` + strings.Repeat("b", 40) + `"
  ]
}
`},
		{"off", []policyjson.Policy{off}, `{
  "policies": [
    {
      "name": "off",
      "match": {"hosts": ["b.test"]},
      "mode": "off"
    }
  ]
}
`},
		{"no fields", []policyjson.Policy{{}, {Config: cors.Config{AllowMethods: []string{}}}}, `{
  "policies": [
    {},
    {}
  ]
}
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, policyjson.Document(test.policies)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if long.Name != "long" {
		t.Error("the policy has lost its name")
	}
}

// TestBeside: a policy beside defaults says what differs from them.
func TestBeside(t *testing.T) {
	plain := policyjson.Policy{Config: cors.Config{Name: "plain", AllowOrigins: every.AllowOrigins}}
	offToo := every.Config
	offToo.Off = true
	for _, test := range []struct {
		name     string
		policy   policyjson.Policy
		defaults cors.Config
		want     string
	}{
		{"nothing", every, cors.Config{}, policyjson.Line(every.Object())},
		{"the same", plain, plain.Config, `{"name": "plain"}`},
		{"all else", plain, every.Config, `{"name": "plain", "allow_methods": [], "allow_headers": [], "expose_headers": [], ` +
			`"allow_credentials": false, "max_age": null, "allow_private_network": false, "unmatched_preflights": "reject", ` +
			`"preflight_status": null, "upstream_cors_headers": "replace", "mode": "enforce"}`},
		{"off", policyjson.Policy{Config: cors.Config{AllowMethods: []string{"PUT"}}}, offToo,
			`{"allow_origins": [], "allow_headers": [], "expose_headers": [], "allow_credentials": false, "max_age": null, ` +
				`"allow_private_network": false, "unmatched_preflights": "reject", "preflight_status": null, ` +
				`"upstream_cors_headers": "replace", "mode": "enforce"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, policyjson.Line(test.policy.Beside(test.defaults))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestList(t *testing.T) {
	for field, want := range map[string][]string{
		"allow_origins":  {`"https://<a>.test"`, `{"regex": "https://[a-z]+\\.test"}`},
		"expose_headers": {`"X-B"`, `"X-C"`},
		"mode":           nil, "match": nil, "zzz": nil,
	} {
		if diff := cmp.Diff(want, every.List(field)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field, diff)
		}
	}
}

// TestWidth: a line has no more than a hundred bytes, with its comma, if it can be broken.
func TestWidth(t *testing.T) {
	for n := 70; n < 100; n++ {
		list := []string{strings.Repeat("a", n/2), strings.Repeat("b", n-n/2)}
		written := policyjson.Lines(policyjson.Object{{"list", list}, {"other", []policyjson.Object{{{"a", nil}}, {}}}})
		for line := range strings.Lines(written) {
			if len(line)-1 > 100 {
				t.Errorf("%d bytes in a line:\n%s", len(line)-1, written)
			}
		}
	}
}

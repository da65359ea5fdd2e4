package config_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// TestTarget: what is asked for, and that whoever is asked reads the same in it.
func TestTarget(t *testing.T) {
	for _, test := range []struct{ path, policy, host, origin, want string }{
		{"/v1/lookup", "tenants", "api.example.com", "https://app.example.com",
			"/v1/lookup?policy=tenants&host=api.example.com&origin=https%3A%2F%2Fapp.example.com"},
		{"/ask?key=1", "a_b.c-d", "[::1]:8080", "http://localhost:3000",
			"/ask?key=1&policy=a_b.c-d&host=%5B%3A%3A1%5D%3A8080&origin=http%3A%2F%2Flocalhost%3A3000"},
		{"/", "default", "a&origin=b#+ %ü", "app://~",
			"/?policy=default&host=a%26origin%3Db%23%2B%20%25%C3%BC&origin=app%3A%2F%2F~"},
		{"/", "default", "", "capacitor://LocalHost", "/?policy=default&host=&origin=capacitor%3A%2F%2FLocalHost"},
	} {
		got := (&config.OriginLookup{Path: test.path}).Target(test.policy, test.host, test.origin)
		if got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		u, err := url.ParseRequestURI(got)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		query.Del("key")
		want := url.Values{"policy": {test.policy}, "host": {test.host}, "origin": {test.origin}}
		if diff := cmp.Diff(want, query); diff != "" {
			t.Errorf("%s (-want +got):\n%s", got, diff)
		}
	}
}

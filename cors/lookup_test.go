package cors_test

import (
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// TestLookup: which origins are asked for, and what is decided by the answer.
func TestLookup(t *testing.T) {
	const own = "https://own.example"
	for _, test := range []struct {
		origin      string
		credentials bool
		asks        bool
		before      cors.Reason // without an answer
	}{
		{"https://a.example", false, true, cors.OriginNotAllowed},
		{"https://a.example", true, true, cors.OriginNotAllowed},
		{"http://a.example", false, true, cors.OriginNotAllowed},
		{"http://a.example", true, false, cors.OriginNotAllowed},
		{"http://a.localhost:3000", true, true, cors.OriginNotAllowed},
		{"http://127.0.0.1", true, true, cors.OriginNotAllowed},
		{"http://127.0.0.1.evil.example", true, false, cors.OriginNotAllowed},
		{"capacitor://localhost", true, true, cors.OriginNotAllowed},
		{own, false, false, cors.Allowed},
		{"null", false, false, cors.OriginNotAllowed},
		{"", false, false, cors.OriginMalformed},
		{"https://a.example/", false, false, cors.OriginMalformed},
		{"https://a.example, https://b.example", false, false, cors.OriginMalformed},
	} {
		policy := compile(t, cors.Config{AllowOrigins: origins(own), AllowCredentials: test.credentials, Lookup: true})
		for _, preflight := range []bool{false, true} {
			r := cors.Request{Origin: test.origin, HasOrigin: true}
			if preflight {
				r.Method, r.RequestMethod = "OPTIONS", "PUT"
			}
			check := func(asks bool, want cors.Reason) {
				t.Helper()
				if preflight && want == cors.Allowed {
					want = cors.MethodNotAllowed
				}
				d := policy.Decide(&r)
				if d.Asks() != asks || d.Reason != want {
					t.Errorf("%+v, credentials %t: asks %t, %s; want %t, %s", r, test.credentials, d.Asks(), d.Reason,
						asks, want)
				}
			}
			check(test.asks, test.before)
			for r.Lookup = cors.LookupAllows; r.Lookup <= cors.LookupOverloaded; r.Lookup++ {
				after := test.before
				if test.asks && r.Lookup == cors.LookupAllows {
					after = cors.Allowed
				}
				check(false, after)
			}
		}
		plain := compile(t, cors.Config{AllowOrigins: origins(own), AllowCredentials: test.credentials})
		d := plain.Decide(&cors.Request{Origin: test.origin, HasOrigin: true, Lookup: cors.LookupAllows})
		if d.Asks() || d.Reason != test.before {
			t.Errorf("a policy without a look-up heeds one: %s, %s", test.origin, d.Reason)
		}
	}
}

// TestLookupAlone: a policy that looks all origins up needs no list of them.
func TestLookupAlone(t *testing.T) {
	policy := compile(t, cors.Config{Lookup: true})
	d := policy.Decide(&cors.Request{Origin: "https://a.example", HasOrigin: true})
	if !policy.LooksUp() || !d.Asks() {
		t.Error("nothing is looked up")
	}
}

// TestLookupWords: what is said of an origin that isn't allowed.
func TestLookupWords(t *testing.T) {
	policy := compile(t,
		cors.Config{AllowOrigins: origins("https://own.example"), AllowCredentials: true, Lookup: true})
	for _, test := range []struct {
		origin string
		result cors.LookupResult
		want   string
	}{
		{"https://a.example", cors.NotLookedUp, "origin https://a.example is not in allow_origins"},
		{"https://a.example", cors.LookupDenies, "origin https://a.example is not in allow_origins, and the look-up says no"},
		{"https://a.example", cors.LookupFailed, "origin https://a.example is not in allow_origins, and the look-up failed"},
		{"https://a.example", cors.LookupOverloaded,
			"origin https://a.example is not in allow_origins, and too many look-ups are under way"},
		{"http://a.example", cors.NotLookedUp,
			"origin http://a.example is not in allow_origins, and plain http is not looked up where allow_credentials is set"},
		{"null", cors.NotLookedUp, "origin null is not in allow_origins"},
	} {
		d := policy.Decide(&cors.Request{Origin: test.origin, HasOrigin: true, Lookup: test.result})
		if got := d.Why(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

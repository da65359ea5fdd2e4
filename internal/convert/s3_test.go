package convert

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

func TestS3(t *testing.T) {
	testGolden(t, "s3")
	testRoundTrip(t, "s3")
}

// An s3TestRule is a rule, as S3 has it in JSON.
type s3TestRule struct{ AllowedOrigins, AllowedMethods, AllowedHeaders []string }

// allowedInS3 reports whether a page may read the answer to a request with a header, by the
// first rule that has origin, method and header.
func allowedInS3(rules []s3TestRule, r browser.Request) bool {
	origin, header := r.Origin, r.Headers[0][0]
	for _, rule := range rules {
		every := slices.Contains(rule.AllowedOrigins, "*")
		if !every && !slices.Contains(rule.AllowedOrigins, origin) || !slices.Contains(rule.AllowedMethods, r.Method) {
			continue
		}
		if slices.Contains(rule.AllowedHeaders, "*") || slices.Contains(rule.AllowedHeaders, header) {
			return !every || !r.CredentialsInclude
		}
	}
	return false
}

// TestS3NeverMore: whatever the rules, no page may do by the configuration what it may not do
// in S3: send a method, or a header, or credentials.
func TestS3NeverMore(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(of ...string) (list []string) {
		for len(list) == 0 {
			for _, one := range of {
				if random.IntN(2) == 0 {
					list = append(list, one)
				}
			}
		}
		return list
	}
	var requests []browser.Request
	for _, origin := range []string{"https://a.example", "https://b.example", "https://any.test"} {
		for _, method := range []string{"PUT", "DELETE"} {
			for _, header := range []string{"x-a", "x-b"} {
				r := browser.Request{Origin: origin, Method: method, URL: "https://bucket.example/x"}
				r.Headers = [][2]string{{header, ""}}
				requests = append(requests, r)
				r.CredentialsInclude = true
				requests = append(requests, r)
			}
		}
	}
	allowed := 0
	for range 300 {
		var rules []s3TestRule
		for range 1 + random.IntN(3) {
			rule := s3TestRule{some("https://a.example", "https://b.example"), some("PUT", "DELETE", "GET"), some("x-a", "x-b")}
			if random.IntN(6) == 0 {
				rule.AllowedOrigins = append(rule.AllowedOrigins, "*")
			}
			if random.IntN(6) == 0 {
				rule.AllowedHeaders = []string{"*"}
			}
			rules = append(rules, rule)
		}
		text, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		c, problems := config.Parse(convertText(t, "s3", "rules.json", string(text)).Configuration)
		if c == nil {
			t.Fatalf("the configuration is refused: %v", problems)
		}
		for _, r := range requests {
			if outcome(c, expected{Request: r}) != "allowed" {
				continue
			}
			if allowed++; !allowedInS3(rules, r) {
				t.Fatalf("%s: %+v is allowed", text, r)
			}
		}
	}
	if allowed < 300 {
		t.Errorf("%d requests are allowed, which says little", allowed)
	}
}

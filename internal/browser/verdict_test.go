package browser

import (
	"slices"
	"strings"
	"testing"
)

const (
	page = "https://a.example"
	api  = "https://api.example/x"
	acao = "Access-Control-Allow-Origin: "
)

// verdicts has a row for each reason. What Chromium says of them is compared with
// Chromium itself in e2e/browser.
var verdicts = []struct {
	name      string
	req       Request
	preflight *Response
	actual    *Response
	reason    BlockReason
	err       string // begins with the step
	chromium  string // name
}{
	{"nothing known", Request{Method: "PUT"}, nil, nil, "", "", ""},
	{"allowed", Request{Method: "GET"}, nil, answer(404, acao+"*"), "", "", ""},
	{"both allowed", Request{Method: "PUT"}, answer(204, acao+"*", "Access-Control-Allow-Methods: PUT"),
		answer(200, acao+page), "", "", ""},
	{"a preflight that is not needed", Request{Method: "GET"}, answer(500), answer(200, acao+"*"), "", "", ""},
	{"same origin", Request{URL: page + "/x", Method: "PUT"}, answer(500), answer(200), "", "", ""},
	{"no-cors", Request{Method: "GET", Mode: ModeNoCORS}, nil, answer(200), "", "", ""},

	{"missing", Request{Method: "GET"}, nil, answer(200), MissingAllowOrigin,
		"CORS check, step 2: no Access-Control-Allow-Origin", "MissingAllowOriginHeader"},
	{"missing in the preflight", Request{Method: "PUT"}, answer(404), nil, MissingAllowOrigin,
		"CORS check of the preflight, step 2: no Access-Control-Allow-Origin", "PreflightMissingAllowOriginHeader"},
	{"star", Request{Method: "GET", CredentialsInclude: true}, nil, answer(200, acao+"*"), WildcardWithCredentials,
		`CORS check, step 4: Access-Control-Allow-Origin is "*", which counts for no origin when the credentials mode is "include"`, "WildcardOriginNotAllowed"},
	{"two", Request{Method: "GET"}, nil, answer(200, acao+"*", acao+"*"), MultipleAllowOrigins,
		`CORS check, step 4: Access-Control-Allow-Origin is "*, *", the origin "https://a.example"`,
		"MultipleAllowOriginValues"},
	{"invalid", Request{Method: "GET"}, nil, answer(200, acao+"a.example"), InvalidAllowOrigin,
		`CORS check, step 4: Access-Control-Allow-Origin is "a.example", the origin "https://a.example"`,
		"InvalidAllowOriginValue"},
	{"mismatch", Request{Method: "GET"}, nil, answer(200, acao+"https://b.example"), AllowOriginMismatch,
		`CORS check, step 4: Access-Control-Allow-Origin is "https://b.example", the origin "https://a.example"`,
		"AllowOriginMismatch"},
	{"no credentials", Request{Method: "GET", CredentialsInclude: true}, nil, answer(200, acao+page),
		AllowCredentialsNotTrue,
		"CORS check, step 8: no Access-Control-Allow-Credentials", "InvalidAllowCredentials"},
	{"credentials", Request{Method: "GET", CredentialsInclude: true}, nil,
		answer(200, acao+page, "Access-Control-Allow-Credentials: TRUE"), AllowCredentialsNotTrue,
		`CORS check, step 8: Access-Control-Allow-Credentials is "TRUE", not "true"`, "InvalidAllowCredentials"},
	{"redirect", Request{Method: "PUT"}, answer(301, "Location: /y"), nil, PreflightRedirect,
		`CORS-preflight fetch, step 7: 301 to "/y" is a redirect, not an ok status`, "PreflightDisallowedRedirect"},
	{"status", Request{Method: "PUT"}, answer(405, acao+"*"), nil, PreflightStatus,
		"CORS-preflight fetch, step 7: 405 is not an ok status", "PreflightInvalidStatus"},
	{"methods", Request{Method: "PUT"}, answer(204, acao+"*", "Access-Control-Allow-Methods: PUT;GET"), nil,
		InvalidAllowMethods,
		`CORS-preflight fetch, step 7.3: Access-Control-Allow-Methods is not a list of tokens: "PUT;GET"`,
		"InvalidAllowMethodsPreflightResponse"},
	{"headers", Request{Method: "PUT"}, answer(204, acao+"*", "Access-Control-Allow-Headers: x y"), nil,
		InvalidAllowHeaders,
		`CORS-preflight fetch, step 7.3: Access-Control-Allow-Headers is not a list of tokens: "x y"`,
		"InvalidAllowHeadersPreflightResponse"},
	{"method", Request{Method: "put"}, answer(204, acao+"*", "Access-Control-Allow-Methods: DELETE"), nil,
		MethodNotAllowed,
		`CORS-preflight fetch, step 7.5: method "PUT" is not in Access-Control-Allow-Methods "DELETE"`,
		"MethodDisallowedByPreflightResponse"},
	{"no methods", Request{Method: "PUT"}, answer(204, acao+"*"), nil, MethodNotAllowed,
		`CORS-preflight fetch, step 7.5: method "PUT" is not allowed, for there is no Access-Control-Allow-Methods`,
		"MethodDisallowedByPreflightResponse"},
	{"header", Request{Method: "GET", Headers: lines("X-A: 1")},
		answer(204, acao+"*", "Access-Control-Allow-Headers: x-b"), nil, HeaderNotAllowed,
		`CORS-preflight fetch, step 7.7: header "x-a" is not in Access-Control-Allow-Headers "x-b"`,
		"HeaderDisallowedByPreflightResponse"},
	{"two headers", Request{Method: "GET", Headers: lines("X-B: 1", "Authorization: x", "Aa: 1")},
		answer(204, acao+"*"), nil, HeaderNotAllowed,
		`CORS-preflight fetch, step 7.7: headers ["authorization" "aa" "x-b"] are not allowed, for there is no Access-Control-Allow-Headers`, "HeaderDisallowedByPreflightResponse"},
	{"name", Request{Method: "GET", UnsafeNames: []string{"X-A"}},
		answer(204, acao+"*", "Access-Control-Allow-Headers: x-b"), nil, HeaderNotAllowed,
		`CORS-preflight fetch, step 7.7: header "x-a" is not in Access-Control-Allow-Headers "x-b"`,
		"HeaderDisallowedByPreflightResponse"},
	{"authorization", Request{Method: "GET", Headers: lines("Authorization: x")},
		answer(204, acao+"*", "Access-Control-Allow-Headers: *"), nil, AuthorizationNotListed,
		`CORS-preflight fetch, step 7.6: authorization must be listed by name, and * does not cover it: Access-Control-Allow-Headers is "*"`, ""},
	{"private network", Request{Method: "GET", PrivateNetwork: true}, answer(204, acao+"*"), nil,
		PrivateNetworkNotAllowed,
		"Private Network Access, CORS preflight: no Access-Control-Allow-Private-Network", ""},
	{"redirect with credentials", Request{Method: "GET"}, nil, answer(307, acao+"*", "Location: https://u@b.example/"),
		RedirectWithCredentials,
		`HTTP-redirect fetch: the redirect's location "https://u@b.example/" has a user name or password`,
		"RedirectContainsCredentials"},
	{"redirect without", Request{Method: "GET"}, nil, answer(307, acao+"*", "Location: https://b.example/@"), "", "",
		""},
	{"mode", Request{Method: "GET", Mode: ModeSameOrigin}, nil, nil, ForbiddenByMode,
		`main fetch: the mode is "same-origin", and the URL is of another origin`, ""},
	{"forbidden method", Request{Method: "TRACE"}, nil, nil, ForbiddenMethodName,
		`new Request: method "TRACE" is forbidden to scripts`, ""},
	{"scheme", Request{Method: "GET", URL: "ftp://a.example/", Initiator: InitiatorXHR}, nil, nil, SchemeNotHTTP,
		"main fetch: the URL's scheme is not http or https", "CorsDisabledScheme"},
}

func answer(status int, headers ...string) *Response {
	return &Response{status, lines(headers...)}
}

// https://fetch.spec.whatwg.org/#concept-main-fetch
func TestVerdict(t *testing.T) {
	left := BlockReasons()
	for _, tt := range verdicts {
		t.Run(tt.name, func(t *testing.T) {
			req := tt.req
			req.Origin = page
			if req.URL == "" {
				req.URL = api
			}
			blocked := Verdict(req, tt.preflight, tt.actual)
			if blocked == nil {
				if tt.reason != "" {
					t.Fatalf("got nothing, want %q", tt.reason)
				}
				return
			}
			if blocked.Reason != tt.reason || blocked.Error() != tt.err {
				t.Errorf("got %s,\n\t%v, want %s,\n\t%s", blocked.Reason, blocked, tt.reason, tt.err)
			}
			if preflight := tt.preflight != nil; blocked.Preflight != preflight {
				t.Errorf("it is about the preflight: %v, want %v", blocked.Preflight, preflight)
			}
			if !strings.HasPrefix(blocked.Section(), "https://") {
				t.Errorf("the section is %q", blocked.Section())
			}
			if got := Chromium(req, blocked).Name; got != tt.chromium {
				t.Errorf("Chromium calls it %q, want %q", got, tt.chromium)
			}
		})
		left = slices.DeleteFunc(left, func(r BlockReason) bool { return r == tt.reason })
	}
	if len(left) > 0 {
		t.Errorf("no row for %q", left)
	}
	if got := Chromium(Request{}, nil); got != (ChromiumError{}) {
		t.Errorf("Chromium says %q of what is not blocked", got)
	}
}

// https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
func TestExposedOfResponse(t *testing.T) {
	headers := lines("Server: a", "X-B: 1", "X-A: 1", "X-A: 2", "Content-Type: x", "Set-Cookie: a",
		"Access-Control-Expose-Headers: x-a")
	visible := []string{"Content-Type", "X-A"}
	for _, h := range headers {
		if got, want := Exposed(headers, h[0], false), slices.Contains(visible, h[0]); got != want {
			t.Errorf("%s is exposed: %v, want %v", h[0], got, want)
		}
	}
}

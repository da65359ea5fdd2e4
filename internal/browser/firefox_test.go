package browser

import "testing"

// What Firefox says of all reasons is compared with a Firefox in e2e/browser.
func TestFirefox(t *testing.T) {
	put := Request{Method: "PUT"}
	for _, test := range []struct {
		name      string
		req       Request
		preflight *Response
		actual    *Response
		want      string
	}{
		{"nothing", Request{Method: "GET"}, nil, answer(200, acao+"*"), ""},
		{"missing", Request{Method: "GET"}, nil, answer(502),
			blockedAt(api) + "(Reason: CORS header ‘Access-Control-Allow-Origin’ missing). Status code: 502."},
		{"another", Request{Method: "GET"}, nil, answer(200, acao+"https://b.example"),
			blockedAt(api) + "(Reason: CORS header ‘Access-Control-Allow-Origin’ does not match ‘https://b.example’)."},
		{"two in one line", Request{Method: "GET"}, nil, answer(200, acao+"*, *"),
			blockedAt(api) + "(Reason: CORS header ‘Access-Control-Allow-Origin’ does not match ‘*, *’)."},
		{"two lines", Request{Method: "GET"}, nil, answer(200, acao+"*", acao+"*"),
			blockedAt(api) + "(Reason: Multiple CORS header ‘Access-Control-Allow-Origin’ not allowed)."},
		{"star with credentials", Request{Method: "GET", CredentialsInclude: true}, nil, answer(200, acao+"*"),
			blockedAt("‘"+api+"’") + "(Reason: Credential is not supported if the CORS header ‘Access-Control-Allow-Origin’ is ‘*’)."},
		{"no token", put, answer(200, acao+"*", "Access-Control-Allow-Methods: PUT, A B, C;"), nil,
			blockedAt(api) + "(Reason: invalid token ‘A B’ in CORS header ‘Access-Control-Allow-Methods’)."},
		{"header", Request{Method: "GET", Headers: lines("X-A: 1")}, answer(200, acao+"*", "Access-Control-Allow-Headers: x-b"), nil,
			blockedAt(api) + "(Reason: header ‘x-a’ is not allowed according to header ‘Access-Control-Allow-Headers’ " +
				"from CORS preflight response)."},
		{"authorization, which * covers", Request{Method: "GET", Headers: lines("Authorization: x")},
			answer(200, acao+"*", "Access-Control-Allow-Headers: *"), nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.req.Origin, test.req.URL = page, api
			if got := Firefox(test.req, Verdict(test.req, test.preflight, test.actual)); got != test.want {
				t.Errorf("Firefox says\n\t%q, want\n\t%q", got, test.want)
			}
		})
	}
}

func blockedAt(url string) string {
	return "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote resource at " + url + ". "
}

package capture

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func unmarshal(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// summary is a request without headers and answers, on a line.
func summary(r Request) string {
	s := []string{r.Source, r.Method, r.URL, "of", r.Origin, "by", r.OriginFrom}
	if r.CredentialsInclude {
		s = append(s, "with credentials by", r.CredentialsFrom)
	}
	for _, field := range [][2]string{{"mode", string(r.Mode)}, {"initiator", r.Initiator},
		{"redirected from", r.RedirectedFrom}, {"error", r.Error}} {
		if field[1] != "" {
			s = append(s, field[0]+" "+field[1])
		}
	}
	if r.FromPreflight {
		s = append(s, "from a preflight")
	}
	if r.RecordedPreflight != nil {
		s = append(s, fmt.Sprint("preflight ", r.RecordedPreflight.Status))
	}
	if r.Recorded != nil {
		s = append(s, fmt.Sprint("answer ", r.Recorded.Status))
	}
	return strings.Join(s, " ")
}

// describe is all of a request that has been recorded.
func describe(r Request) string {
	headers := ""
	for _, h := range r.Headers {
		if name := strings.ToLower(h[0]); name != "accept" && name != "accept-language" {
			headers += "; " + h[0] + ": " + h[1]
		}
	}
	if r.UnsafeNames != nil {
		headers += "; names " + strings.Join(r.UnsafeNames, ",")
	}
	outcome := "passed"
	if err := r.Verdict(); err != nil {
		outcome = "failed: " + err.Error()
	} else if r.Failed() {
		outcome = "failed, not by CORS"
	}
	return summary(r) + headers + "; " + outcome
}

// testdata/chromium.har is what Chromium 156 exported ("Export HAR (sanitized)"),
// without the stacks; no entry was changed. The page has a script that makes each
// request once, and waits.
var chromiumRequests = []string{
	"log.entries[3] POST http://api.shop.example/login of http://www.shop.example by the Origin header initiator fetch error net::ERR_ABORTED answer 200; Content-Type: text/plain;charset=UTF-8; passed",
	"log.entries[5] GET http://api.shop.example/products?page=1 of http://www.shop.example by the Origin header initiator fetch answer 200; passed",
	"log.entries[6] GET http://api.shop.example/no-cors-headers of http://www.shop.example by the Origin header initiator fetch error net::ERR_FAILED answer 200; failed: CORS check, step 2: no Access-Control-Allow-Origin",
	"log.entries[8] PUT http://api.shop.example/cart of http://www.shop.example by the Origin header initiator fetch preflight 204 answer 200; Content-Type: application/json; X-Trace: abc; passed",
	"log.entries[9] DELETE http://api.shop.example/refused of http://www.shop.example by the Origin header of the preflight initiator fetch error net::ERR_FAILED preflight 403; names authorization; failed: CORS check of the preflight, step 2: no Access-Control-Allow-Origin",
	`log.entries[11] PATCH http://api.shop.example/method of http://www.shop.example by the Origin header of the preflight initiator fetch error net::ERR_FAILED preflight 204; Content-Type: application/json; failed: CORS-preflight fetch, step 7.5: method "PATCH" is not in Access-Control-Allow-Methods "PUT"`,
	`log.entries[13] GET http://api.shop.example/star of http://www.shop.example by the Origin header with credentials by the failure, for which there is no other reason initiator fetch error net::ERR_FAILED answer 200; failed: CORS check, step 4: Access-Control-Allow-Origin is "*", which counts for no origin when the credentials mode is "include"`,
	"log.entries[14] GET http://api.shop.example/error of http://www.shop.example by the Origin header initiator fetch error net::ERR_FAILED answer 503; failed: CORS check, step 2: no Access-Control-Allow-Origin",
	`log.entries[16] POST http://api.shop.example/redirect-preflight of http://www.shop.example by the Origin header of the preflight initiator fetch error net::ERR_FAILED preflight 302; Content-Type: application/json; failed: CORS-preflight fetch, step 7: 302 to "/login-page" is a redirect, not an ok status`,
	"log.entries[17] GET http://api.shop.example/redirect of http://www.shop.example by the Origin header initiator fetch answer 302; passed",
	"log.entries[18] GET http://api.shop.example/elsewhere of http://www.shop.example by the Origin header initiator fetch redirected from http://api.shop.example/redirect error net::ERR_FAILED answer 200; failed: CORS check, step 2: no Access-Control-Allow-Origin",
	"log.entries[19] GET http://down.shop.example/x of http://www.shop.example by the Referer header initiator fetch error net::ERR_CONNECTION_REFUSED; failed, not by CORS",
	"log.entries[22] GET http://api.shop.example/authorized of http://www.shop.example by the Origin header initiator fetch error net::ERR_ABORTED preflight 200 answer 200; names authorization; passed",
	"log.entries[24] POST http://api.shop.example/xhr of http://www.shop.example by the Origin header initiator XMLHttpRequest preflight 200 answer 200; Content-Type: text/plain;charset=UTF-8; X-CSRF-Token: t; passed",
	"log.entries[25] GET http://api.shop.example/font.woff2 of http://www.shop.example by the Origin header initiator font error net::ERR_FAILED answer 200; failed: CORS check, step 2: no Access-Control-Allow-Origin",
	`log.entries[27] POST http://api.shop.example/it's[1]%7Ba,b%7D! of http://www.shop.example by the Origin header initiator fetch error net::ERR_ABORTED preflight 200 answer 200; Content-Type: text/plain; X-Empty: ; X-Quote: a"b\c %PATH% & | $HOME; passed`,
	"log.entries[29] PUT http://api.shop.example/cart of http://www.shop.example by the Origin header initiator fetch answer 200; Content-Type: application/json; X-Trace: abc; passed",
}

// testdata/firefox.har is written after Firefox's har-builder.js.
var firefoxRequests = []string{
	"log.entries[1] GET https://api.example.com/v1/items of https://app.example.com by the Origin header answer 200; failed: CORS check, step 2: no Access-Control-Allow-Origin",
	"log.entries[3] PUT https://api.example.com/v1/items/1 of https://app.example.com by the Origin header with credentials by the Cookie header preflight 403; Content-Type: application/json; failed: CORS check of the preflight, step 2: no Access-Control-Allow-Origin",
	`log.entries[4] DELETE https://api.example.com/v1/items/2 of https://app.example.com by the Origin header from a preflight preflight 204; names x-requested-with; failed: CORS-preflight fetch, step 7.5: method "DELETE" is not in Access-Control-Allow-Methods "GET, PUT"`,
}

func TestFromHAR(t *testing.T) {
	for _, tt := range []struct {
		file string
		want []string
	}{
		{"testdata/chromium.har", chromiumRequests},
		{"testdata/firefox.har", firefoxRequests},
	} {
		t.Run(tt.file, func(t *testing.T) {
			data, err := os.ReadFile(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			requests, err := FromHAR(data)
			if err != nil {
				t.Fatal(err)
			}
			var got, failing []string
			for _, r := range requests {
				got = append(got, describe(r))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n\t%s,\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
			for _, r := range Failing(requests) {
				failing = append(failing, describe(r))
			}
			if want := slices.DeleteFunc(slices.Clone(tt.want),
				func(s string) bool { return strings.HasSuffix(s, "; passed") }); !slices.Equal(failing, want) {
				t.Errorf("failing\n\t%s", strings.Join(failing, "\n\t"))
			}
		})
	}
}

// harOf makes a file of entries, on one page. An entry is "METHOD URL -> status",
// the status with the error if there is one, and then header lines; those of the
// answer begin with "< ", and "type x" is the resource type.
func harOf(t *testing.T, entries ...string) []byte {
	t.Helper()
	var all []map[string]any
	for _, text := range entries {
		request, response := map[string]any{}, map[string]any{}
		e := map[string]any{"pageref": "page_1", "request": request, "response": response, "_resourceType": "fetch"}
		var requestHeaders, responseHeaders []map[string]string
		for i, line := range strings.Split(text, "\n") {
			line = strings.TrimSpace(line)
			name, value, _ := strings.Cut(strings.TrimPrefix(line, "< "), ": ")
			h := map[string]string{"name": name, "value": value}
			switch {
			case i == 0:
				var method, url, failure string
				var status int
				_, _ = fmt.Sscanf(line, "%s %s -> %d %s", &method, &url, &status, &failure) // The last may be missing.
				request["method"], request["url"], response["status"], response["_error"] = method, url, status, failure
			case strings.HasPrefix(line, "type "):
				e["_resourceType"] = strings.TrimPrefix(line, "type ")
			case strings.HasPrefix(line, "< "):
				responseHeaders = append(responseHeaders, h)
			default:
				requestHeaders = append(requestHeaders, h)
			}
		}
		request["headers"], response["headers"] = requestHeaders, responseHeaders
		all = append(all, e)
	}
	data, err := json.Marshal(map[string]any{"log": map[string]any{
		"pages": []any{map[string]string{"id": "page_1", "title": "https://app.example.com/start"}}, "entries": all,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestHAREntries(t *testing.T) {
	const origin = "Host: api.example.com\nOrigin: https://app.example.com\n"
	const preflight = "OPTIONS https://api.example.com/ -> 204\ntype preflight\nAccess-Control-Request-Method: PUT\n" +
		origin
	for _, tt := range []struct {
		name    string
		entries []string
		want    []string
	}{
		{"nothing", nil, nil},
		{"the page itself", []string{"GET https://app.example.com/start -> 200\ntype document\nHost: a"}, nil},
		{"a form", []string{"POST https://api.example.com/ -> 200\ntype document\n" + origin}, nil},
		{"same origin", []string{"POST https://app.example.com/x -> 200\n" + origin}, nil},
		{"same origin, not sent", []string{"GET https://app.example.com/x -> 0 net::ERR_FAILED"}, nil},
		{"no-cors", []string{"POST https://api.example.com/ -> 200\nSec-Fetch-Mode: no-cors\n" + origin}, nil},
		{"an image", []string{"GET https://api.example.com/ -> 0 net::ERR_FAILED\ntype image"}, nil},
		{"a WebSocket", []string{"GET wss://api.example.com/ -> 101\ntype websocket\n" + origin}, nil},
		{"an extension", []string{"GET chrome-extension://abc/x -> 200\n" + origin}, nil},
		{"null",
			[]string{"GET https://api.example.com/ -> 200\nHost: a\nOrigin: null\n< Access-Control-Allow-Origin: null"},
			[]string{"log.entries[0] GET https://api.example.com/ of null by the Origin header initiator fetch answer 200; passed"}},
		{"nothing tells but the page", []string{"GET https://api.example.com/ -> 0 net::ERR_FAILED"},
			[]string{"log.entries[0] GET https://api.example.com/ of https://app.example.com by the page's URL initiator fetch error net::ERR_FAILED; failed, not by CORS"}},
		{"from the cache",
			[]string{"GET https://api.example.com/ -> 200 net::ERR_FAILED\nReferer: https://app.example.com/"},
			[]string{"log.entries[0] GET https://api.example.com/ of https://app.example.com by the Referer header initiator fetch error net::ERR_FAILED answer 200; failed: CORS check, step 2: no Access-Control-Allow-Origin"}},
		{"aborted", []string{"GET https://api.example.com/ -> 0 net::ERR_ABORTED\nReferer: https://app.example.com/"},
			[]string{"log.entries[0] GET https://api.example.com/ of https://app.example.com by the Referer header initiator fetch error net::ERR_ABORTED; passed"}},
		{"sec-fetch-mode",
			[]string{"GET https://api.example.com/ -> 200\n:authority: api.example.com\nSec-Fetch-Mode: cors\nSec-Fetch-Site: cross-site"},
			[]string{"log.entries[0] GET https://api.example.com/ of https://app.example.com by the page's URL initiator fetch answer 200; failed: CORS check, step 2: no Access-Control-Allow-Origin"}},
		{"a preflight by a listener", []string{
			"POST https://api.example.com/ -> 200\ntype xhr\n" + origin + "< Access-Control-Allow-Origin: *",
			"OPTIONS https://api.example.com/ -> 204\ntype preflight\n" + origin +
				"Access-Control-Request-Method: POST\n< Access-Control-Allow-Origin: *",
		},
			[]string{"log.entries[0] POST https://api.example.com/ of https://app.example.com by the Origin header initiator XMLHttpRequest preflight 204 answer 200; passed"}},
		{"two at the same time", []string{
			"PUT https://api.example.com/ -> 0 net::ERR_FAILED\nX-A: 1",
			"PUT https://api.example.com/ -> 0 net::ERR_FAILED\nX-A: 2",
			preflight + "Access-Control-Request-Headers: x-a",
			preflight + "Access-Control-Request-Headers: x-a\n< Access-Control-Allow-Origin: *",
			preflight + "Access-Control-Request-Headers: x-b",
		}, []string{
			`log.entries[0] PUT https://api.example.com/ of https://app.example.com by the Origin header of the preflight initiator fetch error net::ERR_FAILED preflight 204; X-A: 1; failed: CORS-preflight fetch, step 7.5: method "PUT" is not allowed, for there is no Access-Control-Allow-Methods`,
			"log.entries[1] PUT https://api.example.com/ of https://app.example.com by the Origin header of the preflight initiator fetch error net::ERR_FAILED preflight 204; X-A: 2; failed: CORS check of the preflight, step 2: no Access-Control-Allow-Origin",
			"log.entries[4] PUT https://api.example.com/ of https://app.example.com by the Origin header from a preflight preflight 204; names x-b; failed: CORS check of the preflight, step 2: no Access-Control-Allow-Origin",
		}},
		{"headers of the browser's own", []string{
			"PUT https://api.example.com/ -> 401\n" + origin +
				"Authorization: Basic abc\nX-Extension: 1\nX-A: 1\nUpgrade-Insecure-Requests: 1\nDPR: 2\n< Access-Control-Allow-Origin: https://app.example.com\n< Access-Control-Allow-Credentials: true",
			preflight +
				"Access-Control-Request-Headers: x-a,x-lost\n< Access-Control-Allow-Origin: https://app.example.com\n< Access-Control-Allow-Credentials: true\n< Access-Control-Allow-Methods: PUT\n< Access-Control-Allow-Headers: x-a,x-lost",
		},
			[]string{"log.entries[0] PUT https://api.example.com/ of https://app.example.com by the Origin header with credentials by the Authorization header, for which the preflight did not ask initiator fetch preflight 204 answer 401; X-A: 1; names x-lost; passed"}},
		{"the cache disabled", []string{"GET https://api.example.com/ -> 200\n" + origin +
			"Cache-Control: no-cache\nPragma: no-cache\n< Access-Control-Allow-Origin: *"},
			[]string{"log.entries[0] GET https://api.example.com/ of https://app.example.com by the Origin header initiator fetch answer 200; passed"}},
		{"the page's own Cache-Control", []string{"GET https://api.example.com/ -> 200\n" + origin +
			"Cache-Control: no-cache\n< Access-Control-Allow-Origin: *"},
			[]string{"log.entries[0] GET https://api.example.com/ of https://app.example.com by the Origin header initiator fetch answer 200; Cache-Control: no-cache; passed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requests, err := FromHAR(harOf(t, tt.entries...))
			if tt.entries == nil {
				requests, err = FromHAR([]byte(`{"log": {"entries": []}}`))
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range requests {
				got = append(got, describe(r))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n\t%s,\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}

func TestFromHARErrors(t *testing.T) {
	const how = "; in the network panel of the browser's developer tools, reload the page and choose 'Save all as HAR'"
	for _, tt := range []struct{ name, data, want string }{
		{"empty", "", "1:1: this is no HAR file: unexpected end of JSON input" + how},
		{"cut off", "{\"log\": {\n  \"entries\": [", "2:14: this is no HAR file: unexpected end of JSON input" + how},
		{"HTML", "<!doctype html>", "1:1: this is no HAR file: invalid character '<' looking for beginning of value" +
			how},
		{"syntax", "{\n\"log\": {,}}",
			"2:9: this is no HAR file: invalid character ',' looking for beginning of object key string" + how},
		{"other JSON", `{"policies": []}`, "this has no log.entries, and so is no HAR file" + how},
		{"null", "\ufeffnull", "this has no log.entries, and so is no HAR file" + how},
		{"no entries", `{"log": {}}`, "this has no log.entries, and so is no HAR file" + how},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := FromHAR([]byte(tt.data)); err == nil || err.Error() != tt.want {
				t.Errorf("got\n\t%v, want\n\t%s", err, tt.want)
			}
		})
	}
	_, err := FromHAR([]byte("{\"log\": {\n  \"entries\": [\n    1]}}"))
	if err == nil || !strings.HasPrefix(err.Error(), "3:") || !strings.HasSuffix(err.Error(), how) {
		t.Errorf("wrong type: got %v", err)
	}
}

func FuzzHAR(f *testing.F) {
	// Small ones, which take less time to shrink than the files.
	f.Add([]byte(`{"log":{"entries":[{"request":{"method":"GET","url":"https://b.example","headers":[{"name":"Origin","value":"https://a.example"},{"name":"Cookie","value":"a"}]},"response":{"status":200,"headers":[{"name":"Access-Control-Allow-Origin","value":"*"}]}}]}}`))
	f.Add([]byte(`{"log":{"pages":[{"id":"p","title":"https://a.example"}],"entries":[{"pageref":"p","request":{"method":"OPTIONS","url":"https://b.example","headers":[{"name":"Access-Control-Request-Method","value":"PUT"},{"name":"Access-Control-Request-Headers","value":"x"}]},"response":{"status":204}},{"request":{"method":"PUT","url":"https://b.example","headers":[]},"response":{"status":0,"_error":"net::ERR_FAILED"}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		requests, err := FromHAR(data)
		if err != nil && !strings.Contains(err.Error(), "; ") {
			t.Errorf("%v does not say what to do", err)
		}
		for _, r := range requests {
			checkRequest(t, r)
		}
	})
}

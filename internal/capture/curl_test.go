package capture

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

func lines(ll ...string) (headers [][2]string) {
	for _, l := range ll {
		name, value, _ := strings.Cut(l, ": ")
		headers = append(headers, [2]string{name, value})
	}
	return headers
}

const (
	apiURL  = "https://api.example.com/v1/items"
	pageURL = "https://app.example.com"
)

var curls = []struct {
	name     string
	command  string
	want     Request // Source is "curl".
	warnings []string
}{
	{"plain", "curl https://api.example.com/v1/items", Request{Request: browser.Request{Method: "GET", URL: apiURL}},
		nil},
	{"Chromium, bash", `curl --url 'https://api.example.com/v1/items' \
  -X 'PUT' \
  -H 'accept: */*' \
  -H 'accept-language: en-US,en;q=0.9' \
  -H 'cache-control: no-cache' \
  -H 'content-type: application/json' \
  -b 'session=abc; theme=dark' \
  -H 'origin: https://app.example.com' \
  -H 'pragma: no-cache' \
  -H 'priority: u=1, i' \
  -H 'referer: https://app.example.com/' \
  -H 'sec-ch-ua: "Chromium";v="156", "Not?A_Brand";v="24"' \
  -H 'sec-ch-ua-mobile: ?0' \
  -H 'sec-fetch-dest: empty' \
  -H 'sec-fetch-mode: cors' \
  -H 'sec-fetch-site: same-site' \
  -H 'user-agent: Mozilla/5.0 (X11; Linux x86_64)' \
  -H 'x-trace;' \
  --data-raw $'{"name":"it\'s"}'`,
		Request{
			Request: browser.Request{
				Method: "PUT", URL: apiURL, Origin: pageURL,
				Headers: lines("accept: */*", "accept-language: en-US,en;q=0.9", "content-type: application/json",
					"x-trace: "), CredentialsInclude: true,
			},
			OriginFrom: "the Origin header", CredentialsFrom: "the Cookie header",
		}, nil},
	{"Chromium, older, with cookies as a header", `curl 'https://api.example.com/v1/items' \
  -H 'authority: api.example.com' \
  -H 'cookie: a=b' \
  -H 'origin: https://app.example.com' \
  -H 'dnt: 1' \
  --compressed`,
		Request{
			Request: browser.Request{
				Method: "GET", URL: apiURL, Origin: pageURL, Headers: lines("authority: api.example.com"),
				CredentialsInclude: true,
			},
			OriginFrom: "the Origin header", CredentialsFrom: "the Cookie header",
		}, nil},
	{"Chromium, cmd", "curl --url ^\"https://api.example.com/v1/items^\" ^\r\n" +
		"  -H ^\"content-type: application/json^\" ^\r\n" +
		"  -H ^\"origin: https://app.example.com^\" ^\r\n" +
		"  -H ^\"x-quote: a^\\^\"b^\\^\\c ^%^PATH^% ^& ^|^\" ^\r\n" +
		"  --data-raw ^\"^{^\\^\"a^\\^\":^\r\n\r\n1^}^\" &\r\ncurl ^\"https://b.example/^\"",
		Request{
			Request: browser.Request{
				Method: "POST", URL: apiURL, Origin: pageURL,
				Headers: lines("content-type: application/json", `x-quote: a"b\c %PATH% & |`),
			},
			OriginFrom: "the Origin header",
		}, []string{"only the first of several commands is looked at"}},
	{"Chromium, cmd, before carets were before quotes", "curl \"https://api.example.com/v1/items\" ^\r\n" +
		"  -H \"sec-ch-ua: ^\\^\"Chromium^\\^\";v=^\\^\"100^\\^\"\" ^\r\n" +
		"  -H \"x-a: ^{1^}\" ^\r\n" +
		"  -H \"x-b: \"\"quoted\"\" & not\"",
		Request{Request: browser.Request{Method: "GET", URL: apiURL,
			Headers: lines("x-a: {1}", `x-b: "quoted" & not`)}},
		nil},
	{"Firefox",
		`curl 'https://api.example.com/v1/items' -X DELETE -H 'User-Agent: Mozilla/5.0' -H 'Accept: */*' -H 'Accept-Language: en-US,en;q=0.5' -H 'Accept-Encoding: gzip, deflate, br, zstd' -H 'Authorization: Bearer eyJhbGciOi.secret' -H 'Origin: https://app.example.com' -H 'Connection: keep-alive' -H 'Referer: https://app.example.com/' -H 'Sec-Fetch-Dest: empty' -H 'Sec-Fetch-Mode: cors' -H 'Sec-Fetch-Site: same-site' -H 'Priority: u=4' -H 'TE: trailers'`,
		Request{
			Request: browser.Request{
				Method: "DELETE", URL: apiURL, Origin: pageURL,
				Headers: lines("Accept: */*", "Accept-Language: en-US,en;q=0.5", "Authorization: Bearer ***"),
			},
			OriginFrom: "the Origin header",
		}, nil},
	{"Firefox, brackets and escapes", `curl 'https://api.example.com/v1/items?a[]=1' \
  --globoff \
  --compressed \
  -X POST \
  -H 'Origin: https://app.example.com' \
  -H 'Content-Type: text/plain;charset=UTF-8' \
  -H $'X-Name: caf\xe9 \u00fc\041' \
  --data-raw $'a\nb'`,
		Request{
			Request: browser.Request{
				Method: "POST", URL: apiURL + "?a[]=1", Origin: pageURL,
				Headers: lines("Content-Type: text/plain;charset=UTF-8", "X-Name: caf\xe9 \u00fc!"),
			},
			OriginFrom: "the Origin header",
		}, nil},
	{"Safari", `curl 'https://api.example.com/v1/items' \
-X 'POST' \
-H 'Content-Type: application/json' \
-H 'Accept: application/json' \
-H 'Origin: https://app.example.com' \
-H 'Content-Length: 2' \
-H 'Host: api.example.com' \
-H 'User-Agent: Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15' \
-H 'Referer: https://app.example.com/' \
--data-binary '{}'`,
		Request{
			Request: browser.Request{
				Method: "POST", URL: apiURL, Origin: pageURL,
				Headers: lines("Content-Type: application/json", "Accept: application/json"),
			},
			OriginFrom: "the Origin header",
		}, nil},
	{"Postman", `curl --location --request PATCH 'https://api.example.com/v1/items' \
--header 'Content-Type: application/json' \
--header 'Authorization: Bearer {{token}}' \
--data '{
    "name": "x"
}'`,
		Request{Request: browser.Request{Method: "PATCH", URL: apiURL,
			Headers: lines("Content-Type: application/json", "Authorization: Bearer ***")}}, nil},
	{"documentation", `curl -X POST "https://api.example.com/v1/items?key=$KEY" \
  -H "X-Api-Key: ${API_KEY}" -H "X-Date: $(date)" -H "Content-Type: application/json" -d "{\"price\": \"\$5\"}"`,
		Request{
			Request: browser.Request{
				Method: "POST", URL: apiURL + "?key=$KEY",
				Headers: lines("X-Api-Key: ${API_KEY}", "X-Date: $(date)", "Content-Type: application/json"),
			},
		}, []string{
			"$KEY is taken as it stands; write its value, if it matters",
			"${API_KEY} is taken as it stands; write its value, if it matters",
			"$(…) is taken as it stands; write its value, if it matters",
		}},
	{"in a script",
		"# Delete it.\n$ sudo FOO=1 /usr/bin/curl -sSkXDELETE https://api.example.com/v1/items 2>&1 | jq . && echo done",
		Request{Request: browser.Request{Method: "DELETE", URL: apiURL}}, nil},
	{"two", "curl https://api.example.com/v1/items; curl -X PUT https://b.example",
		Request{Request: browser.Request{Method: "GET", URL: apiURL}},
		[]string{"only the first of 2 curl commands is looked at"}},
	{"next", "curl https://api.example.com/v1/items --next -X PUT https://b.example",
		Request{Request: browser.Request{Method: "GET", URL: apiURL}},
		[]string{"only the request before --next is looked at"}},
	{"a form", "curl -F file=@a.png -F 'b=c;type=text/plain' https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "POST", URL: apiURL,
			Headers: lines("Content-Type: multipart/form-data")}}, nil},
	{"data", "curl -d a=b --data-urlencode 'c= d' https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "POST", URL: apiURL,
			Headers: lines("Content-Type: application/x-www-form-urlencoded")}}, nil},
	{"data without a type", "curl -d a=b -H 'Content-Type:' https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "POST", URL: apiURL}}, nil},
	{"data in a query", "curl -G -d a=b -d c https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "GET", URL: apiURL + "?a=b&c"}}, nil},
	{"JSON", "curl --json '{}' -H 'accept: */*' --url=https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "POST", URL: apiURL,
			Headers: lines("accept: */*", "Content-Type: application/json")}}, nil},
	{"head", "curl -I https://api.example.com/v1/items", Request{Request: browser.Request{Method: "HEAD", URL: apiURL}},
		nil},
	{"upload", "curl -T - https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "PUT", URL: apiURL}}, nil},
	{"user", "curl -u user:password -A me -e https://app.example.com/x https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "GET", URL: apiURL, Origin: pageURL,
			Headers: lines("Authorization: Basic ***")}, OriginFrom: "the Referer header"}, nil},
	{"bearer", "curl --oauth2-bearer token https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "GET", URL: apiURL, Headers: lines("Authorization: Bearer ***")}},
		nil},
	{"range", "curl -r 0-99 https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "GET", URL: apiURL, Headers: lines("Range: bytes=0-99")}}, nil},
	{"an abbreviation, and a negation",
		"curl --insec -X PUT --no-progress-meter --no-buffer -o /dev/null -- https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "PUT", URL: apiURL}}, nil},
	{"no scheme", "curl localhost:8080/x",
		Request{Request: browser.Request{Method: "GET", URL: "http://localhost:8080/x"}},
		[]string{"the URL has no scheme, for which curl takes http: http://localhost:8080/x"}},
	{"globs", `curl 'https://{a,b}.example/[1-3]' https://b.example`,
		Request{Request: browser.Request{Method: "GET", URL: "https://{a,b}.example/[1-3]"}}, []string{
			"only the first of 2 URLs is looked at",
			"curl makes several URLs of https://{a,b}.example/[1-3]; it is taken as it stands"}},
	{"files", "curl -K conf -H @headers -H broken https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "GET", URL: apiURL}}, []string{
			"the file of -K conf is not read; write what it has into the command",
			"the headers in the file of -H @headers are not read; write them into the command",
			`-H "***" is no header, and curl does not send it; write name: value`}},
	{"a font",
		`curl 'https://api.example.com/v1/items' -H 'origin: https://app.example.com' -H 'sec-fetch-dest: font' -H 'sec-fetch-mode: cors'`,
		Request{Request: browser.Request{Method: "GET", URL: apiURL, Origin: pageURL, Initiator: "font"},
			OriginFrom: "the Origin header"}, nil},
	{"no-cors",
		`curl 'https://api.example.com/v1/items' -H 'referer: https://app.example.com/' -H 'sec-fetch-dest: image' -H 'sec-fetch-mode: no-cors' -H 'sec-fetch-storage-access: active'`,
		Request{
			Request: browser.Request{
				Method: "GET", URL: apiURL, Origin: pageURL, Initiator: "image", Mode: browser.ModeNoCORS,
				CredentialsInclude: true,
			},
			OriginFrom: "the Referer header", CredentialsFrom: "the Sec-Fetch-Storage-Access header",
		}, nil},
	{"a preflight", `curl -i -X OPTIONS https://api.example.com/v1/items -H 'Origin: https://app.example.com' \
  -H 'Access-Control-Request-Method: PUT' -H 'Access-Control-Request-Headers: content-type, X-Trace,,x-trace'`,
		Request{
			Request: browser.Request{
				Method: "PUT", URL: apiURL, Origin: pageURL, UnsafeNames: []string{"content-type", "x-trace"},
			},
			OriginFrom: "the Origin header", FromPreflight: true,
		}, nil},
	{"OPTIONS", "curl -X OPTIONS https://api.example.com/v1/items",
		Request{Request: browser.Request{Method: "OPTIONS", URL: apiURL}}, nil},
}

func TestFromCurl(t *testing.T) {
	for _, tt := range curls {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := FromCurl(tt.command)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Source = "curl"
			same(t, got, tt.want)
			if !slices.Equal(warnings, tt.warnings) {
				t.Errorf("warnings\n\t%q, want\n\t%q", warnings, tt.warnings)
			}
		})
	}
}

func same(t *testing.T, got, want Request) {
	t.Helper()
	if !slices.Equal(got.Headers, want.Headers) {
		t.Errorf("headers\n\t%q, want\n\t%q", got.Headers, want.Headers)
	}
	if !slices.Equal(got.UnsafeNames, want.UnsafeNames) {
		t.Errorf("names %q, want %q", got.UnsafeNames, want.UnsafeNames)
	}
	got.Headers, want.Headers, got.UnsafeNames, want.UnsafeNames = nil, nil, nil, nil
	if g, w := summary(got), summary(want); g != w {
		t.Errorf("got\n\t%s, want\n\t%s", g, w)
	}
}

func TestFromCurlErrors(t *testing.T) {
	for _, tt := range []struct{ name, command, want string }{
		{"empty", " \n", "the command is empty; copy a request with 'Copy as cURL'"},
		{"another command", "wget https://a.example", "no curl command in this; copy a request with 'Copy as cURL'"},
		{"another command, cmd", "wget ^\"https://a.example^\"",
			"no curl command in this; copy a request with 'Copy as cURL'"},
		{"no URL", "curl -X PUT", "the command has no URL; copy the whole command"},
		{"cut off", "curl -X", "-X has no argument; copy the whole command"},
		{"not closed", "curl 'https://a.example",
			"a shell does not read this: 1:6: reached EOF without closing quote `'`; copy the whole command, with 'Copy as cURL (bash)'"},
		{"unknown", "curl --frobnicate https://a.example",
			"curl has no option --frobnicate; check the command, or leave it out"},
		{"unclear", "curl --re https://a.example", "curl has no option --re; check the command, or leave it out"},
		{"unknown letter", "curl -s@ https://a.example", "curl has no option -@; check the command, or leave it out"},
		{"no host", "curl https://",
			`"https://" is not a URL; write scheme, host and path, such as https://api.example.com/v1`},
		{"fetch", `fetch("https://a.example", {"method": "GET"});`,
			"this is a call of fetch(), not a curl command; choose 'Copy as cURL' instead of 'Copy as fetch'"},
		{"PowerShell", `Invoke-WebRequest -Uri "https://a.example"`,
			"this is for PowerShell, not a curl command; choose 'Copy as cURL (bash)' or 'Copy as cURL (cmd)'"},
		{"PowerShell's curl", "curl -X PUT `\n https://a.example",
			"this is for PowerShell, not a curl command; choose 'Copy as cURL (bash)' or 'Copy as cURL (cmd)'"},
		{"long", "curl -d '" + strings.Repeat("a", maxCommand) + "'",
			"the command has 131082 bytes; leave its body out, which makes no difference to CORS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := FromCurl(tt.command); err == nil || err.Error() != tt.want {
				t.Errorf("got\n\t%v, want\n\t%s", err, tt.want)
			}
		})
	}
}

// The commands that Chromium 156 copies of each entry of testdata/chromium.har,
// for bash and for cmd, say the same.
func TestChromiumCurls(t *testing.T) {
	read := func(name string) []string {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(data), "\n====\n")
	}
	bash, cmd := read("chromium-bash.txt"), read("chromium-cmd.txt")
	var file har
	unmarshal(t, "testdata/chromium.har", &file)
	entries := *file.Log.Entries
	if len(bash) != len(entries) || len(cmd) != len(entries) {
		t.Fatalf("%d, %d commands, %d entries", len(bash), len(cmd), len(entries))
	}
	for i, e := range entries {
		want := Request{Request: browser.Request{Method: e.Request.Method, URL: e.Request.URL}, Source: "curl"}
		want.setHeaders(pairs(e.Request.Headers))
		for _, command := range []string{bash[i], cmd[i]} {
			got, warnings, err := FromCurl(command)
			if err != nil || warnings != nil {
				t.Fatalf("%v, %q in\n%s", err, warnings, command)
			}
			// The file was made to be shown, and has neither cookies nor tokens.
			got.CredentialsInclude, got.CredentialsFrom = false, ""
			got.Headers = slices.DeleteFunc(got.Headers,
				func(h [2]string) bool { return strings.EqualFold(h[0], "authorization") })
			same(t, got, want)
			if t.Failed() {
				t.Fatal(command)
			}
		}
	}
}

// Whatever is nested in it, the command does not end the program by a stack that is
// too large, and the error is not as long as the command.
func TestNestedCurl(t *testing.T) {
	t.Parallel()
	for _, nest := range []string{"$(", "{ ", "`", "$((", "${a:-", "<(", "\"$(", "if ", "[[ (", "a=("} {
		t.Run(nest, func(t *testing.T) {
			t.Parallel()
			_, _, err := FromCurl("curl " + strings.Repeat(nest, (maxCommand-10)/len(nest)))
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestAgainstCurl runs the commands in bash with curl itself, and compares what a
// server gets with what was read.
func TestAgainstCurl(t *testing.T) {
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatal(err) // make test installs curl; bash is essential
		}
	}
	received := make(chan *http.Request, 1)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case received <- r:
		default:
		}
	})
	servers := map[string]*httptest.Server{"http": httptest.NewServer(handler), "https": httptest.NewTLSServer(handler)}
	for _, server := range servers {
		defer server.Close()
	}
	for _, tt := range curls {
		// Not for bash, not for one request, or not for the version that is here.
		if tt.warnings != nil || strings.Contains(tt.command, "^") || strings.Contains(tt.command, "sudo") ||
			strings.Contains(tt.command, "--url=") {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			want, _, err := FromCurl(tt.command)
			if err != nil {
				t.Fatal(err)
			}
			scheme, _, _ := strings.Cut(want.URL, ":")
			script := fmt.Sprintf("curl() { command curl -k -s --http1.1 --max-time 10 --connect-to ::%s \"$@\"; }\n%s",
				servers[scheme].Listener.Addr(), tt.command)
			bash := exec.CommandContext(t.Context(), "bash", "-c", script)
			bash.Dir = t.TempDir()
			if err := os.WriteFile(bash.Dir+"/a.png", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := bash.CombinedOutput() // HEAD and the like may end in an error.
			var got *http.Request
			select {
			case got = <-received:
			default:
				t.Fatalf("no request: %v\n%s", err, out)
			}
			compare(t, got, want)
		})
	}
}

// compare compares a request that a server got with what was read. curl's own
// Accept is no header of the page.
func compare(t *testing.T, got *http.Request, want Request) {
	t.Helper()
	sent := Request{Request: browser.Request{Method: got.Method, URL: want.URL}, Source: want.Source}
	var all [][2]string
	for name, values := range got.Header {
		for _, value := range values {
			if name != "Accept" || value != "*/*" {
				all = append(all, [2]string{name, value})
			}
		}
	}
	sent.setHeaders(all)
	sent.Initiator = want.Initiator
	if !strings.HasSuffix(want.URL, got.RequestURI) {
		t.Errorf("URL %s, want %s", got.RequestURI, want.URL)
	}
	normal := func(headers [][2]string) (normal [][2]string) {
		for _, h := range headers {
			value, _, _ := strings.Cut(h[1], "; boundary=")
			if name := strings.ToLower(h[0]); name != "accept" || value != "*/*" {
				normal = append(normal, [2]string{name, value})
			}
		}
		slices.SortFunc(normal, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
		return normal
	}
	sent.Headers, want.Headers = normal(sent.Headers), normal(want.Headers)
	same(t, sent, want)
}

func FuzzCurl(f *testing.F) {
	for _, tt := range curls {
		f.Add(tt.command)
	}
	f.Fuzz(func(t *testing.T, command string) {
		req, _, err := FromCurl(command)
		if err == nil && req.URL == "" {
			t.Error("no URL")
		}
		checkRequest(t, req)
	})
}

// checkRequest asks a request all that there is to ask.
func checkRequest(t *testing.T, r Request) {
	t.Helper()
	req := r.Sent()
	if (req.Preflight() != nil) != (len(req.PreflightReasons()) > 0) {
		t.Errorf("preflight %q, reasons %q", req.Preflight(), req.PreflightReasons())
	}
	if err := r.Verdict(); err != nil && !r.Failed() && !aborted(r.Error) {
		t.Errorf("it did not fail: %v", err)
	}
	_ = browser.Chromium(req, r.Verdict())
}

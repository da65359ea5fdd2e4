package capture

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/fetch"
)

// TestMaskURL: what of a URL may be a secret isn't shown.
func TestMaskURL(t *testing.T) {
	for url, want := range map[string]string{
		"":                                 "",
		"https://api.example/v1":           "https://api.example/v1",
		"https://api.example?":             "https://api.example?",
		"https://api.example/?a=s&b=s;c=s": "https://api.example/?a=***&b=***;c=***",
		"https://api.example/?s":           "https://api.example/?***",
		"https://api.example/?a=&&=s":      "https://api.example/?a=&&=***",
		"https://api.example/?a=x=s/?s":    "https://api.example/?a=***",
		"https://u:s@api.example/@x":       "https://***@api.example/@x",
		"https://u@s@api.example":          "https://***@api.example",
		`https:\\u:s@api.example\x`:        `https:\\***@api.example\x`,
		"u:s@api.example/x":                "***@api.example/x",
		"//u:s@api.example":                "//***@api.example",
		"/x?t=s#s":                         "/x?t=***",
		"https://app.example/#t=s":         "https://app.example/",
	} {
		if got := MaskURL(url); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

// TestMask: of headers only the names are left, but where the value decides.
func TestMask(t *testing.T) {
	r := fetch.Request{
		URL: "https://api.example/?t=s", RedirectedFrom: "https://u:s@b.example/",
		Headers: lines("X-Api-Key: s", "Authorization: Bearer s", "X-Empty: ", "Content-Type: application/json", "accept: */*", "Range: bytes=0-"),
	}
	got := Mask(r)
	if got.URL != "https://api.example/?t=***" || got.RedirectedFrom != "https://***@b.example/" || r.Headers[0][1] != "s" {
		t.Errorf("got %+v of %+v", got, r)
	}
	want := lines("X-Api-Key: ***", "Authorization: ***", "X-Empty: ", "Content-Type: application/json", "accept: */*", "Range: bytes=0-")
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(r.Preflight(), got.Preflight()); diff != "" {
		t.Errorf("another preflight (-want +got)\n%s", diff)
	}
}

// TestNoSecretsInMessages: what is said about a curl command has no secret of it.
func TestNoSecretsInMessages(t *testing.T) {
	const origin = " -H 'Origin: https://app.example'"
	for name, command := range map[string]string{
		"no header":        "curl https://api.example/ -H 'X-Api-Key=SECRET'" + origin,
		"nothing like one": "curl https://api.example/ -H SECRET" + origin,
		"no URL":           "curl 'https://a b/?t=SECRET'" + origin,
		"no scheme":        "curl 'api.example/?t=SECRET'" + origin,
		"several":          "curl 'https://api.example/{a,b}?t=SECRET'" + origin,
		"user name":        "curl https://u:SECRET@api.example/" + origin,
		"unknown option":   "curl --foo=SECRET https://api.example/" + origin,
		"an expansion":     `curl https://api.example/ -H "X-Api-Key: ${KEY:-SECRET}"` + origin,
		"a command":        `curl https://api.example/ -H "X-Api-Key: $(echo SECRET)"` + origin,
	} {
		r, warnings, err := FromCurl(command)
		said := strings.Join(warnings, "\n")
		if err != nil {
			said += err.Error()
		} else if err := CheckURL(r.URL); err != nil {
			said += err.Error()
		}
		if said == "" || strings.Contains(said, "SECRET") {
			t.Errorf("%s: says %q", name, said)
		}
	}
}

// TestSentOrigin: browsers normalize the origins of the web, and apps have their own.
func TestSentOrigin(t *testing.T) {
	for given, want := range map[string]string{
		"null":                               "null",
		"HTTPS://App.example:443/x?y":        "https://app.example",
		"blob:https://app.example/1":         "https://app.example",
		"file:///x/y.html":                   "null",
		"data:text/html,x":                   "null",
		"file://":                            "file://",
		"capacitor://localhost":              "capacitor://localhost",
		"capacitor://localhost/index.html?x": "capacitor://localhost",
		"ionic://localhost":                  "ionic://localhost",
		"tauri://localhost":                  "tauri://localhost",
		"app://-":                            "app://-",
		"app://.":                            "app://.",
		"chrome-extension://abc/page.html":   "chrome-extension://abc",
		"safari-web-extension://140BB581-/x": "safari-web-extension://140BB581-",
	} {
		if got, err := SentOrigin(given); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", given, got, err, want)
		}
	}
	if got, err := SentOrigin("https://"); err == nil {
		t.Errorf("got %s of no origin", got)
	}
}

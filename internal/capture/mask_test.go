package capture

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
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
		// Tokens in the path.
		"https://api.example/v1/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzIn0.c2ln/me":      "https://api.example/v1/***/me",
		"https://api.example/reset/9f86d081884c7d659a2feaa0c55ad015?x":             "https://api.example/reset/***?***",
		"https://hooks.example/services/T00000000/B00000000/XXXX1XXXXXXX9XXXXXXXX": "https://hooks.example/services/T00000000/B00000000/***",
		"https://u:s@api.example/bot123456:ABC-DEF1234ghIkl-zyx57W2v1u/getMe":      "https://***@api.example/***/getMe",
		"https://api.example/invite/6f1a6a9e-1c1d-4b3e-9a52-0f0a2f6c5f11":          "https://api.example/invite/***",
		"https://api.example/a;jsessionid=s/b;v=1;x":                               "https://api.example/a;jsessionid=***/b;v=***;***",
		"https://api.example/package.service.v1.SomeLongServiceName/GetSomething":  "https://api.example/package.service.v1.SomeLongServiceName/GetSomething",
		"https://api.example/a-rather-long-name-of-a-resource/orders/20260101":     "https://api.example/a-rather-long-name-of-a-resource/orders/20260101",
		"/x/9f86d081884c7d659a2feaa0c55ad015":                                      "/x/***",
	} {
		if got := MaskURL(url); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

// TestStem: a policy that is suggested matches no token.
func TestStem(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/v1/orders": "/v1/orders", "/v1/": "/v1/",
		"/v1/reset/9f86d081884c7d659a2feaa0c55ad015":   "/v1/reset",
		"/v1/reset/9f86d081884c7d659a2feaa0c55ad015/x": "/v1/reset",
		"/9f86d081884c7d659a2feaa0c55ad015":            "/",
		"/v1/a;s=1":                                    "/v1",
		"/v1/***81884c7d659a2feaa0c55ad015":            "/v1",
		"/v1/a;s=":                                     "/v1/a;s=",
	} {
		if got := Stem(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// TestMask: of headers only the names are left, but where the value decides.
func TestMask(t *testing.T) {
	r := browser.Request{
		URL: "https://api.example/?t=s", RedirectedFrom: "https://u:s@b.example/",
		Headers: lines("X-Api-Key: s", "Authorization: Bearer s", "X-Empty: ", "Content-Type: application/json",
			"accept: */*", "Range: bytes=0-"),
	}
	got := Mask(r)
	if got.URL != "https://api.example/?t=***" || got.RedirectedFrom != "https://***@b.example/" ||
		r.Headers[0][1] != "s" {
		t.Errorf("got %+v of %+v", got, r)
	}
	want := lines("X-Api-Key: ***", "Authorization: ***", "X-Empty: ", "Content-Type: application/json", "accept: */*",
		"Range: bytes=0-")
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

// regexes are what the parts of a URL are, said in another way.
var (
	authorityRE = regexp.MustCompile(`(?s)^((?:[^:]*:[/\\])?[/\\]*)([^/\\]*)(.*)$`)
	segmentRE   = regexp.MustCompile(`[^/\\]+`)
	tokenRE     = regexp.MustCompile(`(?s)^eyJ|[0-9].*[0-9]`)
	lettersRE   = regexp.MustCompile(`(?s)^eyJ|[A-Za-z].*[A-Za-z]`)
	longRE      = regexp.MustCompile(`(?s)^eyJ|^.{20}`)
)

// TestPartsOfURLs: URLs are taken apart as regular expressions say, which would be too slow.
func TestPartsOfURLs(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 7))
	const alphabet = `a0Z9:/\@;&?=.%eyJ-`
	tokens := 0
	for range 200_000 {
		b := make([]byte, random.IntN(40))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		url := string(b)
		before, authority, path := atAuthority(url)
		if want := authorityRE.FindStringSubmatch(url)[1:]; !slices.Equal(want, []string{before, authority, path}) {
			t.Fatalf("%q is %q, %q, %q, want %q", url, before, authority, path, want)
		}
		var parts []string
		same := eachPart(url, slashes, func(part string) string {
			parts = append(parts, part)
			return part
		})
		if want := segmentRE.FindAllString(url, -1); same != url || !slices.Equal(want, parts) {
			t.Fatalf("%q has the segments %q, want %q, and becomes %q", url, parts, want, same)
		}
		want := tokenRE.MatchString(url) && lettersRE.MatchString(url) && longRE.MatchString(url)
		if looksLikeToken(url) != want {
			t.Fatalf("%q is a token: %t", url, !want)
		}
		if want {
			tokens++
		}
	}
	if tokens < 10_000 {
		t.Errorf("only %d tokens: the test says little", tokens)
	}
}

// BenchmarkMaskURL masks URLs of 5 MB, in the time that their bytes take.
func BenchmarkMaskURL(b *testing.B) {
	const size = 5 << 20
	for name, url := range map[string]string{
		"a segment":  "https://api.example/" + strings.Repeat("a", size),
		"segments":   "https://api.example/" + strings.Repeat("a1/", size/3),
		"parameters": "https://api.example/?" + strings.Repeat("a=b&", size/4),
		"authority":  strings.Repeat("u:", size/2) + "@api.example/",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(url)))
			for b.Loop() {
				MaskURL(url)
			}
		})
	}
}

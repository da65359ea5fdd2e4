package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

func TestSpring(t *testing.T) {
	testGolden(t, "spring")
	testRoundTrip(t, "spring")
}

// TestSpringProfiles: of several profiles none is chosen.
func TestSpringProfiles(t *testing.T) {
	const document = "spring: {profiles: %s, cloud: {gateway: {globalcors: {corsConfigurations: {'[/**]': {allowedOrigins: '*'}}}}}}"
	text := strings.ReplaceAll(document, "%s", "dev") + "\n---\n" + strings.ReplaceAll(document, "%s", "prod")
	result := convertText(t, "spring", "application.yaml", text)
	checkResult(t, result)
	if result.Configuration != "" || !strings.Contains(lines(result), "give a file with the documents of one profile alone") {
		t.Errorf("%s%s", result.Configuration, lines(result))
	}
	if from, _, err := Recognize(convertedFile(t, "application.yaml", text)); from != "spring" {
		t.Errorf("it is recognized as %q, %v", from, err)
	}
}

// TestSpringOrder: whatever the patterns and their order, a request gets the first configuration
// that matches its path, as in Spring.
func TestSpringOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	patterns := []string{"/**", "/a", "/a/**", "/a/b", "/a/b/**", "/c/{*rest}"}
	matches := func(pattern, path string) bool {
		prefix, _, isPrefix := strings.Cut(pattern, "/**")
		if rest, _, found := strings.Cut(pattern, "/{*"); found {
			prefix, isPrefix = rest, true
		}
		return path == prefix || isPrefix && strings.HasPrefix(path, prefix+"/")
	}
	for range 300 {
		text := "spring: {cloud: {gateway: {globalcors: {corsConfigurations: {"
		order := random.Perm(len(patterns))[:1+random.IntN(4)]
		for _, i := range order {
			text += fmt.Sprintf(`"[%s]": {allowedOrigins: "https://%d.test", allowedMethods: PUT, allowCredentials: true}, `,
				patterns[i], i%2)
		}
		result := convertText(t, "spring", "application.yaml", text+"}}}}}")
		c, problems := config.Parse(result.Configuration)
		if c == nil {
			t.Fatalf("the configuration is refused: %v", problems)
		}
		for _, path := range []string{"/", "/a", "/a/", "/ab", "/a/b", "/a/b/c", "/a/x", "/c", "/c/d"} {
			first := slices.IndexFunc(order, func(i int) bool { return matches(patterns[i], path) })
			for origin := range 2 {
				want := "untouched"
				if first >= 0 {
					want = map[bool]string{true: "allowed", false: "blocked"}[order[first]%2 == origin]
				}
				r := browser.Request{Method: "PUT", URL: "https://x.example" + path, CredentialsInclude: true}
				r.Origin = fmt.Sprintf("https://%d.test", origin)
				if got := outcome(c, expected{Request: r}); got != want {
					t.Fatalf("%s of %s is %s, want %s:\n%s\n%s", path, r.Origin, got, want, text, result.Configuration)
				}
			}
		}
	}
}

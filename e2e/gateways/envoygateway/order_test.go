package envoygateway

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// TestFilterOrder: cors.yaml moves Wasm before each filter that Envoy Gateway puts before it,
// from the last to the first, as an entry undoes what those after it did. The order is read
// in Envoy Gateway's source, so that a filter of a new version is noticed.
func TestFilterOrder(t *testing.T) {
	const folder = "envoy.filters.http."
	names := map[string]string{} // the filters, by their constants
	source := read(t, filepath.Join(os.Getenv(sourceVariable), "api/v1alpha1/envoyproxy_types.go"))
	for _, m := range regexp.MustCompile(`(EnvoyFilter\w+) EnvoyFilter = "([\w.]+)"`).
		FindAllStringSubmatch(source, -1) {
		names[m[1]] = m[2]
	}
	order := map[string]int{}
	source = read(t, filepath.Join(os.Getenv(sourceVariable), "internal/xds/translator/httpfilters.go"))
	for _, m := range regexp.MustCompile(`egv1a1\.(EnvoyFilter\w+)\):(?s:\s+//[^\n]*)*\s+order = (\d+)`).
		FindAllStringSubmatch(source, -1) {
		order[names[m[1]]], _ = strconv.Atoi(m[2])
	}
	if len(order) < 27 || len(order) != len(names) {
		t.Fatalf("the source has places of %d filters, and names of %d", len(order), len(names))
	}
	var want []string
	for name, place := range order {
		if place < order[folder+"wasm"] {
			want = append(want, name)
		}
	}
	slices.SortFunc(want, func(a, b string) int { return cmp.Compare(order[b], order[a]) })
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^  - \{name: envoy\.filters\.http\.wasm, before: ([\w.]+)\}$`).
		FindAllStringSubmatch(read(t, "../../../deploy/envoy-gateway/cors.yaml"), -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("deploy/envoy-gateway/cors.yaml moves Wasm before\n%q, want\n%q", got, want)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

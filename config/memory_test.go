package config_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// list writes n elements, separated by commas.
func list(b *strings.Builder, n int, element func(i int)) {
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		element(i)
	}
}

// manyOrigins is a policy of n origins.
func manyOrigins(n int) string {
	var b strings.Builder
	b.WriteString(`{"allow_origins":[`)
	list(&b, n, func(i int) { fmt.Fprintf(&b, `"https://a%06d-1.example"`, i) })
	b.WriteString(`]}`)
	return b.String()
}

// inheriting are n policies by host and path that inherit their lists.
func inheriting(n int) string {
	var b strings.Builder
	b.WriteString(`{"defaults":{"allow_origins":["https://a.example","https://b.example","https://*.c.example"],"allow_methods":["GET","PUT","DELETE"],` +
		`"allow_headers":["content-type","x-requested-with","authorization"],"expose_headers":["x-request-id"],"max_age":600,"allow_credentials":true},"policies":[`)
	list(&b, n, func(i int) {
		fmt.Fprintf(&b, `{"name":"tenant-%d","match":{"hosts":["t%d.example.com"],"paths":[{"prefix":"/v%d"}]}}`, i, i,
			i%7)
	})
	b.WriteString(`]}`)
	return b.String()
}

// tenants are n policies of k origins each.
func tenants(n, k int) string {
	var b strings.Builder
	b.WriteString(`{"policies":[`)
	list(&b, n, func(i int) {
		fmt.Fprintf(&b,
			`{"name":"tenant-%d","match":{"hosts":["t%d.example.com"]},"allow_methods":["GET","PUT"],"allow_origins":[`,
			i, i)
		list(&b, k, func(j int) { fmt.Fprintf(&b, `"https://o%d.t%d.example"`, j, i) })
		b.WriteString(`]}`)
	})
	b.WriteString(`]}`)
	return b.String()
}

// allocate tells how many bytes a function allocates, and how many of them live on with
// what it returns.
func allocate(f func() any) (total, live uint64) {
	var before, after, rest runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := f()
	runtime.ReadMemStats(&after)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&rest)
	runtime.KeepAlive(kept)
	return after.TotalAlloc - before.TotalAlloc, max(rest.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
}

// TestMemory: what documents allocate that are near the limits of what people have.
func TestMemory(t *testing.T) {
	for _, test := range []struct {
		name, doc        string
		allocated, lives float64 // MB, at the most
	}{
		{"100,000 origins", manyOrigins(100_000), 5, 5},
		{"10,000 policies by host and path that inherit", inheriting(10_000), 9, 4},
		{"10,000 policies of 10 origins each", tenants(10_000, 10), 19, 9},
		{"20 policies of a name repeated 8,000 times", repeated(20), 28, 1},
	} {
		total, live := allocate(func() any {
			c, problems := config.Parse(test.doc)
			if c == nil {
				t.Fatal(problems)
			}
			return c
		})
		t.Logf("%s: of %.1f MB; allocates %.1f MB, of which %.1f MB live", test.name, float64(len(test.doc))/1e6,
			float64(total)/1e6, float64(live)/1e6)
		if float64(total)/1e6 > test.allocated || float64(live)/1e6 > test.lives {
			t.Errorf("%s: want at most %g MB, of which %g MB live", test.name, test.allocated, test.lives)
		}
	}
}

// repeated are n policies with a list of methods, and one of headers, that have a name again
// and again.
func repeated(n int) string {
	var b strings.Builder
	b.WriteString(`{"defaults":{"allow_origins":["https://a.example"]},"policies":[`)
	list(&b, n, func(i int) {
		fmt.Fprintf(&b, `{"name":"p%d","match":{"routes":["r%d"]}`, i, i)
		for _, field := range []string{"allow_methods", "allow_headers"} {
			fmt.Fprintf(&b, `,"%s":[`, field)
			list(&b, 8000, func(int) { b.WriteString(`"x"`) })
			b.WriteString(`]`)
		}
		b.WriteString(`}`)
	})
	b.WriteString(`]}`)
	return b.String()
}

// TestLargest: the longest documents, accepted or refused, allocate no more than a
// worker's VM has room for beside what serves.
func TestLargest(t *testing.T) {
	for name, doc := range cases.Largest(config.MaxSize) {
		var accepted bool
		var problems []config.Problem
		total, live := allocate(func() any {
			var c *config.Document
			c, problems = config.Parse(doc)
			accepted = c != nil
			return c
		})
		first := ""
		if len(problems) > 0 {
			first = problems[len(problems)-1].Error()
		}
		t.Logf("%-40s accepted %-5t allocates %4d MiB, of which %3d MiB live; %.100s", name, accepted, total>>20,
			live>>20, first)
		if total > 5*config.MaxMemory/4 || live > config.MaxMemory {
			t.Errorf("%s: allocates %d MiB, of which %d MiB live", name, total>>20, live>>20)
		}
		if len(problems) > cors.MaxProblems+1 {
			t.Errorf("%s: %d problems are described", name, len(problems))
		}
	}
}

package config_test

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// TestKeepsNothingOfTheDocument overwrites a document after it has been read: in the
// module its memory is the host's, and is used again with the next callback.
func TestKeepsNothingOfTheDocument(t *testing.T) {
	paths := each(6, func(i int) string { return fmt.Sprintf(`{"prefix":"/shared%d/"}`, i) })
	hosts := each(6, text("h%d.test"))
	memory := []byte(`{"policy_source":{"cluster":"c1","path":"/p1","authority":"a1"},
		"defaults":{"allow_origins":["https://d.test","https://*.d.test:*"],"expose_headers":["X-Exposed"]},
		"policies":[
		{"name":"few","match":{"hosts":["few.test","*.sub.test"],"paths":[{"exact":"/exact"},{"prefix":"/prefix"}],"routes":["route"]},
			"allow_methods":["PUT","PURGE"],"allow_headers":["X-Asked","x-lower"]},
		{"name":"many","allow_origins":` + each(20, text("https://o%d.test")) + `},
		{"name":"shared","match":{"hosts":` + hosts + `,"paths":` + paths +
		`},"allow_origins":[{"regex":"https://r[0-9]\\.test"}]}]}`)
	c, problems := config.Parse(unsafe.String(&memory[0], len(memory)))
	if c == nil {
		t.Fatal(problems)
	}
	answers := func() string {
		var b strings.Builder
		s := c.PolicySource
		fmt.Fprintln(&b, s.Cluster, s.Path, s.Authority)
		for _, k := range []match.Key{
			{Route: "route"}, {Host: "few.test", Path: "/exact"}, {Host: "a.sub.test", Path: "/prefix/x"},
			{Host: "h3.test", Path: "/shared4/x"}, {Host: "none.test", Path: "/"},
		} {
			p := c.Policies.Lookup(k)
			for _, origin := range []string{"https://d.test", "https://a.d.test:1", "https://o7.test",
				"https://r1.test", "https://none.test"} {
				for _, method := range []string{"", "PURGE", "NONE"} {
					q := cors.Request{HasOrigin: true, Origin: origin, Method: "OPTIONS", RequestMethod: method,
						RequestHeaders: []string{"x-asked,x-lower"}}
					d := p.Decide(&q)
					fmt.Fprintln(&b, p.Name(), d.Origin(), d.Why())
					if d.Answered() {
						fmt.Fprintln(&b, d.AppendHeaders(nil))
					} else {
						fmt.Fprintf(&b, "%+v\n", d.Edits())
					}
				}
			}
		}
		return b.String()
	}
	before := answers()
	for _, want := range []string{"c1 /p1 a1", "few https://d.test allowed", "many https://o7.test allowed",
		"shared https://r1.test allowed", "PURGE", "x-lower", "X-Exposed"} {
		if !strings.Contains(before, want) {
			t.Errorf("%q isn't in the answers: %s", want, before)
		}
	}
	for i := range memory {
		memory[i] = '#'
	}
	if after := answers(); after != before {
		t.Errorf("%s\nand after the document was overwritten\n%s", before, after)
	}
}

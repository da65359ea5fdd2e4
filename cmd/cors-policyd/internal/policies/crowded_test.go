package policies

import (
	"fmt"
	"strings"
	"testing"
)

// TestCrowdedHost: whoever may write rows can't hold up those of others by what is no mistake of any row, but too much
// for the filter as a whole: a host that is in many different lists of hosts. The last policies of rows are left out,
// wherever the others stand.
func TestCrowdedHost(t *testing.T) {
	const rows = "{rows: 'SELECT name, host, path, origin FROM sites'}"
	const fixed = "{name: fixed, match: {hosts: [common.example, 1.f.example, 2.f.example, 3.f.example, 4.f.example], " +
		"paths: [{prefix: /a}, {prefix: /b}, {prefix: /c}, {prefix: /d}, {prefix: /e}]}, allow_origins: ['https://f.example']}"
	for _, test := range []struct {
		name, policies string
		kept           int // of 20 policies that have the host
	}{
		{"rows alone", rows, 16},
		{"rows after another policy", fixed + ", " + rows, 15},
		{"rows before another policy", rows + ", " + fixed, 15},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, "policies: ["+test.policies+"]",
				"CREATE TABLE sites (name, host, path, origin)",
				"INSERT INTO sites VALUES ('z', 'z.example', NULL, 'https://z.example')")
			for i := range 20 {
				for j := range 5 {
					for _, host := range []string{"common.example", fmt.Sprintf("h%d.p%d.example", j, i)} {
						s.exec(t, "INSERT INTO sites VALUES (?, ?, ?, ?)", fmt.Sprintf("p%02d", i), host, fmt.Sprintf("/%d/%d", i, j),
							"https://a.example")
					}
				}
			}
			result := s.build(t)
			text := string(result.Document.Text)
			for i := range 20 {
				if name := fmt.Sprintf(`"p%02d"`, i); strings.Contains(text, name) != (i < test.kept) {
					t.Errorf("%s is in the document, or isn't: %.300s", name, text)
				}
			}
			if !strings.Contains(text, `"z.example"`) || strings.Contains(text, `"fixed"`) != strings.Contains(test.policies, fixed) {
				t.Errorf("the document is %s", text)
			}
			said := fmt.Sprint(result.Rejected)
			if len(result.Rejected) != (20-test.kept)*10 || !strings.Contains(said, "different lists of hosts") {
				t.Errorf("rejected are %v", result.Rejected)
			}
		})
	}
}

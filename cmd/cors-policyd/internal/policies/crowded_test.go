package policies

import (
	"fmt"
	"strings"
	"testing"
)

// TestCrowdedHost: whoever may write rows can't hold up those of others by what is no mistake of any
// row, but too much for the filter as a whole: a host that is in many different lists of hosts.
func TestCrowdedHost(t *testing.T) {
	s := newScene(t, "policies: [{rows: 'SELECT name, host, path, origin FROM sites'}]",
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
	if !strings.Contains(text, `"z.example"`) || !strings.Contains(text, `"p15"`) {
		t.Errorf("the document is %s", text)
	}
	if len(result.Rejected) != 4*10 || !strings.Contains(fmt.Sprint(result.Rejected), "different lists of hosts") {
		t.Errorf("rejected are %v", result.Rejected)
	}
}

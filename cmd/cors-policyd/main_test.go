package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommands: what the commands print, and their exit codes.
func TestCommands(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "p.yaml")
	text := "database: sqlite:" + filepath.Join(folder, "o.db") + `
policies:
- name: tenants
  allow_credentials: true
  allow_origins: [{table: true}]
`
	unread := filepath.Join(folder, "unread.yaml")
	broken := filepath.Join(folder, "broken.yaml")
	for name, text := range map[string]string{
		file: text, broken: text + "x: 1\n", unread: strings.Replace(text, "{table: true}", "'https://a.example'", 1),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args   string
		code   int
		expect string
	}{
		{"--help", 0, "GET /v1/policies"},
		{"origins --help", 0, "cors_origins(policy, origin"},
		{"origins add --help", 0, "Each is checked first"},
		{"--version", 0, "cors-policyd "},
		{"", 2, "-c is missing"},
		{"-c " + file + " x", 2, `there is no command "x"`},
		{"-c " + filepath.Join(folder, "none.yaml"), 2, "no such file"},
		{"-c " + broken, 1, "broken.yaml:6:1: x: is no known field; the fields are"},
		{"--check -c " + file, 0, "valid"},
		{"--chekc", 2, "unknown flag"},
		{"origins list -c " + file, 2, "--policy is missing"},
		{"origins add -c " + file + " --policy tenants", 2, "add needs one origin"},
		{"origins add -c " + file + " --policy other https://a.example", 2, `the configuration has no policy "other"`},
		{"origins list -c " + file + " --policy tenants", 2, "the table cors_origins, which adding an origin makes: "},
		{"origins remove -c " + file + " --policy tenants https://a.example", 2, "the table cors_origins, which adding an origin makes: "},
		{"origins add -c " + unread + " --policy tenants https://u.example", 0, `(warning)`},
		{"origins remove -c " + unread + " --policy tenants https://u.example", 0, "removed 1 of 1"},
		{"origins add -c " + file + " --policy tenants https://b.example https://a.example", 0, "added 2 of 2\n"},
		{"origins add -c " + file + " --policy tenants https://a.example", 0, "added 0 of 1; the others were there"},
		{"origins add -c " + file + " --policy tenants https://c.example https://A.example", 1, `write "https://a.example"`},
		{"origins list -c " + file + " --policy tenants", 0, "https://a.example\nhttps://b.example\n"},
		{"origins remove -c " + file + " --policy tenants https://a.example https://c.example", 0, "removed 1 of 2"},
		{"origins list -c " + file + " --policy tenants", 0, "https://b.example\n"},
		{"origins nonsense", 2, "nonsense"},
	} {
		var out strings.Builder
		code := run(context.Background(), strings.Fields(test.args), &out, &out)
		if code != test.code || !strings.Contains(out.String(), test.expect) {
			t.Errorf("%s: %d, want %d with %s\n%s", test.args, code, test.code, test.expect, out.String())
		}
		if strings.Contains(test.expect, "a.example\nhttps") && out.String() != test.expect {
			t.Errorf("%s: %q", test.args, out.String())
		}
	}
}

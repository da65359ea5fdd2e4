package operate_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"go.yaml.in/yaml/v4"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
)

// A rule is a rule of Prometheus.
type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

// rules are those of deploy/prometheus.
func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(read(t, "deploy/prometheus/cors.rules.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d rules", len(all))
	}
	return all
}

const dashboardFile = "deploy/grafana/cors.json"

// A panel is what the tests look at of a panel of Grafana's.
type panel struct {
	ID      int
	Type    string
	Title   string
	Targets []struct{ Expr string }
	GridPos struct{ X, Y, W, H int }
}

// panels are those of the dashboard, and variables what Prometheus is asked for to have
// values to choose from.
func panels(t *testing.T) (all []panel, variables []string) {
	t.Helper()
	var d struct {
		Panels     []panel
		Templating struct {
			List []struct {
				Type       string
				Definition string
			}
		}
	}
	if err := json.Unmarshal(read(t, dashboardFile), &d); err != nil {
		t.Fatal(err)
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			variables = append(variables, v.Definition)
		}
	}
	return d.Panels, variables
}

// An expression is one of PromQL.
type expression struct {
	of, text  string
	elsewhere bool // of series that Envoy doesn't have
}

// labelValues is what a variable of the dashboard asks for.
var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// filled is what Grafana puts in place of variables.
var filled = strings.NewReplacer("$__rate_interval", "1m", "$__range", "5m", "$job", ".*", "$policy", ".*")

// expressions are those of the rules and of the dashboard.
func expressions(t *testing.T) (all []expression) {
	t.Helper()
	for _, r := range rules(t) {
		all = append(all, expression{r.Record + r.Alert, r.Expr, strings.Contains(r.Expr, "pilot_")})
	}
	shown, variables := panels(t)
	for _, p := range shown {
		for _, target := range p.Targets {
			// A zero where there is nothing is none of the expression's doing.
			text := strings.TrimSuffix(filled.Replace(target.Expr), " or vector(0)")
			all = append(all, expression{of: "the panel " + p.Title, text: text})
		}
	}
	for _, v := range variables {
		match := labelValues.FindStringSubmatch(v)
		if match == nil {
			t.Fatalf("the variable of %s isn't written as this test expects it", v)
		}
		all = append(all, expression{of: "a variable", text: filled.Replace(
			fmt.Sprintf(`count by (%s) (%s) and count by (%[1]s) ({%[1]s!=""})`, match[2], match[1]))})
	}
	for _, e := range all {
		if strings.Contains(e.text, "$") {
			t.Errorf("%s: %s has a variable that this test doesn't know", e.of, e.text)
		}
	}
	return all
}

// comparison is an operator that leaves series out.
var comparison = regexp.MustCompile(`\s(==|!=|<=|>=|<|>)\s`)

// compared has the comparisons of an expression tell whether they hold, and leave nothing out.
func compared(expression string) string { return comparison.ReplaceAllString(expression, " $1 bool ") }

// TestRunbooks: each alert names its section of docs/operating.md or docs/database.md, and says how
// urgent it is; and each section under "Alerts" is one of an alert.
func TestRunbooks(t *testing.T) {
	const url = "https://github.com/proxy-wasm-cors/proxy-wasm-cors/blob/main/"
	sections := map[string]bool{} // by URL, and whether an alert names it
	for _, document := range []string{"docs/operating.md", "docs/database.md"} {
		_, text, _ := strings.Cut(string(read(t, document)), "\n## Alerts\n")
		text, _, _ = strings.Cut(text, "\n## ")
		for _, heading := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(text, -1) {
			sections[url+document+"#"+strings.ToLower(heading[1])] = false
		}
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		runbook := r.Annotations["runbook_url"]
		if _, ok := sections[runbook]; !ok {
			t.Errorf("%s: there is no section %s, but %v", r.Alert, runbook, sections)
		}
		sections[runbook] = true
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) ||
			r.Annotations["summary"] == "" {
			t.Errorf("%s: severity %q, summary %q", r.Alert, r.Labels["severity"], r.Annotations["summary"])
		}
	}
	for section, named := range sections {
		if !named {
			t.Errorf("no alert names %s", section)
		}
	}
}

// TestPolicydWords: docs/database.md has every metric of cors-policyd that is its own.
func TestPolicydWords(t *testing.T) {
	text := string(read(t, "docs/database.md"))
	metrics := startPolicyd(t).get(t, "/metrics")
	found := regexp.MustCompile(`(?m)^# TYPE cors_policyd(_\w+) `).FindAllStringSubmatch(metrics, -1)
	if len(found) < 10 {
		t.Fatalf("only %d metrics", len(found))
	}
	for _, name := range found {
		if !strings.Contains(text, "`cors_policyd"+name[1]) {
			t.Errorf("cors_policyd%s isn't there", name[1])
		}
	}
}

// TestWords: docs/operating.md has every outcome and verdict that is counted, and every reason.
func TestWords(t *testing.T) {
	text := string(read(t, "docs/operating.md"))
	for outcome := cors.NotCounted + 1; outcome < cors.Outcomes; outcome++ {
		if !strings.Contains(text, "\n| `"+outcome.String()+"` | ") {
			t.Errorf("the outcome %s isn't there", outcome)
		}
	}
	for verdict := range cors.Verdicts {
		if !strings.Contains(text, "\n| `shadow_"+verdict.String()+"` | ") {
			t.Errorf("the verdict %s isn't there", verdict)
		}
	}
	for reason := cors.NoOrigin + 1; reason.String() != "unknown"; reason++ {
		if !strings.Contains(text, " | `"+reason.String()+"` | ") {
			t.Errorf("the reason %s isn't there", reason)
		}
	}
}

// strict reads a dashboard by Grafana's own types: what they don't have, or have otherwise,
// is an error, and so is what is required and missing.
func strict(text []byte) error {
	plugins.RegisterDefaultPlugins()
	var d dashboard.Dashboard //nolint:staticcheck // Older Grafanas don't import the second version.
	// An empty list of errors is no error.
	if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err
	}
	return d.Validate()
}

// TestDashboard: the dashboard is one by Grafana's types, and its panels fill the grid without
// lying on each other.
func TestDashboard(t *testing.T) {
	text := read(t, dashboardFile)
	if err := strict(text); err != nil {
		t.Error(err)
	}
	if n := strings.Count(string(text), `"uid": "${datasource}"`); n != strings.Count(string(text), `"uid": `)-1 {
		t.Error("a panel, a target or a variable has another datasource than the one that is chosen")
	}
	shown, _ := panels(t)
	taken, ids := map[[2]int]string{}, map[int]string{}
	bottom := 0
	for _, p := range shown {
		if other := ids[p.ID]; other != "" {
			t.Errorf("%q and %q have the same id", other, p.Title)
		}
		ids[p.ID] = p.Title
		if (p.Type == "row") == (len(p.Targets) > 0) {
			t.Errorf("%q, a %s, has %d expressions", p.Title, p.Type, len(p.Targets))
		}
		for y := range p.GridPos.H {
			for x := range p.GridPos.W {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" {
					t.Fatalf("%q lies on %q", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
		bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
	}
	const width = 24
	for y := range bottom {
		for x := range width {
			if taken[[2]int{x, y}] == "" {
				t.Fatalf("nothing is at %d, %d", x, y)
			}
		}
	}
	if len(taken) != width*bottom {
		t.Error("a panel is beyond the grid")
	}
}

// TestStrict: the check of the dashboard finds mistakes at every depth.
func TestStrict(t *testing.T) {
	text := string(read(t, dashboardFile))
	for _, mistake := range []struct{ old, replacement string }{
		{`"schemaVersion": 39`, `"schemaVersion": "39"`},
		{`"title": "CORS"`, `"titel": "CORS"`},
		{`"graphTooltip": 1`, `"graphTooltip": 1, "autoRefresh": true`},
		{`"x": 12`, `"x": "12"`},
		{`"x": 12`, `"x": 12, "z": 1`},
		{`"expr": `, `"expression": `},
		{`"refId": "A"`, `"refId": 1`},
		{`"legendFormat"`, `"legend"`},
		{`"unit": "reqps"`, `"unit": 1`},
		{`"drawStyle": "line"`, `"drawStyle": 1`},
		{`"lineWidth": 1`, `"linewidth": 1`},
		{`"showLegend": true`, `"showLegend": true, "showTable": true`},
		{`"graphMode": "area"`, `"graphMode": true`},
		{`"includeAll": true`, `"includeAll": "true"`},
		{`"allValue"`, `"allvalue"`},
		{`"showHeader"`, `"header"`},
	} {
		if !strings.Contains(text, mistake.old) {
			t.Errorf("the dashboard lacks %s", mistake.old)
		} else if strict([]byte(strings.Replace(text, mistake.old, mistake.replacement, 1))) == nil {
			t.Errorf("%s in place of %s is no mistake", mistake.replacement, mistake.old)
		}
	}
}

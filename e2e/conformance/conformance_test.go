package conformance_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/e2e/internal/docs"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// TestOthers asks what other projects' tests ask, on the engine, of the module in wazero and in Envoy. What
// is answered otherwise than the project expects is of the kinds that the case names, and no more.
func TestOthers(t *testing.T) {
	projects := readProjects(t)
	configurations := map[policyOf]string{}
	served := map[string]bool{} // those that requests are sent to
	for _, p := range projects {
		for _, r := range p.Rows {
			if r.Beyond != "" {
				continue
			}
			of := policyOf{p.Project, r.Policy}
			if _, known := configurations[of]; !known {
				configurations[of] = p.Policies[r.Policy].configuration(t)
			}
			if !r.Refused && !r.Accepted && !isRefused(configurations[of]) {
				served[configurations[of]] = true
			}
		}
	}
	for name, open := range map[string]func(t *testing.T, configurations []string) exchange{
		"engine": newEngine, "wazero": newWazero, "envoy": newEnvoy,
	} {
		t.Run(name, func(t *testing.T) {
			send := open(t, slices.Sorted(maps.Keys(served)))
			for _, p := range projects {
				for _, r := range p.Rows {
					if r.Beyond == "" {
						t.Run(p.Project+"/"+r.Case, func(t *testing.T) {
							r.run(t, configurations[policyOf{p.Project, r.Policy}], send)
						})
					}
				}
			}
		})
	}
}

// A policyOf is a policy's name, and the project that has it.
type policyOf struct{ project, name string }

func isRefused(configuration string) bool {
	parsed, _ := config.Parse(configuration)
	return parsed == nil
}

// run fails the test if the answer differs from what the project expects in another way than the case says.
func (r row) run(t *testing.T, configuration string, send exchange) {
	t.Helper()
	refused := isRefused(configuration)
	var differs []string
	var got answer
	switch {
	case r.Refused || r.Accepted || refused:
		if refused != r.Refused {
			differs = []string{"configuration"}
		}
	default:
		got = send(t, configuration, r.request(), r.upstream())
		differs = r.differences(got)
	}
	others := slices.Clone(differs) // than are of the kinds
	for _, name := range r.Differs {
		k, ok := kindNamed(name)
		if !ok {
			t.Fatalf("there is no kind %q", name)
		}
		if !slices.ContainsFunc(differs, k.covers) {
			t.Errorf("it doesn't differ by %q", name)
		}
		others = slices.DeleteFunc(others, k.covers)
	}
	for _, aspect := range others {
		t.Errorf("%s differs", aspect)
	}
	if t.Failed() {
		t.Logf("%s\n%s %s %q\nanswer: passed %t, %d, %q\nexpected: %+v", configuration, r.Method, r.Path,
			r.request().Headers, got.passed, got.status, got.headers, r)
	}
}

// differences are the aspects in which an answer isn't as the project expects.
func (r row) differences(got answer) (aspects []string) {
	passes := !r.isPreflight()
	if r.Passes != nil {
		passes = *r.Passes
	}
	if got.passed != passes {
		aspects = append(aspects, "passes")
	}
	if r.Status != nil && !slices.Contains(r.Status, got.status) {
		aspects = append(aspects, "status")
	}
	if want := r.pageWanted(); want != "" && want != r.page(got) {
		aspects = append(aspects, "page")
	}
	there := corsHeaders(got.headers)
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if value, ok := there[name]; !r.Headers[name].accept(name, value, ok) {
			aspects = append(aspects, name)
		}
	}
	if r.Only {
		for _, name := range slices.Sorted(maps.Keys(there)) {
			if _, ok := r.Headers[name]; !ok {
				aspects = append(aspects, name)
			}
		}
	}
	return aspects
}

// corsHeaders are the CORS headers and Vary, by their names without access-control.
func corsHeaders(headers [][2]string) map[string]string {
	found := map[string]string{}
	for _, h := range headers {
		name, ok := strings.CutPrefix(strings.ToLower(h[0]), "access-control-")
		if !ok && name != "vary" {
			continue
		}
		if value, again := found[name]; again {
			found[name] = value + ", " + h[1]
		} else {
			found[name] = h[1]
		}
	}
	return found
}

// accept reports whether a header is as the project wants it. Lists are compared as such: white space, the
// order and, but for methods, the case of letters have no meaning.
func (t texts) accept(name, value string, there bool) bool {
	if len(t) == 0 || !there {
		return len(t) == 0 && !there
	}
	return slices.ContainsFunc(t, func(want string) bool { return canonical(name, want) == canonical(name, value) })
}

func canonical(name, value string) string {
	switch name {
	case "allow-headers", "expose-headers", "vary":
		value = strings.ToLower(value)
	case "allow-methods":
	default:
		return value
	}
	list := elements(value)
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// elements are those of a list, without empty ones.
func elements(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t", r) })
}

// page is what a page gets that makes the request, or the one after the preflight. It asks for credentials
// where the project expects them to be allowed.
func (r row) page(got answer) string {
	credentials := len(r.Headers["allow-credentials"]) > 0
	var blocked *browser.Blocked
	if r.isPreflight() {
		sent := browser.Request{Origin: r.Origin[0], Method: r.Asks[0], CredentialsInclude: credentials}
		for _, name := range elements(strings.Join(r.Names, ",")) {
			sent.UnsafeNames = append(sent.UnsafeNames, strings.ToLower(name))
		}
		blocked = browser.PreflightCheck(sent, got.status, got.headers)
	} else {
		blocked = browser.CORSCheck(r.Origin[0], credentials, got.headers)
	}
	if blocked != nil {
		return "blocked"
	}
	return "allowed"
}

// pageWanted is what a page gets of the answer that the project expects; "" if no page is concerned.
func (r row) pageWanted() string {
	switch {
	case r.Page == "none", len(r.Origin) == 0, r.Page == "" && r.Headers == nil:
		return ""
	case r.Page != "":
		return r.Page
	}
	wanted := answer{status: 200}
	if r.Status != nil {
		wanted.status = r.Status[0]
	}
	for name, values := range r.Headers {
		if len(values) > 0 {
			wanted.headers = append(wanted.headers, [2]string{"access-control-" + name, values[0]})
		}
	}
	return r.page(wanted)
}

// TestDocumented: docs/conformance.md has the numbers, the kinds and the reasons.
func TestDocumented(t *testing.T) {
	docs.Section{Page: "conformance.md", Name: "others", Command: "go -C e2e test ./conformance -update"}.
		Check(t, section(t, readProjects(t)))
}

// A count is how many cases there are, and how many of them are what.
type count [5]int

const (
	inAll = iota
	same
	inOtherWords
	differing
	untold
)

func (n count) cells() string {
	return fmt.Sprintf(" | %d | %d | %d | %d | %d |\n", n[inAll], n[same], n[inOtherWords], n[differing], n[untold])
}

// section is the generated part of docs/conformance.md.
func section(t *testing.T, projects []project) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n| project | cases | the same | in other words | differ | can't be told |\n" +
		"|---|--:|--:|--:|--:|--:|\n")
	var all count
	of, told := map[string]map[string]int{}, map[string]map[string]int{}
	for _, p := range projects {
		n := p.count(of, told)
		b.WriteString("| " + p.Project + n.cells())
		for i := range n {
			all[i] += n[i]
		}
	}
	b.WriteString("| all" + all.cells())
	for _, letter := range []bool{false, true} {
		title := "What differs for a page, or for the upstream"
		if letter {
			title = "What only has other words"
		}
		fmt.Fprintf(&b, "\n### %s\n\n| what | cases | who is right |\n|---|---|---|\n", title)
		for _, k := range kinds {
			if k.letter() != letter {
				continue
			}
			if of[k.name] == nil {
				t.Errorf("no case differs by %q", k.name)
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", k.what, byProject(projects, of[k.name]), k.right)
		}
	}
	b.WriteString("\n### What can't be told\n\n| what | cases | why |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		if told[name] == nil {
			t.Errorf("no case can't be told for %q", name)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, byProject(projects, told[name]), reasons[name])
	}
	b.WriteString("\n### Where they are from\n\n")
	for _, p := range projects {
		fmt.Fprintf(&b, "- %s: %s\n", p.Project, strings.Join(p.Tests, "; "))
	}
	b.WriteString("\n")
	return b.String()
}

// count counts the cases of a project, by kind and by reason too.
func (p project) count(kinds, reasons map[string]map[string]int) (n count) {
	add := func(to map[string]map[string]int, name string) {
		if to[name] == nil {
			to[name] = map[string]int{}
		}
		to[name][p.Project]++
	}
	for _, r := range p.Rows {
		n[inAll]++
		for _, name := range r.Differs {
			add(kinds, name)
		}
		switch {
		case r.Beyond != "":
			n[untold]++
			add(reasons, r.Beyond)
		case len(r.Differs) == 0:
			n[same]++
		case slices.ContainsFunc(r.Differs, func(name string) bool { k, _ := kindNamed(name); return !k.letter() }):
			n[differing]++
		default:
			n[inOtherWords]++
		}
	}
	return n
}

// byProject writes how many cases there are of each project.
func byProject(projects []project, counts map[string]int) string {
	var parts []string
	for _, p := range projects {
		if n := counts[p.Project]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", p.Project, n))
		}
	}
	return strings.Join(parts, ", ")
}

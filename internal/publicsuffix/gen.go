//go:build ignore

// Gen writes table.txt from the list that the version of golang.org/x/net in
// go.mod carries.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/net").Output()
	if err != nil {
		log.Fatal("finding golang.org/x/net: ", err)
	}
	rules, err := readRules(filepath.Join(strings.TrimSpace(string(out)), "publicsuffix", "table_test.go"))
	if err != nil {
		log.Fatal(err)
	}
	below := map[string][]string{}
	for _, rule := range rules {
		first, domain, ok := strings.Cut(rule, ".")
		switch {
		case !ok: // a top-level domain is a public suffix with or without a rule
			continue
		case first == "*":
			first, domain, _ = strings.Cut(domain, ".")
			first = "*." + first
		}
		below[domain] = append(below[domain], first)
		// Each domain above has a line, too.
		for _, above, ok := strings.Cut(domain, "."); ok; _, above, ok = strings.Cut(above, ".") {
			if _, has := below[above]; !has {
				below[above] = nil
			}
		}
	}
	var lines []string
	for _, domain := range slices.Sorted(maps.Keys(below)) {
		slices.Sort(below[domain])
		lines = append(lines, strings.Join(append([]string{domain}, below[domain]...), " "))
	}
	if err := os.WriteFile("table.txt", []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		log.Fatal(err)
	}
}

// readRules reads the list's rules from the source of its test.
func readRules(path string) (rules []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, err
	}
	list, ok := file.Scope.Lookup("rules").Decl.(*ast.ValueSpec).Values[0].(*ast.CompositeLit)
	if !ok {
		return nil, fmt.Errorf("%s: no list named rules", path)
	}
	for _, element := range list.Elts {
		rule, err := strconv.Unquote(element.(*ast.BasicLit).Value)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

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
	rules = append(rules, above(rules)...)
	byTLD := map[string][]string{}
	for _, rule := range rules {
		// A top-level domain is a public suffix with or without a rule.
		if i := strings.LastIndexByte(rule, '.'); i >= 0 {
			byTLD[rule[i+1:]] = append(byTLD[rule[i+1:]], rule[:i])
		}
	}
	var lines []string
	for _, tld := range slices.Sorted(maps.Keys(byTLD)) {
		slices.Sort(byTLD[tld])
		lines = append(lines, tld+" "+strings.Join(byTLD[tld], " "))
	}
	if err := os.WriteFile("table.txt", []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		log.Fatal(err)
	}
}

// above returns a mark, "^" and the domain, for each domain that is no public suffix
// and has some below it.
func above(rules []string) (marks []string) {
	seen := map[string]bool{}
	for _, rule := range rules {
		seen[rule] = true
	}
	for _, rule := range rules {
		if strings.HasPrefix(rule, "!") {
			continue
		}
		for _, domain, _ := strings.Cut(rule, "."); strings.Contains(domain, "."); _, domain,
			_ = strings.Cut(domain, ".") {
			if !seen[domain] && !seen["^"+domain] {
				seen["^"+domain] = true
				marks = append(marks, "^"+domain)
			}
		}
	}
	return marks
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

// Package publicsuffix tells public suffixes, the domains under which anyone can
// register a name (https://publicsuffix.org).
//
// It has the list of golang.org/x/net/publicsuffix in a form of its own, because
// that package depends on net/http, which would triple the size of the module.
package publicsuffix

import (
	_ "embed"
	"strings"
)

//go:generate go run gen.go

// table has a line for each domain below which public suffixes lie: the domain, and the
// labels before it in the list's rules, sorted. A rule such as "*.kobe.jp" is "*.kobe" in
// the line of jp, and an exception begins with "!".
//
//go:embed table.txt
var table string

// Is reports whether domain is a public suffix by the list's algorithm
// (https://github.com/publicsuffix/list/wiki/Format#algorithm), rules of private
// registries such as github.io included. The domain is in lower case and
// Punycode, without a trailing dot.
func Is(domain string) bool {
	label, parent, ok := strings.Cut(domain, ".")
	if !ok || hasRule(parent, label) {
		return true // the list's implicit rule: every top-level domain
	}
	above, grandparent, _ := strings.Cut(parent, ".")
	return hasRule(grandparent, "*."+above) && !hasRule(parent, "!"+label)
}

// Over reports whether public suffixes lie below domain, which is none itself: as
// s3.amazonaws.com lies below amazonaws.com, and every name below kobe.jp is one.
func Over(domain string) bool {
	if Is(domain) {
		return false
	}
	if _, ok := find(table, '\n', domain); ok {
		return true
	}
	label, parent, _ := strings.Cut(domain, ".")
	return hasRule(parent, "*."+label)
}

// hasRule reports whether there is a rule for labels before a domain.
func hasRule(domain, labels string) bool {
	line, _ := find(table, '\n', domain)
	_, rules, _ := strings.Cut(line, " ")
	_, ok := find(rules, ' ', labels)
	return ok
}

// find finds the element whose first word is key in a sorted list.
func find(list string, sep byte, key string) (element string, ok bool) {
	for list != "" {
		mid := len(list) / 2
		start := strings.LastIndexByte(list[:mid], sep) + 1
		end := len(list)
		if i := strings.IndexByte(list[mid:], sep); i >= 0 {
			end = mid + i
		}
		element = list[start:end]
		word, _, _ := strings.Cut(element, " ")
		switch {
		case word == key:
			return element, true
		case word < key && end == len(list), word > key && start == 0:
			return "", false
		case word < key:
			list = list[end+1:]
		default:
			list = list[:start-1]
		}
	}
	return "", false
}

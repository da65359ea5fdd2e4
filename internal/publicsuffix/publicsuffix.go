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

// table has a line for each top-level domain: the domain, and its rules without it, sorted;
// and, after "^", the domains that are no public suffixes and have some below them.
//
//go:embed table.txt
var table string

// Is reports whether domain is a public suffix by the list's algorithm
// (https://github.com/publicsuffix/list/wiki/Format#algorithm), rules of private
// registries such as github.io included. The domain is in lower case and
// Punycode, without a trailing dot.
func Is(domain string) bool {
	rest, rules, ok := rulesFor(domain)
	if !ok {
		return true // the list's implicit rule: every top-level domain
	}
	if _, ok := find(rules, ' ', rest); ok {
		return true
	}
	wildcard := "*"
	if _, parent, ok := strings.Cut(rest, "."); ok {
		wildcard = "*." + parent
	}
	if _, ok := find(rules, ' ', wildcard); !ok {
		return false
	}
	_, exception := find(rules, ' ', "!"+rest)
	return !exception
}

// Over reports whether public suffixes lie below domain, which is none itself: as
// s3.amazonaws.com lies below amazonaws.com, and every name below kobe.jp is one.
func Over(domain string) bool {
	rest, rules, _ := rulesFor(domain)
	_, ok := find(rules, ' ', "^"+rest)
	return ok
}

// rulesFor are the rules of a domain's top-level domain, and the domain without that; ok
// is false for a top-level domain itself.
func rulesFor(domain string) (rest, rules string, ok bool) {
	i := strings.LastIndexByte(domain, '.')
	if i < 0 {
		return "", "", false
	}
	line, _ := find(table, '\n', domain[i+1:])
	_, rules, _ = strings.Cut(line, " ")
	return domain[:i], rules, true
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

package main

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// development is what the Makefile and git describe make of what isn't tagged, or was changed.
	development = regexp.MustCompile(`^v0\.0\.0-|-[0-9]+-g[0-9a-f]+$|-dirty$`)
	// tagged is what a tag must be (https://semver.org).
	tagged = regexp.MustCompile(`^v(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)
	// next is what ends a section: the next one, or the links of all.
	next = regexp.MustCompile(`(?m)^(## |\[[^]]+\]: )`)
)

// section is what CHANGELOG.md has for a version: of a release the section with its number
// and date, of anything else what isn't released.
func section(changes, version string) (string, error) {
	title := "## [Unreleased]"
	heading := regexp.QuoteMeta(title)
	if !development.MatchString(version) {
		if !tagged.MatchString(version) {
			return "", fmt.Errorf("the tag %q is no version; tag the commit as v1.2.3 or v1.2.3-rc.1", version)
		}
		title = "## [" + version[1:] + "] - YYYY-MM-DD"
		heading = strings.Replace(regexp.QuoteMeta(title), "YYYY-MM-DD", "[0-9]{4}-[0-9]{2}-[0-9]{2}", 1)
	}
	found := regexp.MustCompile("(?m)^" + heading + "$").FindStringIndex(changes)
	if found == nil {
		return "", fmt.Errorf(`CHANGELOG.md has no section %q; CONTRIBUTING.md, "Release", says how to make it`, title)
	}
	text := changes[found[1]:]
	if end := next.FindStringIndex(text); end != nil {
		text = text[:end[0]]
	}
	text = strings.TrimSpace(text)
	switch {
	case text != "":
		return text + "\n", nil
	case development.MatchString(version):
		return "Nothing has changed since the last release.\n", nil
	}
	return "", fmt.Errorf("CHANGELOG.md has nothing in its section %q", title)
}

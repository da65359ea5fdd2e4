package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLicenses: all that is in a release may be there, on each system, and its texts are known.
func TestLicenses(t *testing.T) {
	t.Chdir(root)
	var programs []program
	for _, file := range []string{
		"cors.wasm", "corsctl-linux-amd64", "corsctl-windows-arm64.exe", "corsctl-darwin-arm64",
		"cors-policyd-linux-amd64", "cors-policyd-windows-amd64.exe", "cors-policyd-darwin-arm64",
	} {
		p, err := newProgram(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, p)
	}
	licenses, err := readLicenses(programs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(texts(licenses))
	for _, want := range []string{
		"\ngithub.com/tidwall/gjson@v", ": MIT\n", "\n" + standardLibrary + ": BSD-3-Clause\n", "Copyright 2009 The Go Authors",
		"\ngithub.com/spf13/cobra@v", ": Apache-2.0\n", "\nmodernc.org/sqlite@v", ": MPL-2.0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the texts don't have %q", want)
		}
	}
	for name, l := range licenses {
		t.Logf("%s: %s", name, strings.Join(l.ids, ", "))
	}
}

// TestLicensesRefused: what isn't known, or binds whoever passes it on, is in no release.
func TestLicensesRefused(t *testing.T) {
	const isc = "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee " +
		"is hereby granted, provided that the above copyright notice and this permission notice appear in all copies.\n\n" +
		"THE SOFTWARE IS PROVIDED \"AS IS\" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING " +
		"ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, " +
		"DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, " +
		"WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE " +
		"USE OR PERFORMANCE OF THIS SOFTWARE.\n"
	const gpl = "This program is free software: you can redistribute it and/or modify it under the terms of the GNU " +
		"General Public License as published by the Free Software Foundation, either version 3 of the License, or (at " +
		"your option) any later version.\n\nThis program is distributed in the hope that it will be useful, but WITHOUT " +
		"ANY WARRANTY; without even the implied warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the " +
		"GNU General Public License for more details.\n"
	for _, test := range []struct {
		name, file, text, want string
	}{
		{"allowed", "LICENSE", "Copyright (c) 2026 x\n\n" + isc, ""},
		{"in British", "licence.txt", isc, ""},
		{"the GPL", "COPYING", gpl, "which is not allowed in a release"},
		{"one of two", "LICENSE-2", gpl, "which is not allowed in a release"},
		{"among those of others", "LICENSE-3RD-PARTY.md", "What we have of others, and love.\n\n" + gpl, "which is not allowed in a release"},
		{"words of its own", "LICENSE", "All rights reserved. You may look at it.\n", "is no license that is known"},
		{"none", "README", isc, "has no license"},
		{"a notice alone", "NOTICE", isc, "has no license"},
	} {
		folder := t.TempDir()
		write(t, filepath.Join(folder, test.file), test.text)
		if test.name == "one of two" {
			write(t, filepath.Join(folder, "LICENSE-1"), isc)
		}
		found, err := readLicense("a@v1", folder)
		switch {
		case test.want != "":
			wantError(t, err, test.want)
		case err != nil || !slices.Equal(found.ids, []string{"ISC"}) || !strings.Contains(found.text, "hereby granted"):
			t.Errorf("%s: %v %+v", test.name, err, found)
		}
	}
}

// TestPackages: what npm installs for the page is what it was when somebody looked at it, runs
// nothing while it is installed, and has a license that the page may pass on.
func TestPackages(t *testing.T) {
	var lock struct {
		Packages map[string]struct {
			License, Integrity, Resolved string
			HasInstallScript             bool
		}
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(root, "demo/npm/package-lock.json"))), &lock); err != nil {
		t.Fatal(err)
	}
	if len(lock.Packages) < 10 {
		t.Fatalf("%d packages", len(lock.Packages))
	}
	for name, p := range lock.Packages {
		if name == "" {
			continue // the page itself
		}
		if !strings.HasPrefix(p.Integrity, "sha512-") || p.Resolved != "" {
			t.Errorf("%s: integrity %q, resolved %q", name, p.Integrity, p.Resolved)
		}
		if !slices.Contains(licensesAllowed, p.License) {
			t.Errorf("%s has the license %s", name, p.License)
		}
	}
	if !strings.Contains(read(t, filepath.Join(root, "demo/npm/.npmrc")), "\nignore-scripts=true\n") {
		t.Error("packages may run scripts when they are installed")
	}
}

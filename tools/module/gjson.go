package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// gjson is the package that reads JSON. An overlay may not have files of dependencies, so that a
// copy of go.mod replaces it by a folder of this project, which only the overlay has.
const gjson = "github.com/tidwall/gjson"

// A path in gjson, such as Get has, may name modifiers of what it finds, which links all that
// they use: what formats numbers, and Get itself. The reader of configurations goes from value
// to value, without any path.
var modifiers = cut{
	unless: []string{gjson + ".Get", gjson + ".Result.Get", gjson + ".AddModifier", gjson + ".ModifierExists"},
	edits: []edit{{
		file: "gjson.go",
		old: `func init() {
	stockModifiers = map[string]func(json, arg string) string{
`,
		new: `func _() {
	stockModifiers = map[string]func(json, arg string) string{
`,
	}},
}

// A number that isn't written in digits alone is formatted by a method that the linker keeps,
// because gjson's values are also held as interfaces, and that nothing calls.
var formatting = cut{
	edits: []edit{{
		file:  "gjson.go",
		old:   "return strconv.FormatFloat(t.Num, 'f', -1, 64)\n",
		new:   `panic("gjson: a number is to be formatted, which tools/module has cut")` + "\n",
		times: 2,
	}},
}

// writeModfile writes the file for go build's flag -modfile into dir, and the edited files beside
// it. It returns the file's path, and what the overlay has to put where gjson is looked for then: a
// folder that isn't there, because its path gets into the module, whose bytes would depend on
// that of a copy.
func writeModfile(folder, dir string) (modfile string, replace map[string]string, err error) {
	// The folder of the package, not of the module: that downloads it where it isn't there yet.
	original, err := goSays("-C", folder, "list", "-f", "{{.Dir}}", gjson)
	if err != nil {
		return "", nil, err
	}
	gomod, err := goSays("-C", folder, "env", "GOMOD")
	if err != nil {
		return "", nil, err
	}
	root, replace := filepath.Dir(gomod), map[string]string{}
	files, err := os.ReadDir(original)
	if err != nil {
		return "", nil, err
	}
	for _, f := range files {
		if f.Type().IsRegular() {
			replace[filepath.Join(root, "gjson", f.Name())] = filepath.Join(original, f.Name())
		}
	}
	sources, err := apply(original, []cut{modifiers, formatting})
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", gjson, err)
	}
	for file, text := range sources {
		edited := filepath.Join(dir, file)
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			return "", nil, err
		}
		replace[filepath.Join(root, "gjson", file)] = edited
	}
	for name, more := range map[string]string{"go.mod": "\nreplace " + gjson + " => ./gjson\n", "go.sum": ""} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, more...), 0o600); err != nil {
			return "", nil, err
		}
	}
	return filepath.Join(dir, "go.mod"), replace, nil
}

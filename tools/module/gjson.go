package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// gjson is the package that reads JSON. An overlay may not have files of dependencies, so that a
// copy is edited, and replaces it in a copy of go.mod.
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

// writeModfile writes the file for go build's flag -modfile into dir, and what it refers to. It
// returns the file's path.
func writeModfile(folder, dir string) (string, error) {
	// The folder of the package, not of the module: that downloads it where it isn't there yet.
	original, err := output("go", "-C", folder, "list", "-f", "{{.Dir}}", gjson)
	if err != nil {
		return "", err
	}
	replacement := filepath.Join(dir, "gjson")
	if err := os.CopyFS(replacement, os.DirFS(original)); err != nil {
		return "", err
	}
	sources, err := apply(original, []cut{modifiers, formatting})
	if err != nil {
		return "", fmt.Errorf("%s: %w", gjson, err)
	}
	for file, text := range sources {
		if err := os.WriteFile(filepath.Join(replacement, file), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	gomod, err := output("go", "-C", folder, "env", "GOMOD")
	if err != nil {
		return "", err
	}
	for name, more := range map[string]string{
		"go.mod": fmt.Sprintf("\nreplace %s => %q\n", gjson, replacement),
		"go.sum": "",
	} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(gomod), name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, more...), 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "go.mod"), nil
}

package layers

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFuzzTargets: "make fuzz" has every fuzz target that there is, and no other.
func TestFuzzTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var listed, found []string
	for _, target := range regexp.MustCompile(`(?m)^\t(\S+):(\S+):(Fuzz\w+)`).FindAllSubmatch(makefile, -1) {
		listed = append(listed, filepath.Join(string(target[1]), string(target[2]))+":"+string(target[3]))
	}
	function := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "build" || entry.Name() == ".git" || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, f := range function.FindAllSubmatch(source, -1) {
			folder, _ := filepath.Rel(root, filepath.Dir(path)) // of which both are known
			found = append(found, folder+":"+string(f[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(listed)
	slices.Sort(found)
	if diff := cmp.Diff(listed, found); diff != "" {
		t.Errorf("targets that the Makefile has and the project hasn't (-), and the other way round (+):\n%s", diff)
	}
}

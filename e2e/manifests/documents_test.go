package manifests_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A text is a file of YAML, or a block of it, or of JSON, in a page of Markdown.
type text struct {
	// file is the file's path from the root, and line where in it the text begins.
	file string
	line int
	// content has as many empty lines before it as the page has, so that the lines of
	// messages are the page's.
	content string
	// mistake is what the page says of a block that is wrong on purpose.
	mistake string
}

// String is the place of the text.
func (t text) String() string { return fmt.Sprintf("%s:%d", t.file, t.line) }

// operated are the folders of deploy that e2e/operate checks, by the programs that read them.
var operated = []string{"grafana", "prometheus"}

// texts are all manifests and configurations of the repository that its users copy, or have
// corsctl write.
func texts(root string) ([]text, error) {
	var files []string
	for _, pattern := range []string{"envoy.yaml", "README.md", "docs/*.md", "internal/render/testdata/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || found == nil {
			return nil, fmt.Errorf("%s: no such file, or %w", pattern, err)
		}
		files = append(files, found...)
	}
	err := filepath.WalkDir(filepath.Join(root, "deploy"), func(path string, _ fs.DirEntry, err error) error {
		if slices.Contains(operated, filepath.Base(path)) {
			return filepath.SkipDir
		}
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []text
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return nil, err
		}
		if filepath.Ext(path) != ".md" {
			all = append(all, text{file: name, line: 1, content: string(content)})
			continue
		}
		found, err := blocks(name, string(content))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

var (
	fence = regexp.MustCompile("^( *)```(.*)$")
	// mistake is the comment before a block that is wrong on purpose.
	mistake = regexp.MustCompile(`^ *<!-- a mistake: (.+) -->$`)
)

// prose are the languages of blocks that are not for this test.
var prose = []string{"sh", "console", "text", "go", "mermaid", "diff", "http", "sql"}

// blocks are the blocks of YAML and JSON in a page.
func blocks(name, page string) (list []text, err error) {
	lines := strings.Split(page, "\n")
	expected := ""
	for i := 0; i < len(lines); i++ {
		begin := fence.FindStringSubmatch(lines[i])
		if begin == nil {
			if comment := mistake.FindStringSubmatch(lines[i]); comment != nil {
				expected = comment[1]
			} else if lines[i] != "" {
				expected = "" // It was before something else.
			}
			continue
		}
		length := slices.IndexFunc(lines[i+1:], func(line string) bool {
			return strings.TrimLeft(line, " ") == "```"
		})
		if length < 0 {
			return nil, fmt.Errorf("%s:%d: the block has no end", name, i+1)
		}
		block := text{file: name, line: i + 2, mistake: expected}
		block.content = strings.Repeat("\n", i+1)
		for _, line := range lines[i+1:][:length] {
			block.content += strings.TrimPrefix(line, begin[1]) + "\n"
		}
		switch language := begin[2]; {
		case language == "yaml", language == "json":
			list = append(list, block)
		case !slices.Contains(prose, language):
			return nil, fmt.Errorf("%s:%d: the block is in the language %q; write yaml or json for what is to be "+
				"checked, text for what is not", name, i+1, language)
		}
		i, expected = i+1+length, ""
	}
	return list, nil
}

// title finds what a block calls itself in its first line.
var title = regexp.MustCompile(`^\s*# (\S+\.(?:yaml|json))\n`)

// reader reads what a text refers to: a block of the same page that calls itself so, or a
// file below the root.
func reader(root string, all []text, of text) func(name string) (string, error) {
	return func(name string) (string, error) {
		for _, other := range all {
			called := title.FindStringSubmatch(other.content)
			if other.file == of.file && called != nil && called[1] == filepath.Base(name) {
				return other.content, nil
			}
		}
		content, err := fs.ReadFile(os.DirFS(root), filepath.ToSlash(name))
		return string(content), err
	}
}

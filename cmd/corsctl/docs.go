package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newDocs() *cobra.Command {
	c := &cobra.Command{
		Use:   "docs man|markdown DIR",
		Short: "Write the manual of the commands into a folder",
		Long: `docs writes what --help says of each command into a file of its own: as man pages of
the section 1, or as Markdown. The folder is made if it isn't there. The same corsctl
writes the same bytes.`,
		Example: `  corsctl docs man ~/.local/share/man/man1
  corsctl docs markdown docs/corsctl`,
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return errors.New("docs needs a format, man or markdown, and a folder")
		case manuals[args[0]] == nil:
			return fmt.Errorf("there is no manual in %q; write one of man, markdown", args[0])
		case len(args) != 2:
			return fmt.Errorf("docs %s needs one folder", args[0])
		}
		return nil
	}
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return []string{"man", "markdown"}, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[1], 0o755); err != nil {
			return err
		}
		root := newRoot() // which nobody else has begun to use
		strict(root)
		return writeManual(root, args[1], manuals[args[0]])
	}
	return c
}

// A manual makes the page of a command, and says what its file is called.
type manual func(c *cobra.Command) (name string, page []byte, err error)

var manuals = map[string]manual{"man": manPage, "markdown": markdownPage}

// writeManual writes the pages of a command and of those below it.
func writeManual(c *cobra.Command, dir string, page manual) error {
	c.DisableAutoGenTag = true // It would have today's date.
	name, content, err := page(c)
	if err != nil {
		return err
	}
	const everyoneReads = 0o644
	if err := os.WriteFile(filepath.Join(dir, name), content, everyoneReads); err != nil {
		return err
	}
	for _, below := range c.Commands() {
		if !below.IsAvailableCommand() || below.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeManual(below, dir, page); err != nil {
			return err
		}
	}
	return nil
}

// fileName is a command's name as a file's.
func fileName(c *cobra.Command, separator string) string {
	return strings.ReplaceAll(c.CommandPath(), " ", separator)
}

// manPage is a man page of the section 1. Its date is left out, because it would be that of its
// making.
func manPage(c *cobra.Command) (string, []byte, error) {
	var page bytes.Buffer
	err := doc.GenMan(literal(c), &doc.GenManHeader{
		Title: strings.ToUpper(fileName(c, "-")), Section: "1", Date: &time.Time{},
		Source: "corsctl " + thisBuild().Version, Manual: "Manual of corsctl",
	}, &page)
	undated := bytes.Replace(page.Bytes(), []byte(`"Jan 0001"`), []byte(`""`), 1)
	return fileName(c, "-") + ".1", undated, err
}

// markdownPage is a page of Markdown.
func markdownPage(c *cobra.Command) (string, []byte, error) {
	var page bytes.Buffer
	err := doc.GenMarkdown(literal(c), &page)
	return fileName(c, "_") + ".md", page.Bytes(), err
}

// literal is the command with a text in which what is indented is literal to Markdown, which both
// kinds of pages are made of, and what isn't has no markup.
func literal(c *cobra.Command) *cobra.Command {
	lines := strings.Split(c.Long, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "  ") {
			lines[i] = "  " + line
		} else {
			lines[i] = escaped.Replace(line)
		}
	}
	c.Long = strings.Join(lines, "\n")
	return c
}

// escaped are the characters that mean something in a line of Markdown.
var escaped = strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`, "`", "\\`", "[", `\[`)

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// results are what a run finds.
type results struct {
	options *options
	envoy   string // its version
	setting string // where and of what the figures are

	goals    []goal
	chapters []chapter
	files    map[string]string // to write, by name: charts, and the report
}

func newResults(o *options, f *files) *results {
	// What can't be found out stays empty.
	find := func(pattern string, text []byte) string {
		return string(append(regexp.MustCompile(pattern).FindSubmatch(text), nil, nil)[1])
	}
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	version, _ := exec.Command(f.envoy, "--version").Output()
	size, _ := fileSize(f.cors)
	r := &results{options: o, files: map[string]string{}, envoy: find(`version: \w+/([^/]+)`, version)}
	r.setting = fmt.Sprintf("%s: %s, %d cores, Linux %s; Envoy %s with one worker; module of %s by %s.",
		time.Now().UTC().Format(time.DateOnly), find(`model name\s*: (.*)`, cpu), runtime.NumCPU(),
		strings.TrimSpace(string(kernel)), r.envoy, amount(size), runtime.Version())
	return r
}

// A chapter is a part of the report: words and a table.
type chapter struct {
	title, text string
	rows        [][]string // the first one has the names of the columns
}

// add appends a chapter, and shows it on the terminal.
func (r *results) add(c chapter) {
	r.chapters = append(r.chapters, c)
	fmt.Printf("\n%s\n\n%s\n", c.title, c.table())
}

// table is the chapter's table in Markdown, aligned for the terminal: names to the
// left, figures to the right.
func (c *chapter) table() string {
	widths := make([]int, len(c.rows[0]))
	for _, row := range c.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range c.rows {
		fmt.Fprintf(&b, "| %-*s |", widths[0], row[0])
		for i, cell := range row[1:] {
			fmt.Fprintf(&b, " %*s |", widths[i+1], cell)
		}
		b.WriteByte('\n')
		if n == 0 {
			b.WriteString("|-" + strings.Repeat("-", widths[0]) + "-|")
			for _, width := range widths[1:] {
				b.WriteString(strings.Repeat("-", width+1) + ":|")
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// write writes the results, if there are any, into a folder.
func (r *results) write(dir string) error {
	if len(r.chapters) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	o := r.options
	var b strings.Builder
	fmt.Fprintf(&b, `# What CORS costs

Written by `+"`make bench`"+`.

%s
%d rounds of bursts of %d requests over %d connections of HTTP/1.1, answered by Envoy
itself. Requests have Host, User-Agent, Accept, and what their kind needs.
`, r.setting, o.rounds, o.burst, o.connections)
	chapters := r.chapters
	if len(r.goals) > 0 {
		goals := r.reportGoals()
		fmt.Printf("\n%s\n\n%s\n", goals.title, goals.table())
		chapters = append([]chapter{goals}, chapters...)
	}
	for _, c := range chapters {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s", c.title, c.text, c.table())
	}
	r.files["results.md"] = b.String()
	for name, text := range r.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	say("results are in %s", dir)
	return nil
}

// amount is the size of a file or a document.
func amount(bytes float64) string {
	if bytes < 100_000 {
		return fmt.Sprintf("%.1f kB", bytes/1e3)
	}
	return fmt.Sprintf("%.2f MB", bytes/1e6)
}

// mebibyte is the unit of memory.
const mebibyte = 1 << 20

// memory is an amount of memory.
func memory(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/mebibyte) }

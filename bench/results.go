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
	machine machine
	options *options

	chapters []chapter
	charts   map[string]string // SVG, by file name
}

// A machine is where and of what the figures are.
type machine struct {
	Date        string
	CPU         string
	Cores       int
	Kernel      string
	Envoy       string
	Go          string
	ModuleBytes int64
}

func describe(f *files) machine {
	m := machine{CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.Date = time.Now().UTC().Format(time.DateOnly)
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if found := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); found != nil {
			m.CPU = string(found[1])
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := exec.Command(f.envoy, "--version").Output(); err == nil {
		if found := regexp.MustCompile(`version: \w+/([^/]+)`).FindSubmatch(text); found != nil {
			m.Envoy = string(found[1])
		}
	}
	if info, err := os.Stat(f.cors); err == nil {
		m.ModuleBytes = info.Size()
	}
	return m
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

// chart keeps a chart to be written.
func (r *results) chart(file, svg string) {
	if r.charts == nil {
		r.charts = map[string]string{}
	}
	r.charts[file] = svg
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
	m, o := r.machine, r.options
	var b strings.Builder
	fmt.Fprintf(&b, "# What CORS costs\n\nWritten by `make bench`.\n\n")
	fmt.Fprintf(&b, "%s: %s, %d cores, Linux %s; Envoy %s with one worker; module of %s by %s.\n",
		m.Date, m.CPU, m.Cores, m.Kernel, m.Envoy, amount(float64(m.ModuleBytes)), m.Go)
	fmt.Fprintf(&b, `%d rounds of bursts of %d requests over %d connections of HTTP/1.1, answered by Envoy
itself. Requests have Host, User-Agent, Accept, and what their kind needs.
`, o.rounds, o.burst, o.connections)
	for _, c := range r.chapters {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s", c.title, c.text, c.table())
	}
	all := map[string]string{"results.md": b.String()}
	for name, svg := range r.charts {
		all[name] = svg
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	say("results are in %s", dir)
	return nil
}

func amount(bytes float64) string {
	if bytes < 100_000 {
		return fmt.Sprintf("%.1f kB", bytes/1e3)
	}
	return fmt.Sprintf("%.1f MB", bytes/1e6)
}

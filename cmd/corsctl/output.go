package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"golang.org/x/text/width"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A format is the value of the flag --output: one of several words.
type format struct {
	value string
	among []string
}

// outputFlag gives a command the flag --output. The first format is the default.
func outputFlag(c *cobra.Command, among ...string) *format {
	f := &format{among[0], among}
	c.Flags().VarP(f, "output", "o", "how to print: "+strings.Join(among, ", "))
	complete(c, "output", among)
	return f
}

// complete makes the shell complete the words of a flag.
func complete(c *cobra.Command, flag string, words []string) {
	completions := cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	if err := c.RegisterFlagCompletionFunc(flag, completions); err != nil {
		panic(err) // the flag is there
	}
}

// String implements pflag.Value.
func (f *format) String() string { return f.value }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(value string) error {
	if !slices.Contains(f.among, value) {
		return fmt.Errorf("write one of %s", strings.Join(f.among, ", "))
	}
	f.value = value
	return nil
}

// printJSON prints a value as indented JSON.
func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// read reads a file, or standard input if the name is "-".
func read(c *cobra.Command, name string) (display, text string, err error) {
	if name != "-" {
		text, err = readText(name)
		return name, text, err
	}
	content, err := io.ReadAll(c.InOrStdin())
	return "<stdin>", string(content), err
}

// readText reads a file that another one names.
func readText(name string) (string, error) {
	content, err := os.ReadFile(name)
	return string(content), err
}

// files is the check that a command has at least one argument, and at most so many, or else
// the error.
func files(most int, otherwise string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 || len(args) > most {
			return errors.New(otherwise)
		}
		return nil
	}
}

// verdict is how a command ends that couldn't read all files, or found something wrong.
func verdict(unread error, wrong bool) error {
	if unread == nil && wrong {
		return errFindings
	}
	return unread
}

// A writer remembers the first failure to write, which else nobody would see.
type writer struct {
	io.Writer
	err error
}

// Write implements [io.Writer].
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// A painter colours text for a terminal, and only for one.
type painter struct{ on bool }

// paint is the painter for what is printed to w.
func paint(w io.Writer) painter {
	if remembering, ok := w.(*writer); ok {
		w = remembering.Writer
	}
	f, ok := w.(*os.File)
	return painter{ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The colours, as parameters of the control sequence SGR (ECMA-48).
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// painted is text that may control the terminal, because it was made here.
type painted string

func (p painter) in(colour, s string) painted {
	if s = printable(s); !p.on || s == "" {
		return painted(s)
	}
	return painted("\x1b[" + colour + "m" + s + "\x1b[0m")
}

// printFindings prints findings, each with the line it is about.
func printFindings(w io.Writer, findings []*document.Finding) {
	p := paint(w)
	for _, f := range findings {
		colour, suffix := red, ""
		if f.Warning {
			colour, suffix = yellow, " (warning)"
		}
		fmt.Fprintf(w, "%s: %s%s\n", p.in(bold, f.Place()), p.in(colour, f.Message()), p.in(faint, suffix))
		if line, caret := excerpt(f.Text()); line != "" {
			fmt.Fprintf(w, "    %s\n    %s\n", line, p.in(colour, caret))
		}
	}
}

// excerpt is the part of a line around a place that fits on a terminal, and a line with
// a caret that points to the place.
func excerpt(line string, at int) (part, caret string) {
	const before, columns = 60, 100
	from := at
	for n := 0; from > 0 && n < before; n++ {
		_, size := utf8.DecodeLastRuneInString(line[:from])
		from -= size
	}
	if utf8.RuneCountInString(line[:min(from, 4*before)]) <= 10 {
		from = 0 // little would be saved
	}
	var text, spaces strings.Builder
	if from > 0 {
		text.WriteRune('…')
		spaces.WriteByte(' ')
	}
	n := 0
	for i, r := range line[from:] {
		if n++; n > columns {
			text.WriteRune('…')
			break
		}
		switch {
		case r == '\t':
			r = ' '
		case !unicode.IsPrint(r):
			r = '\uFFFD'
		}
		text.WriteRune(r)
		if from+i < at {
			spaces.WriteString(strings.Repeat(" ", cells(r)))
		}
	}
	return strings.TrimRight(text.String(), " "), spaces.String() + "^"
}

// cells is how many columns of a terminal a character takes
// (https://www.unicode.org/reports/tr11/).
func cells(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// printable makes sure that what a file has in it can't control the terminal.
func printable(s string) string { return problem.Printable(s, '\uFFFD') }

// count is the number of errors and of warnings.
func count(findings []*document.Finding) (errors, warnings int) {
	for _, f := range findings {
		switch {
		case f.Kind == problem.More:
			errors, warnings = errors+f.MoreErrors, warnings+f.MoreWarnings
		case f.Warning:
			warnings++
		default:
			errors++
		}
	}
	return errors, warnings
}

// plural is a number of things in words.
func plural(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

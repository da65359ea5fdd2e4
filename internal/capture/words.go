package capture

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// shellArguments returns the arguments of the first curl command of a script for
// bash or another shell. It may stand behind other words, such as sudo or a prompt.
func shellArguments(script string) (args, warnings []string, err error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil {
		return nil, nil,
			fmt.Errorf("a shell does not read this: %w; copy the whole command, with 'Copy as cURL (bash)'", err)
	}
	var calls [][]*syntax.Word
	syntax.Walk(file, func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok {
			for i, word := range call.Args {
				if isCurl(word.Lit()) {
					calls = append(calls, call.Args[i+1:])
					break
				}
			}
		}
		_, ok := node.(*syntax.Word) // Commands inside of words are not run.
		return !ok
	})
	if calls == nil {
		return nil, nil, errors.New("no curl command in this; copy a request with 'Copy as cURL'")
	}
	if len(calls) > 1 {
		warnings = append(warnings, fmt.Sprintf("only the first of %d curl commands is looked at", len(calls)))
	}
	for _, word := range calls[0] {
		args = append(args, unquote(script, word.Parts, unquotedEscape, &warnings))
	}
	return args, warnings, nil
}

// The backslashes that a shell removes, with what stays behind each: not a line's end.
var (
	unquotedEscape = regexp.MustCompile(`\\(?:\n|(.))`)
	quotedEscape   = regexp.MustCompile("\\\\(?:\n|([$`\"\\\\]))")
)

// unquote returns the text of the parts of a word. What a shell would put in, such
// as a variable's value, stays as it is written.
func unquote(script string, parts []syntax.WordPart, escape *regexp.Regexp, warnings *[]string) string {
	var text strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			text.WriteString(escape.ReplaceAllString(part.Value, "$1"))
		case *syntax.SglQuoted:
			value := part.Value
			if formatted, _, err := expand.Format(nil, value, nil); part.Dollar && err == nil {
				value, _, _ = strings.Cut(formatted, "\x00") // as the shell does
			}
			text.WriteString(value)
		case *syntax.DblQuoted:
			text.WriteString(unquote(script, part.Parts, quotedEscape, warnings))
		default:
			source := script[part.Pos().Offset():part.End().Offset()]
			*warnings = append(*warnings, fmt.Sprintf("%s is taken as it stands; write its value, if it matters",
				expansion(part, source)))
			text.WriteString(source)
		}
	}
	return text.String()
}

// expansion is what messages call what a shell would put in: more than a variable's name
// may have a secret in it.
func expansion(part syntax.WordPart, source string) string {
	switch part := part.(type) {
	case *syntax.ParamExp:
		if part.Short || source == "${"+part.Param.Value+"}" {
			return source
		}
		return "${" + part.Param.Value + "…}"
	case *syntax.CmdSubst:
		return "$(…)"
	}
	return "an expansion of the shell"
}

// cmdArguments returns the arguments of the first curl command that is written for
// Windows' cmd, in the two steps in which it is read there.
func cmdArguments(command string) (args, warnings []string, err error) {
	line, more := cmdLine(command)
	if more {
		warnings = append(warnings, "only the first of several commands is looked at")
	}
	args = cmdWords(line)
	for i, arg := range args {
		if isCurl(arg) {
			return args[i+1:], warnings, nil
		}
	}
	return nil, nil, errors.New("no curl command in this; copy a request with 'Copy as cURL'")
}

// cmdLine is the step of cmd.exe: a caret takes the next character for what it is,
// and disappears with a line's end. An & ends the command. Browsers have not always
// known that carets are no escapes in quotes, and mean them as such there, too.
func cmdLine(command string) (line string, more bool) {
	var b strings.Builder
	command = strings.ReplaceAll(command, "\r\n", "\n")
	quoted := false
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == '^' && i+1 < len(command):
			if i++; command[i] == '\n' {
				if i++; i == len(command) {
					break
				}
			}
			b.WriteByte(command[i])
		case c == '&' && !quoted || c == '\n' && !quoted:
			return b.String(), strings.Contains(command[i:], "curl")
		default:
			quoted = quoted != (c == '"')
			b.WriteByte(c)
		}
	}
	return b.String(), false
}

// cmdWords is the step of Microsoft's C runtime: words are separated by white
// space outside of quotes, and a backslash escapes a quote. By the book it escapes
// another backslash only before a quote; browsers double all that they write, and
// mean one.
//
// See https://learn.microsoft.com/en-us/cpp/c-language/parsing-c-command-line-arguments.
func cmdWords(line string) (words []string) {
	var word []byte // nil between words
	quoted := false
	for i := 0; i < len(line); i++ {
		c, next := line[i], byte(0)
		if i+1 < len(line) {
			next = line[i+1]
		}
		isSpace := !quoted && (c == ' ' || c == '\t' || c == '\n')
		switch {
		case isSpace && word != nil:
			words, word = append(words, string(word)), nil
		case isSpace:
		case c == '\\' && (next == '\\' || next == '"'), c == '"' && quoted && next == '"':
			i++
			word = append(word, next)
		case c == '"':
			quoted = !quoted
			if word == nil {
				word = []byte{} // There is one, of nothing so far.
			}
		default:
			word = append(word, c)
		}
	}
	if word != nil {
		words = append(words, string(word))
	}
	return words
}

package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// tables are the documentation's tables, each with the line that says what it is of.
var tables = []struct{ name, intro, text string }{
	{"top", "At the top are either one policy's fields, or:", fieldTable(Top)},
	{"policy", "A policy:", fieldTable(policyRows())},
	{"allow_origins", "An entry of `allow_origins`:", entryTable()},
	{"policy_source", "A `policy_source`:", fieldTable(Source)},
	{"origin_lookup", "An `origin_lookup`:", fieldTable(Lookup)},
}

// Markdown is the documentation of the format: all tables, each after a line that
// says what it is of.
func Markdown() string {
	var parts []string
	for _, t := range tables {
		parts = append(parts, t.intro+"\n\n"+t.text)
	}
	return strings.Join(parts, "\n")
}

func entryTable() string {
	rows := [][]string{{"entry", "allows"}}
	for _, e := range Entries {
		rows = append(rows, []string{"`" + e.Example + "`", e.Allows})
	}
	return rowTable(rows)
}

// policyRows are the fields of a policy, those of its match in place of the match.
func policyRows() (fields []Field) {
	for _, f := range Policy {
		if f.Name != "match" {
			fields = append(fields, f)
			continue
		}
		for _, m := range Match {
			m.Name = "match." + m.Name
			fields = append(fields, m)
		}
	}
	return fields
}

// fieldTable is a table of fields, without the columns that are empty.
func fieldTable(fields []Field) string {
	rows := make([][]string, 1+len(fields))
	for _, column := range []struct {
		header  string
		cell    func(Field) string
		ifEmpty string
	}{
		{"field", func(f Field) string { return "`" + f.Name + "`" }, ""},
		{"required", func(f Field) string { return f.Required }, "no"},
		{"default", without, ""},
		{"meaning", func(f Field) string { return f.Description }, ""},
	} {
		if !slices.ContainsFunc(fields, func(f Field) bool { return column.cell(f) != "" }) {
			continue
		}
		rows[0] = append(rows[0], column.header)
		for i, f := range fields {
			rows[i+1] = append(rows[i+1], cmp.Or(column.cell(f), column.ifEmpty))
		}
	}
	return rowTable(rows)
}

// without says what goes without the field.
func without(f Field) string {
	if f.Default != "" {
		return "`" + f.Default + "`"
	}
	return f.Otherwise
}

func rowTable(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		b.WriteByte('|')
		for _, cell := range row {
			if cell != "" {
				b.WriteByte(' ')
			}
			b.WriteString(strings.ReplaceAll(cell, "|", `\|`) + " |")
		}
		b.WriteByte('\n')
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}

// Fill returns a Markdown document with the tables in their places: each between its
// marker, "<!-- begin: NAME (go generate ./config/schema) -->", and "<!-- end -->".
func Fill(doc string) (string, error) {
	const last = "<!-- end -->"
	for _, t := range tables {
		begin := "<!-- begin: " + t.name + " (go generate ./config/schema) -->\n"
		before, rest, found := strings.Cut(doc, begin)
		if !found {
			return "", fmt.Errorf("there is no line %s; write it before the table, and %s after it",
				strings.TrimSpace(begin), last)
		}
		_, after, found := strings.Cut(rest, last)
		if !found {
			return "", fmt.Errorf("the table %s has no end; write %s after it", t.name, last)
		}
		doc = before + begin + "\n" + t.text + "\n" + last + after
	}
	return doc, nil
}

// entryList has a line for each of the Entries.
func entryList() string {
	var b strings.Builder
	for _, e := range Entries {
		b.WriteString("\n- `" + e.Example + "`: " + e.Allows)
	}
	return b.String()
}

func entryExamples() (list []raw) {
	for _, e := range Entries {
		list = append(list, raw(e.Example))
	}
	return list
}

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// A regex may name Unicode's categories and scripts, whose tables are 150 kB with the code that
// puts them into maps. An origin has ASCII alone, and the automaton that a regex becomes asks its
// program for nothing else (internal/origin: instructionSet). So regexp/syntax knows all the
// names, and of each what it has of ASCII: the same regexes are taken, and refused, and match the
// same origins. It is alike with case: of the characters that aren't ASCII the two that fold to a
// letter that is are known, the others stand for themselves.
var classes = cut{
	unless: []string{"regexp."},
	edits: []edit{
		{file: "regexp/syntax/ascii.go", new: asciiClasses()},
		{
			file: "regexp/syntax/parse.go",
			old: `	name = canonicalName(name)

	// Special cases: Any, Assigned, and ASCII.
`,
			new: `	return asciiOf(canonicalName(name))
`,
		},
		{
			file: "unicode/tables.go",
			old: `var FoldCategory = map[string]*RangeTable{
	"L":  foldL,
	"Ll": foldLl,
	"Lt": foldLt,
	"Lu": foldLu,
	"M":  foldM,
	"Mn": foldMn,
}
`,
			new: "var FoldCategory map[string]*RangeTable\n",
		},
		{
			file: "unicode/tables.go",
			old: `var FoldScript = map[string]*RangeTable{
	"Common":    foldCommon,
	"Greek":     foldGreek,
	"Inherited": foldInherited,
}
`,
			new: "var FoldScript map[string]*RangeTable\n",
		},
		{file: "regexp/syntax/parse.go", old: "unicode.SimpleFold(", new: "simpleFold(", times: 8},
		{file: "regexp/syntax/compile.go", old: "unicode.SimpleFold(", new: "simpleFold("},
		{file: "regexp/syntax/prog.go", old: "	\"unicode\"\n", new: ""},
		{file: "regexp/syntax/prog.go", old: "unicode.SimpleFold(", new: "simpleFold(", times: 2},
		{file: "regexp/syntax/regexp.go", old: "unicode.SimpleFold(", new: "simpleFold(", times: 3},
	},
}

// asciiClasses is a file for regexp/syntax: what its classes have of ASCII, by the tables of the
// Go that runs this, which is the one that builds the module.
func asciiClasses() string {
	// The names of the classes that have the same, in the order of the file.
	names := map[string][]string{}
	for name, c := range unicodeClasses() {
		have := "[]rune{" + asciiRanges(c.table) + "}, []rune{" + asciiRanges(c.fold) + "}"
		names[have] = append(names[have], name)
	}
	var b strings.Builder
	b.WriteString(asciiHead)
	for _, have := range slices.Sorted(maps.Keys(names)) {
		slices.Sort(names[have])
		fmt.Fprintf(&b, "\t{%q, %s},\n", ";"+strings.Join(names[have], ";")+";", have)
	}
	b.WriteString("}\n")
	return b.String()
}

// asciiHead is what the file has beside the table.
const asciiHead = `package syntax

import (
	"strings"
	"unicode"
)

// asciiOf returns what the class with a canonical name has of ASCII, and what that folds to.
func asciiOf(name string) (table, fold *unicode.RangeTable, sign int) {
	sign = +1
	switch {
	case name == "Any":
		return anyTable, anyTable, +1
	case name == "Ascii":
		return asciiTable, asciiFoldTable, +1
	case name == "Assigned":
		name, sign = "Cn", -1
	case strings.Contains(name, ";"):
		return nil, nil, 0
	}
	for _, c := range asciiClasses {
		if strings.Contains(c.names, ";"+name+";") {
			if len(c.fold) > 0 {
				fold = rangeTable(c.fold)
			}
			return rangeTable(c.table), fold, sign
		}
	}
	return nil, nil, 0
}

// rangeTable is a table of pairs of first and last characters.
func rangeTable(pairs []rune) *unicode.RangeTable {
	t := &unicode.RangeTable{}
	for i := 0; i < len(pairs); i += 2 {
		t.R16 = append(t.R16, unicode.Range16{Lo: uint16(pairs[i]), Hi: uint16(pairs[i+1]), Stride: 1})
	}
	return t
}

// simpleFold is unicode.SimpleFold of ASCII, and of what folds to that.
func simpleFold(r rune) rune {
	switch {
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	case r == 'k':
		return 0x212A
	case r == 's':
		return 0x17F
	case 'a' <= r && r <= 'z':
		return r - ('a' - 'A')
	case r == 0x17F:
		return 'S'
	case r == 0x212A:
		return 'K'
	}
	return r
}

var asciiClasses = []struct {
	names       string
	table, fold []rune
}{
`

// A unicodeClass is what regexp/syntax knows of a name: a table, and what case folding adds.
type unicodeClass struct{ table, fold *unicode.RangeTable }

// unicodeClasses are all classes of regexp/syntax by their canonical names.
func unicodeClasses() map[string]unicodeClass {
	known := map[string]unicodeClass{}
	for alias, name := range unicode.CategoryAliases {
		known[canonicalName(alias)] = unicodeClass{unicode.Categories[name], unicode.FoldCategory[name]}
	}
	for name, table := range unicode.Scripts {
		// Of a name that isn't canonical regexp/syntax finds nothing, whatever the case.
		known[name] = unicodeClass{table, unicode.FoldScript[name]}
	}
	maps.DeleteFunc(known, func(name string, _ unicodeClass) bool { return canonicalName(name) != name })
	for name, table := range unicode.Categories {
		known[canonicalName(name)] = unicodeClass{table, unicode.FoldCategory[name]}
	}
	return known
}

// canonicalName is what regexp/syntax looks up for a name: without underscores, and with the
// first letter alone in upper case.
func canonicalName(name string) string {
	name = strings.ToLower(strings.ReplaceAll(name, "_", ""))
	return strings.ToUpper(name[:1]) + name[1:]
}

// asciiRanges are the first and the last characters of what a table has of ASCII, as Go writes
// the elements of a list.
func asciiRanges(table *unicode.RangeTable) string {
	var pairs []string
	if table == nil {
		return ""
	}
	for r := rune(0); r < 0x80; r++ {
		first := r
		for r < 0x80 && unicode.Is(table, r) {
			r++
		}
		if r > first {
			pairs = append(pairs, fmt.Sprintf("%#x, %#x", first, r-1))
		}
	}
	return strings.Join(pairs, ", ")
}

package document_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// TestJSON: a tree is written as JSON, and each of its parts knows where it comes from.
func TestJSON(t *testing.T) {
	for _, test := range []struct {
		name, file, text string
		want             string
	}{
		{"json", "a.json", `{"a": [1, "ä", null, true, -1.5e3, {}], "a": "\u00e9"}`,
			`{"a": [1, "ä", null, true, -1.5e3, {}], "a": "é"}`},
		{"json by its first character", "-", ` {"a": 1}`, `{"a": 1}`},
		{"yaml by its name", "a.yaml", `{a: 1}`, `{"a": 1}`},
		{"block", "a.yaml", "a:\n- b\n- 'c'\n- \"d\\n\"\n", `{"a": ["b", "c", "d\n"]}`},
		{"scalars", "a.yaml", "[~, null, True, FALSE, yes, 0x1F, 1_000, .5, 1e3, .inf, 2001-01-01, !!str 1, '1']",
			`[null, null, true, false, "yes", 31, 1000, 0.5, 1000, ".inf", "2001-01-01", "1", "1"]`},
		{"literal", "a.yaml", "a: |\n  x\n   y\n", `{"a": "x\n y\n"}`},
		{"aliases", "a.yaml", "a: &x [1]\nb: *x\n", `{"a": [1], "b": [1]}`},
		{"merge", "a.yaml", "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n",
			`{"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}}`},
		{"merge of several", "a.yaml", "- &x {p: 1}\n- &y {p: 2, q: 2}\n- <<: [*x, *y]\n",
			`[{"p": 1}, {"p": 2, "q": 2}, {"p": 1, "q": 2}]`},
		{"deep json", "a.json", strings.Repeat("[", 900) + strings.Repeat("]", 900),
			strings.Repeat("[", 900) + strings.Repeat("]", 900)},
		{"twice", "a.yaml", "a: 1\na: 2\n", `{"a": 1, "a": 2}`},
		{"a key that is no string", "a.yaml", "1: a\ntrue: b\n", `{"1": "a", "true": "b"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, failed := document.Parse(test.file, test.text)
			if failed != nil {
				t.Fatal(failed)
			}
			if got, _ := file.Documents[0].JSON(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestOffsets: whatever YAML does to a string, each of its characters is found where
// the file has it. The mark ⟨ stands before the character that the offset is of.
func TestOffsets(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"plain", "a: x ⟨@ y"},
		{"plain over lines", "a: x\n   y\n   ⟨@ z"},
		{"single-quoted", "a: 'it''s ⟨@'"},
		{"single-quoted over lines", "a: 'it''s\n\n    so ⟨@'"},
		{"double-quoted", `a: "x ⟨@"`},
		{"escapes", `a: "\"\\\n\t\x41\u00e4\U0001F600 ⟨@"`},
		{"a line that goes on", "a: \"x \\\n    y\\\n   ⟨@\""},
		{"folded double-quoted", "a: \"x\n    y\n   ⟨@\""},
		{"literal", "a: |\n  x\n    y ⟨@\n"},
		{"literal, stripped, with a comment", "a: |-   # why\n\n    x\n\n    y ⟨@"},
		{"literal, indented", "a: |2\n    x\n  ⟨@"},
		{"folded", "a: >\n  x\n  y\n\n  z\n    ⟨@\n"},
		{"literal, of tabs", "a: |\n  {\n  \t\"a\": ⟨@"},
		{"literal, of tabs only", "a: |\n  \t⟨@\n"},
		{"literal, indented with tabs", "a: |1\n  x\n \t ⟨@\n"},
		{"literal, with lines of space", "a: |\n  x\n     \n\n \n   ⟨@"},
		{"literal, with space at the ends of lines", "a: |\n  x  \n  y\t\n  ⟨@"},
		{"literal, in a list, after empty lines", "- - |+\n\n\n    x\n\n    ⟨@\n\n"},
		{"folded, of tabs", "a: >-\n  x\n  \ty\n\n  \t⟨@"},
		{"folded, with more indented lines", "a: >\n  x\n    y\n\n\n    z\n  v\n  w ⟨@\n"},
		{"folded, with space at the ends of lines", "a: >\n  x \n  y\n  ⟨@"},
		{"folded, with carriage returns", "a: >\r\n  x\r\n\r\n  y\r\n  z ⟨@\r\n"},
		{"an anchor and a tag", "a: &anchor !!str\n  'x ⟨@'"},
		{"a long character", "a: 'ä€😀 ⟨@'"},
		{"in a list", "- [1, {a: 'x'}, 'y ⟨@']"},
		{"carriage returns", "a: |\r\n  x\r\n  y ⟨@\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := strings.Index(test.text, "⟨")
			file, failed := document.Parse("test.yaml", strings.Replace(test.text, "⟨", "", 1))
			if failed != nil {
				t.Fatal(failed)
			}
			found := false
			file.Documents[0].Walk(func(n *document.Node) bool {
				if i := strings.IndexByte(n.String(), '@'); i >= 0 {
					found = true
					if got := n.TextMap().Offset(i); got != want {
						t.Errorf("the character is at %v, want %v", file.Position(got), file.Position(want))
					}
				}
				return true
			})
			if !found {
				t.Error("the character isn't in the tree")
			}
		})
	}
}

// TestFailures: what can't be read is an error with a place.
func TestFailures(t *testing.T) {
	for _, test := range []struct{ name, file, text, want string }{
		{"json cut off", "a.json", `{"a": [1`,
			"a.json:1:9: configuration: the configuration ends where a comma or a closing bracket should stand; check that nothing is cut off"},
		{"json with a comma too many", "-", "{\"a\": 1,\n}",
			"-:2:1: configuration: unexpected '}' where a field's name should stand; write names in double quotes, and no comma after the last field"},
		{"a tab", "a.yaml", "a:\n\tb: 1",
			"a.yaml:2:1: configuration: found character that cannot start any token while scanning for the next token; indent with spaces, not with tabs"},
		{"an indentation", "a.yaml", "a:\n  - x\n b: 1",
			"a.yaml:3:2: configuration: did not find expected key while parsing a block mapping; check the indentation"},
		{"a colon", "a.yaml", "a: b: c",
			"a.yaml:1:5: configuration: mapping values are not allowed in this context; put a value with a colon in quotes, and check the indentation"},
		{"a wildcard", "a.yaml", "a: [*.example]",
			"a.yaml:1:5: configuration: unknown anchor '.example' referenced; put a value that begins with a star in quotes"},
		{"a star", "a.yaml", `a: ["é", *]`,
			`a.yaml:1:10: configuration: a star that stands alone is no value; write it in quotes, "*"`},
		{"a star in a list of lines", "a.yaml", "a:\n- *\nb: 1",
			`a.yaml:2:3: configuration: a star that stands alone is no value; write it in quotes, "*"`},
		{"no bracket at the end", "a.yaml", "a: [b\nc: d",
			"a.yaml:2:2: configuration: did not find expected ',' or ']' while parsing a flow sequence; check that each bracket is closed, with commas between the values"},
		{"an end", "a.yaml", "a: 'b",
			"a.yaml:1:6: configuration: found unexpected end of stream while scanning a quoted scalar; check that nothing is cut off"},
		{"no anchor", "a.yaml", "a: *b",
			"a.yaml:1:4: configuration: unknown anchor 'b' referenced; put a value that begins with a star in quotes"},
		{"not UTF-8", "a.yaml", "a: b\nc: \xff",
			"a.yaml:2:4: configuration: the file is not valid UTF-8; save it as UTF-8"},
		{"a control character", "a.yaml", "a: \x00",
			`a.yaml:1:4: configuration: the file has a control character, '\x00'; leave it out`},
		{"a list as a name", "a.yaml", "a:\n  ? [b]\n  : c\n",
			"a.yaml:2:5: configuration: a field's name is a list or an object; write a string"},
		{"a merge of a number", "a.yaml", "<<: 5\na: 1",
			"a.yaml:1:5: configuration: a merge (<<) needs an object; merge an alias of one, or a list of such aliases"},
		{"a merge of a number in a list", "a.yaml", "<<: [{b: 1}, 5]\na: 1",
			"a.yaml:1:5: configuration: a merge (<<) needs an object; merge an alias of one, or a list of such aliases"},
		{"a byte order mark", "a.json", "\ufeff{}",
			"a.json:1:1: configuration: begins with a byte order mark; save it without"},
		{"too deep json", "a.json", strings.Repeat("[", 2000),
			"a.json:1:1001: configuration: values are nested more than 1000 levels deep; check the brackets"},
		{"too deep yaml", "a.yaml", strings.Repeat("- ", 2000),
			"a.yaml:1:2003: configuration: values are nested more than 1000 levels deep; check the brackets"},
		{"too many values", "a.yaml", strings.Repeat("- \n", 1<<20),
			"a.yaml:1048576:2: configuration: the file has more than 1048576 values, aliases counted where they are used; split the file"},
		{"an alias of itself", "a.yaml", "a: &x [*x]",
			"a.yaml:1:4: configuration: values are nested more than 1000 levels deep; check the aliases"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, failed := document.Parse(test.file, test.text)
			if failed == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, failed.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAliasesAreBounded: a small file can't be a large tree.
func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x]\n")
	for i := range 30 {
		name, before := "a"+strconv.Itoa(i+1), "a0"
		if i > 0 {
			before = "a" + strconv.Itoa(i)
		}
		b.WriteString(name + ": &" + name + " [*" + before + ", *" + before + "]\n")
	}
	if _, failed := document.Parse("bomb.yaml", b.String()); failed == nil || failed.Kind != problem.TooLarge ||
		!strings.Contains(failed.What, "values, aliases counted") {
		t.Errorf("got %v", failed)
	}
}

// TestPosition: lines and columns count from 1, and columns count characters.
func TestPosition(t *testing.T) {
	file, _ := document.Parse("a.yaml", "ä: 1\n\nb: 2")
	for _, test := range []struct {
		offset int
		want   string
	}{{0, "1:1"}, {2, "1:2"}, {5, "1:5"}, {6, "2:1"}, {7, "3:1"}, {99, "3:5"}, {-1, "1:1"}} {
		if got := file.Position(test.offset).String(); got != test.want {
			t.Errorf("%d is at %s, want %s", test.offset, got, test.want)
		}
	}
}

// TestLongLine: a place is found in a long line as it is in short ones, and not by
// counting from the line's start for each.
func TestLongLine(t *testing.T) {
	const count = 100_000
	text := "# ä\nx: 1\na: [" + strings.Repeat(`"https://€.example", `, count) + "1]\nb: 2\n"
	file, failed := document.Parse("a.yaml", text)
	if failed != nil {
		t.Fatal(failed)
	}
	elements := file.Documents[0].Get("a").List()
	for i, n := range elements {
		if want := strings.Index(text, "a: [") + 4 + i*len(`"https://€.example", `); n.Offset != want {
			t.Fatalf("element %d is at the byte %d, want %d", i, n.Offset, want)
		}
		if got, want := n.Position(), (document.Position{Line: 3, Column: 5 + 21*i}); got != want {
			t.Fatalf("element %d is at %v, want %v", i, got, want)
		}
	}
	if len(elements) != count+1 {
		t.Errorf("got %d elements", len(elements))
	}
	if got, want := file.Documents[0].Get("b").Position(), (document.Position{Line: 4, Column: 4}); got != want {
		t.Errorf("what follows is at %v, want %v", got, want)
	}
}

// TestMerges: an object knows where its merge keys stand.
func TestMerges(t *testing.T) {
	file, failed := document.Parse("a.yaml", "a: &a {<<: {x: 1}}\nb: *a\nc: {'<<': {}}\n")
	if failed != nil {
		t.Fatal(failed)
	}
	var got [][]int
	for _, m := range file.Documents[0].Members {
		got = append(got, m.Value.Merges)
	}
	if diff := cmp.Diff([][]int{{7}, {7}, nil}, got); diff != "" {
		t.Error(diff)
	}
}

// TestBooleansOfKubernetes: kubectl reads YAML 1.1, in which more words are booleans.
func TestBooleansOfKubernetes(t *testing.T) {
	for text, want := range map[string]string{
		"kind: A\nv: [y, Y, yes, Yes, YES, on, On, ON, true, True, TRUE]":    "true true true true true true true true true true true",
		"kind: A\nv: [n, N, no, No, NO, off, Off, OFF, false, False, FALSE]": "false false false false false false false false false false false",
		"kind: A\nv: [yEs, 'yes', \"no\", !!str on, nope, !!bool true]":      "yEs yes no on nope true",
		"kind: A\nv: [{on: a}]":            "true=a",
		"v: [yes, no, true]":               "yes no true",
		"v: [yes]\n---\nkind: A\nv: [yes]": "yes|true",
		"kind: A\nx: &x {v: yes}\nv: [*x]": "v=true",
	} {
		file, failed := document.Parse("a.yaml", text)
		if failed != nil {
			t.Errorf("%s: %v", text, failed)
			continue
		}
		var documents []string
		for _, d := range file.Documents {
			var values []string
			for _, v := range d.Get("v").List() {
				value := v.Text
				for _, m := range v.Members {
					value = m.Name + "=" + m.Value.Text
				}
				values = append(values, value)
			}
			documents = append(documents, strings.Join(values, " "))
		}
		if got := strings.Join(documents, "|"); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	file, _ := document.Parse("a.yaml", "kind: A\nv: [yes, 'yes']")
	if v := file.Documents[0].Get("v").Elements; v[0].Kind != document.Bool || v[1].Kind != document.String {
		t.Errorf("kinds %v and %v", v[0].Kind, v[1].Kind)
	}
}

// TestNotText: what a file is, if it is no text in the form that is read.
func TestNotText(t *testing.T) {
	const (
		utf16    = "1:1 the file is UTF-16; save it as UTF-8"
		template = "the file is a template; run helm template first, and give what that prints"
		toml     = "the file is TOML, which isn't read; write it as YAML or JSON"
		xml      = "the file is XML, which isn't read; "
		java     = "the file is one of Java properties, which isn't read; write it as YAML or JSON"
	)
	for _, test := range []struct{ name, text, want string }{
		{"a.json", "\xff\xfe{\x00}\x00", utf16},
		{"a.yaml", "\xfe\xff\x00a", utf16},
		{"a.yaml", "a\x00:\x00 \x001\x00", utf16},
		{"a.json", "\x00{\x00}", utf16},
		{"a.yaml", "a: b\nname: {{ .Values.name }}-x\n", "2:7 " + template},
		{"a.yaml", "{{- if .Values.on }}\na: b\n{{- end }}\n", "1:1 " + template},
		{"a.yaml", "a: {{ .Values.a }}\n", "1:4 " + template},
		{"-", "{{ template }}", "1:1 " + template},
		{"a.json", `{"a": {{ .Values.a | toJson }}}`, "1:7 " + template},
		{"a.yaml", "# {{ a }}\na: [\n", "3:1 did not find expected node content while parsing a flow node"},
		{"a.yaml", "a: '{{ .Values.a }}'\n", ""},
		{"a.toml", "a = 1", "1:1 " + toml},
		{"-", "# TOML\n[http.routers]\n  [http.routers.api]\n    rule = \"x\"\n", "2:1 " + toml},
		{"-", "a = 1\n\n[[b]]\nc = 2\n", "3:1 " + toml},
		{"-", "[\n1\n]", ""},
		{"-", "\n <CORSConfiguration>\n</CORSConfiguration>",
			"2:2 " + xml + "give it as JSON, as aws s3api get-bucket-cors --bucket NAME prints it"},
		{"a.xml", "<?xml version=\"1.0\"?>\n<!-- a: b -->\n<a/>", "1:1 " + xml + "write it as YAML or JSON"},
		{"a.yaml", "<a>: b", ""},
		{"a.properties", "# a: b\n\na.b-c.[/**].d=https://a.example\n# b: c\na.c=d\n", "3:1 " + java},
		{"a.properties", "a.b = c\n", "1:1 " + java},
		{"a.yaml", "a.b: c=d\n", ""},
		{"a.json", `{"a": {{"b": 1}}}`,
			"1:8 unexpected '{' where a field's name should stand; write names in double quotes, and no comma after the last field"},
	} {
		file, failed := document.Parse(test.name, test.text)
		got := ""
		if failed != nil {
			if failed.Kind == 0 {
				t.Errorf("%v has no kind", failed)
			}
			if got = fmt.Sprintf("%d:%d ", failed.Line, failed.Column) + failed.What; failed.Instead != "" {
				got += "; " + failed.Instead
			}
		}
		if file == nil || got != test.want {
			t.Errorf("%s %q: got %q, want %q", test.name, test.text, got, test.want)
		}
	}
}

// TestTag: a value keeps a tag of another tool, and is read as what stands there.
func TestTag(t *testing.T) {
	for text, want := range map[string]struct {
		tag  string
		kind document.Kind
		text string
	}{
		"a: !Ref Origin":              {"!Ref", document.String, "Origin"},
		"a: !Ref 7":                   {"!Ref", document.String, "7"},
		"a: !Sub 'https://${Domain}'": {"!Sub", document.String, "https://${Domain}"},
		"a: !Join ['', [b, c]]":       {"!Join", document.List, ""},
		"a: !If\n  x: y":              {"!If", document.Object, ""},
		"a: !!str 7":                  {"", document.String, "7"},
		"a: ! 7":                      {"", document.String, "7"},
		"a: 7":                        {"", document.Number, "7"},
		`{"a": "!Ref"}`:               {"", document.String, "!Ref"},
	} {
		file, failed := document.Parse("file.yaml", text)
		if failed != nil {
			t.Errorf("%q: %v", text, failed)
			continue
		}
		n := file.Documents[0].Get("a")
		if n.Tag != want.tag || n.Kind != want.kind || n.Text != want.text {
			t.Errorf("%q is %q, %d, %q, want %+v", text, n.Tag, n.Kind, n.Text, want)
		}
	}
}

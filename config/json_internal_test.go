package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/cases"
)

// FuzzJSON holds the scanner and gjson, which read documents here, against encoding/json: what
// is JSON, where what isn't goes wrong, and what stands in it. The scanner takes less: nothing that
// is nested too deep, or that has a character which was lost.
func FuzzJSON(f *testing.F) {
	for _, c := range cases.All {
		f.Add(c.Config)
	}
	for _, doc := range []string{
		"", " ", "null", "[] ", " {}\n", "true", "fals", "-0", "01", "1.", "1e", "1E+1", "-", "\"\\u00e4\\\"\"", `"\ud83d\ude00"`, `"\ud83d"`,
		`["a", 1.5e-3, {"b": [], "c": {}}]`, `{"a": 1, "a": 2}`, "{\"a\": \"\t\"}", "\"\x7f\"", "\ufeff{}", "[1,]", "{\"a\" 1}",
		"[[[[[[[[]]]]]]]]", "{\"\": [true, false, null]}", "\"\xff\"", "\"\ufffd\"", "{}{}", "\"\u2028\"", `"\/"`, `"\x"`, "[\"", "1 2",
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat("[", MaxDepth+1),
	} {
		f.Add(doc)
	}
	for c := range rune(0x80) {
		f.Add(`["a` + string(c) + `"]`)
		f.Add(`["\` + string(c) + `"]`)
		f.Add(`[1` + string(c) + `1]`)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		wrong, ok := CheckSyntax(doc)
		var value json.RawMessage
		err := json.Unmarshal([]byte(doc), &value)
		switch {
		case ok && err != nil:
			t.Fatalf("%q is accepted: %v", doc, err)
		case ok:
			same(t, doc)
		case err != nil:
			checkPlace(t, doc, wrong, err)
		case !mayRefuse(doc):
			t.Errorf("%q is refused: %s", doc, wrong)
		}
		if !ok && (wrong.Offset < 0 || wrong.Offset > len(doc) || wrong.What == "") {
			t.Errorf("%q: no such place, or nothing said: %d, %q", doc, wrong.Offset, wrong.What)
		}
	})
}

// mayRefuse reports whether a document is JSON to encoding/json, and no configuration can be it.
func mayRefuse(doc string) bool {
	depth, deepest := 0, 0
	for _, c := range doc { // in strings too, where it is only thought to be deeper
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		deepest = max(deepest, depth)
	}
	half := false
	for i := range len(doc) {
		var unit uint16
		if n, _ := fmt.Sscanf(doc[i:min(len(doc), i+6)], `\u%04x`, &unit); n == 1 && utf16.IsSurrogate(rune(unit)) {
			half = true // or a whole, which a test of the scanner takes
		}
	}
	return deepest > MaxDepth || half || !utf8.ValidString(doc) || strings.ContainsAny(doc, "\ufffd\ufeff\x00")
}

// checkPlace checks that the scanner finds a document wrong where encoding/json does, or where the
// word begins that is none, and says that it ends too soon where that says so.
func checkPlace(t *testing.T, doc string, wrong Problem, err error) {
	t.Helper()
	if mayRefuse(doc) {
		return // for another reason, which is found sooner or first
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("%q: %v", doc, err)
	}
	at := int(syntax.Offset) - 1
	if said := syntax.Error(); said == "unexpected end of JSON input" ||
		strings.HasPrefix(said, "invalid character ' '") && doc[at] != ' ' { // as the end looks after a half number
		at = len(doc)
	}
	start := at
	for start > 0 && 'a' <= doc[start-1] && doc[start-1] <= 'z' {
		start--
	}
	if wrong.Offset != at && wrong.Offset != start {
		t.Errorf("%q is wrong at %d (%s), and to encoding/json at %d: %v", doc, wrong.Offset, wrong.What, at, err)
	}
}

// same checks that gjson reads from a document what encoding/json does, at the place where it stands.
func same(t *testing.T, doc string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	next := func() any {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		return token
	}
	var walk func(v gjson.Result)
	walk = func(v gjson.Result) {
		if v.Raw == "" || v.Index < 0 || v.Index > len(doc) || !strings.HasPrefix(doc[v.Index:], v.Raw) {
			t.Fatalf("%q: %q isn't at %d", doc, v.Raw, v.Index)
		}
		token := next()
		if !v.IsObject() && !v.IsArray() {
			if want, got := fmt.Sprintf("%T %v", token, token), scalar(v); got != want {
				t.Errorf("%q: %s is read as %s, want %s", doc, v.Raw, got, want)
			}
			return
		}
		if want := v.Raw[:1]; fmt.Sprint(token) != want {
			t.Fatalf("%q: %v begins what is read as %s", doc, token, v.Raw)
		}
		v.ForEach(func(key, element gjson.Result) bool {
			if v.IsObject() {
				walk(key)
			}
			walk(element)
			return true
		})
		raw := strings.TrimRight(v.Raw, " \t\r\n") // the whole document has what follows it
		if token := next(); fmt.Sprint(token) != raw[len(raw)-1:] {
			t.Fatalf("%q: %s ends before %v", doc, v.Raw, token)
		}
	}
	walk(gjson.Parse(doc))
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("%q: not all is read: %v", doc, err)
	}
}

// scalar is a value as a decoder's token is written.
func scalar(v gjson.Result) string {
	switch v.Type {
	case gjson.Null:
		return "<nil> <nil>"
	case gjson.True, gjson.False:
		return "bool " + v.Raw
	case gjson.Number:
		return "json.Number " + v.Raw
	}
	return "string " + v.Str
}

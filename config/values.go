package config

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// object reads the fields of an object into those that are known, in their order, and
// reports fields that are unknown or given twice. Some of the unknown ones may be meant
// to be others. It isn't inlined: the copies would add 30 kB to the module.
//
//go:noinline
func (r *reader) object(object gjson.Result, where path, known []string, fields []gjson.Result, others ...string) {
	object.ForEach(func(key, value gjson.Result) bool {
		switch f := canonical(key.Str, known); {
		case f < 0:
			if r.Wants(false) {
				present := func(field string) bool { return r.isPresent(object, known, field) }
				kind, what, instead := unknownField(key.Str, where, known, others, present)
				r.report(kind, key.Index, where.field(printable(key.Str)), what, instead)
			}
		case fields[f].Exists():
			if r.Wants(false) {
				r.report(problem.Duplicate, key.Index, where.field(known[f]), "is given twice", "leave one out")
			}
		default:
			fields[f] = value
		}
		return true
	})
}

// isPresent reports whether an object has one of the known fields. The fields of an
// object are looked through once, however many of them are unknown.
func (r *reader) isPresent(object gjson.Result, known []string, field string) bool {
	if r.present == nil || r.presentIn != object.Index {
		r.presentIn, r.present = object.Index, make([]string, 0, len(known))
		object.ForEach(func(key, _ gjson.Result) bool {
			if f := canonical(key.Str, known); f >= 0 && !slices.Contains(r.present, known[f]) {
				r.present = append(r.present, known[f])
			}
			return true
		})
	}
	return slices.Contains(r.present, field)
}

// canonical returns the index of the field that key names, in either spelling, or -1.
func canonical(key string, known []string) int {
	for i, name := range known {
		if spelling.Is(key, name) {
			return i
		}
	}
	return -1
}

// printable makes a path of what an operator wrote as a field's name.
func printable(key string) string {
	if validName(key) {
		return key
	}
	return quote(key)
}

// each calls element for each element of a list. A missing field and null are an empty one.
func (r *reader) each(list gjson.Result, where path, element func(i int, v gjson.Result)) {
	switch {
	case list.Type == gjson.Null:
	case !list.IsArray():
		r.notList(list, where)
	default:
		i := 0
		list.ForEach(func(_, v gjson.Result) bool {
			element(i, v)
			i++
			return true
		})
	}
}

// count is the number of elements of a list.
func count(list gjson.Result) (n int) {
	if list.IsArray() {
		list.ForEach(func(_, _ gjson.Result) bool {
			n++
			return true
		})
	}
	return n
}

func (r *reader) notList(v gjson.Result, where path) {
	if r.Wants(false) {
		r.report(problem.WrongType, v.Index, where, "is "+typeName(v)+", not a list", r.asList(v, where.last()))
	}
}

// texts appends the strings of a list, and notes in at where they are.
func (r *reader) texts(texts []string, list gjson.Result, where path, at *[]place) []string {
	*at = (*at)[:0]
	r.each(list, where, func(i int, v gjson.Result) {
		if v.Type == gjson.Null {
			r.fail(problem.WrongType, v.Index, where.element(i), "is null, not a string", "leave it out")
		} else if r.is(v, where.element(i), gjson.String, "a string") {
			texts, *at = append(texts, v.Str), append(*at, place{i, v.Index})
		}
	})
	return texts
}

func (r *reader) string(v gjson.Result, where path) (s string, ok bool) {
	if v.Type == gjson.Null || !r.is(v, where, gjson.String, "a string") {
		return "", false
	}
	return v.Str, true
}

func (r *reader) bool(v gjson.Result, where path) bool {
	if v.Exists() && !v.IsBool() && v.Type != gjson.Null {
		r.wrongType(v, where, "true or false", asBool(v))
	}
	return v.Type == gjson.True
}

// choice reads one of several words.
func (r *reader) choice(v gjson.Result, where path, anyCase bool, words ...string) string {
	last := len(words) - 1
	instead := `write "` + strings.Join(words[:last], `", "`) + `" or "` + words[last] + `"`
	switch {
	case v.Type == gjson.Null:
		return ""
	case v.Type == gjson.False && words[last] == "off":
		r.wrongType(v, where, "a string", `write "off", in quotes, because YAML takes it for false without`)
		return ""
	case v.Type != gjson.String:
		r.wrongType(v, where, "a string", instead)
		return ""
	}
	s := v.Str
	for _, word := range words {
		if s == word || anyCase && strings.EqualFold(s, word) {
			return word
		}
	}
	for _, word := range words {
		if strings.EqualFold(s, word) {
			instead = "write " + problem.InQuotes(word)
		}
	}
	r.refuse(problem.InvalidValue, v, where, " is not one of "+strings.Join(words, ", "), instead)
	return ""
}

// notWritten is said of a number such as 1e1.
const notWritten = " is a whole number that isn't written as one"

// seconds reads a number of seconds, or a duration.
func (r *reader) seconds(v gjson.Result, where path) *int {
	const instead = `write seconds, such as 600, or a duration, such as "10m"`
	if v.Type == gjson.Null {
		return nil
	}
	switch v.Type {
	case gjson.Number:
		n, err := strconv.Atoi(v.Raw)
		if err == nil {
			return &n
		}
		n = int(math.Ceil(min(max(v.Num, 0), cors.MaxMaxAge))) // or the whole seconds above it
		kind, what, mended := problem.InvalidValue, " is not a whole number of seconds", strconv.Itoa(n)
		switch {
		case !strings.ContainsAny(v.Raw, ".eE"), !(v.Num >= 0 && v.Num <= cors.MaxMaxAge):
			kind, what = problem.OutOfRange, " seconds are out of range"
			mended = strconv.Itoa(cors.ChromiumMaxAge) + ", or at most " + strconv.Itoa(cors.MaxMaxAge)
		case float64(n) == v.Num:
			what = notWritten
		}
		r.refuse(kind, v, where, what, "write "+mended)
	case gjson.String:
		d, ok := parseDuration(v.Str)
		if ok && d%time.Second == 0 {
			n := int(d / time.Second)
			return &n
		}
		mended := instead
		if n, ok := asDuration(v.Str); ok {
			mended = "write " + strconv.Itoa(n) + `, or "` + strconv.Itoa(n) + `s"`
		}
		what := " is not a duration"
		if ok {
			what = " is not a whole number of seconds"
		}
		r.refuse(problem.InvalidValue, v, where, what, mended)
	default:
		r.wrongType(v, where, "a number of seconds", instead)
	}
	return nil
}

// is reports whether a value has the type that its field needs.
func (r *reader) is(v gjson.Result, where path, want gjson.Type, words string) bool {
	if v.Type == want && (want != gjson.JSON || v.IsObject()) {
		return true
	}
	r.wrongType(v, where, words, "")
	return false
}

// wrongType reports a value of another type than its field takes, which is what to write
// if instead is empty.
func (r *reader) wrongType(v gjson.Result, where path, want, instead string) {
	if r.Wants(false) {
		r.report(problem.WrongType, v.Index, where, "is "+typeName(v)+", not "+want, cmp.Or(instead, "write "+want))
	}
}

// refuse reports a number or a string that its field doesn't take; what follows it.
func (r *reader) refuse(kind problem.Kind, v gjson.Result, where path, what, instead string) {
	if !r.Wants(false) {
		return
	}
	value := shorten(v.Raw)
	if v.Type == gjson.String {
		value = quote(v.Str)
	}
	r.report(kind, v.Index, where, value+what, instead)
}

// typeName is the type of a value in words.
func typeName(v gjson.Result) string {
	switch {
	case v.IsObject():
		return "an object"
	case v.IsArray():
		return "a list"
	}
	switch v.Type {
	case gjson.String:
		return "the string " + quote(v.Str)
	case gjson.Number:
		return "the number " + shorten(v.Raw)
	case gjson.Null:
		return "null"
	}
	return v.Raw
}

// shorten is as much of a value as a message has room for. It isn't inlined: the copies
// would add 5 kB to the module.
//
//go:noinline
func shorten(s string) string {
	part, more := problem.Cut(s, 61)
	return part + more
}

// quote is as much of a value in quotes.
func quote(s string) string { return problem.InQuotes(shorten(s)) }

// nearest returns the name that key was probably meant to be, or "".
func nearest(key string, known []string) string {
	if len(key) > 64 {
		return ""
	}
	best, bestDistance := "", 3
	for _, name := range known {
		// Without separators, so that neither spelling counts as a mistake.
		d := distance(strings.ToLower(withoutSeparators(key)), withoutSeparators(name))
		if d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// withoutSeparators is a name without what stands between its words. A [strings.Replacer]
// would be 35 kB of the module.
func withoutSeparators(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "-", "")
}

// distance is the number of letters to insert, delete or change from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

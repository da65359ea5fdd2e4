package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// What to write instead of a value of a wrong type. What a message says to write is
// what the parser takes: for what an entry should be, the engine is asked.

// mayAllowCredentials reports whether the policy, or one that inherits from it, may
// allow credentials.
func (r *reader) mayAllowCredentials() bool {
	return r.policy.isDefaults || r.policy.config.AllowCredentials
}

// mended returns what text is meant to be as an entry of a field's list, as JSON; "" if
// that isn't clear.
func (r *reader) mended(field, text string) string {
	c := cors.Config{AllowOrigins: []cors.OriginEntry{{Text: "https://placeholder.invalid"}},
		AllowCredentials: r.mayAllowCredentials()}
	var m match.Match
	switch field {
	case "allow_origins":
		c.AllowOrigins[0].Text = text
	case "allow_methods":
		c.AllowMethods = []string{text}
	case "allow_headers":
		c.AllowHeaders = []string{text}
	case "expose_headers":
		c.ExposeHeaders = []string{text}
	case "hosts":
		m.Hosts = []string{text}
	case "paths":
		m.Paths = []match.Path{{Path: text, Prefix: true}}
	}
	_, found := cors.Compile(c)
	for _, p := range append(found, match.Check(m).All()...) {
		if !p.Warning {
			if instead, ok := p.Suggestion(); ok && gjson.Valid("["+instead+"]") {
				return instead
			}
			return ""
		}
	}
	if field == "paths" {
		return `{"prefix": ` + problem.InQuotes(text) + `}`
	}
	return problem.InQuotes(text)
}

// asList says what to write instead of a value that isn't a list.
func (r *reader) asList(v gjson.Result, field string) string {
	const otherwise = "write a list, […]"
	list := ""
	switch {
	case field == "policies":
	case v.Type == gjson.String && field == "routes":
		if v.Str != "" {
			list = v.Raw
		}
	case v.Type == gjson.String:
		list = r.mended(field, v.Str)
	case v.IsObject() && field == "allow_origins":
		list = r.asOrigin(v)
	case v.IsObject() && field == "paths":
		list = asPath(v)
	}
	if list == "" || len(list) > origin.MaxInstead {
		return otherwise
	}
	return "write [" + list + "]"
}

// maxMatchers is how many objects in place of origins are read as another tool would:
// what they mean may be regexes, which take much memory to judge.
const maxMatchers = 5

// asOrigin returns the entry of allow_origins that an object of another tool's
// configuration means, as JSON; "" if that isn't clear. Envoy, Istio and others have
// matchers: {"exact": …}, {"prefix": …}, {"safe_regex": {"regex": …}}.
func (r *reader) asOrigin(object gjson.Result) (entry string) {
	const field = "allow_origins"
	if r.matchers++; r.matchers > maxMatchers {
		return ""
	}
	object.ForEach(func(key, value gjson.Result) bool {
		text := value.Str
		kind := strings.ToLower(withoutSeparators(key.Str))
		if value.Type == gjson.String && kind == "value" { // {"type": "Exact", "value": …}
			kind = strings.ToLower(textOf(object, "type"))
			if kind == "regularexpression" {
				kind = "regex"
			}
		}
		switch {
		case kind == "saferegex" && value.IsObject():
			entry = r.asRegex(textOf(value, "regex"))
		case text == "": // or no string
			return true
		case kind == "regex":
			entry = r.asRegex(text)
		case kind == "exact", kind == "origin", kind == "url", kind == "value", kind == "":
			entry = r.mended(field, text)
		case kind == "prefix":
			if entry = r.mended(field, strings.TrimRight(text, ":*/")+
				":*"); !strings.Contains(strings.TrimPrefix(text, "https://"), ".") {
				entry = r.asRegex(origin.QuoteRegex(text) + ".*")
			}
		case kind == "suffix":
			entry = r.mended(field, "https://*."+strings.TrimLeft(text, ".*"))
		case kind == "contains":
			entry = r.asRegex(".*" + origin.QuoteRegex(text) + ".*")
		}
		return entry == ""
	})
	if len(entry) > origin.MaxInstead {
		return ""
	}
	return entry
}

// asRegex returns the entry for a regex, as JSON; "" if the policy may not have it.
func (r *reader) asRegex(expr string) string {
	c := cors.Config{AllowOrigins: []cors.OriginEntry{{Text: expr, Regex: true}},
		AllowCredentials: r.mayAllowCredentials()}
	if p, _ := cors.Compile(c); p == nil || len(expr) > origin.MaxInstead {
		return ""
	}
	return `{"regex": ` + string(gjson.AppendJSONString(nil, expr)) + `}`
}

// asPath returns the entry of match.paths that an object of another tool's configuration
// means, as JSON; "" if that isn't clear.
func asPath(object gjson.Result) (entry string) {
	path, kind := textOf(object, "value"), "exact"
	if strings.HasSuffix(strings.ToLower(textOf(object, "type")), "prefix") {
		kind = "prefix"
	}
	if path == "" {
		return ""
	}
	m := match.Match{Paths: []match.Path{{Path: path, Prefix: kind == "prefix"}}}
	if match.Check(m).Errors > 0 || len(path) > origin.MaxInstead {
		return ""
	}
	return `{"` + kind + `": ` + problem.InQuotes(path) + `}`
}

const anyPathMatch = `write {"exact": "/path"} or {"prefix": "/path"}`

// asPathMatch says what to write instead of an element of paths that is no object.
func (r *reader) asPathMatch(v gjson.Result) string {
	if v.Type != gjson.String {
		return anyPathMatch
	}
	quoted := problem.InQuotes(v.Str)
	switch entry := r.mended("paths", v.Str); entry {
	case "":
		return anyPathMatch
	case `{"prefix": ` + quoted + `}`:
		return `write {"exact": ` + quoted + `} or ` + entry
	default:
		return "write " + entry
	}
}

// textOf is the string that an object's field has; "" if it has none. It isn't inlined:
// the copies would add 2 kB to the module.
//
//go:noinline
func textOf(object gjson.Result, name string) (text string) {
	object.ForEach(func(key, value gjson.Result) bool {
		if key.Str == name && value.Type == gjson.String {
			text = value.Str
		}
		return text == ""
	})
	return text
}

// asBool says what to write instead of a value that isn't true or false.
func asBool(v gjson.Result) string {
	text := strings.ToLower(v.Str)
	if v.Type == gjson.Number {
		text = v.Raw
	}
	instead := "write " + cmp.Or(wordOfBool(text), "true or false")
	if v.Type == gjson.String {
		instead += ", without quotes"
	}
	return instead
}

// The words that other formats have for true and false.
var (
	trueWords  = []string{"true", "yes", "on", "1", "enabled"}
	falseWords = []string{"false", "no", "off", "0", "disabled"}
)

// wordOfBool returns true or false for such a word, and "" for others.
func wordOfBool(word string) string {
	word = strings.ToLower(word)
	switch {
	case slices.Contains(trueWords, word):
		return "true"
	case slices.Contains(falseWords, word):
		return "false"
	}
	return ""
}

// asDuration returns the seconds that a string stands for as people write them, such as
// "600", "10 min" and "1d", or those above it.
func asDuration(s string) (seconds int, ok bool) {
	s = strings.ToLower(strings.Join(strings.FieldsFunc(s, unicode.IsSpace), ""))
	if d, ok := parseDuration(s); ok && d >= 0 && d <= cors.MaxMaxAge*time.Second {
		return int((d + time.Second - 1) / time.Second), true
	}
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > cors.MaxMaxAge {
		return 0, false
	}
	switch strings.TrimSuffix(s[len(digits):], "s") {
	case "", "sec", "second":
	case "m", "min", "minute":
		n *= 60
	case "h", "hr", "hour":
		n *= 60 * 60
	case "d", "day":
		n *= 24 * 60 * 60
	default:
		return 0, false
	}
	return n, n <= cors.MaxMaxAge
}

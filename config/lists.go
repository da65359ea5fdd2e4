package config

import (
	"iter"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/names"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
)

// A listCache has the lists that are compiled already. Policies share what a list
// compiles to that they inherit, and, if there is nothing to say about it, one that
// reads the same.
type listCache struct {
	origins map[listKey]*origin.Set
	names   map[listKey]*names.List

	// trusted tells whether the default's origins are right for policies that allow
	// credentials, once that is asked for.
	trusted *bool
}

// A listKey is a list as it stands in the document or, if it is inherited, where. What
// it compiles to depends on credentials too.
type listKey struct {
	field       int
	text        string
	offset      int
	credentials bool
}

// readLists compiles the policy's lists. One that is wrong is nil.
func (r *reader) readLists(p *policy, credentials bool) cors.Lists {
	return cors.Lists{
		Origins:        r.readOrigins(p, credentials),
		Methods:        r.readNames(p, fieldAllowMethods, names.Methods, credentials),
		RequestHeaders: r.readNames(p, fieldAllowHeaders, names.RequestHeaders, credentials),
		ExposedHeaders: r.readNames(p, fieldExposeHeaders, names.ExposedHeaders, credentials),
	}
}

// maxNames bounds a list of methods or of headers: with the shortest names it makes a
// header that is as long as [names.MaxList] allows.
const maxNames = names.MaxList / len("a, ")

// readNames compiles a list of names, unless that has been done.
func (r *reader) readNames(p *policy, f int, of names.Field, credentials bool) *names.List {
	key, found := r.listKey(p, f, credentials), r.total()
	if list, ok := r.lists.names[key]; ok {
		return list
	}
	list := r.compileNames(p, f, of, credentials)
	if r.isShared(p, f, found) {
		r.lists.names[key] = list
	}
	if list != nil {
		r.spendList(p, f, list.Size())
	}
	return list
}

// compileNames compiles a list of names, or reports why it can't.
func (r *reader) compileNames(p *policy, f int, of names.Field, credentials bool) *names.List {
	v := &p.fields[f]
	if n := count(*v); n > maxNames {
		r.fail(problem.TooLarge, v.Index, p.field(f),
			"has "+strconv.Itoa(n)+" entries, and may have "+strconv.Itoa(maxNames), "shorten the list")
		return nil
	}
	// What is wrong with a default was said when the defaults were read, without
	// regard to credentials.
	again := p.inherits(f) && credentials
	r.muted = again
	r.names = r.texts(r.names[:0], *v, p.field(f), &r.namesAt)
	list := of.Compile(r.names, credentials, r)
	r.muted = false
	if again {
		of.CheckCredentials(r.names, r)
	}
	return list
}

// readOrigins compiles allow_origins, unless that has been done.
func (r *reader) readOrigins(p *policy, credentials bool) *origin.Set {
	v := p.fields[fieldAllowOrigins]
	if p.isDefaults && isEmpty(v) {
		return nil // which is wrong if it is inherited
	}
	if p.config.Lookup && isEmpty(v) {
		return cors.NoOrigins()
	}
	inherited := p.inherits(fieldAllowOrigins)
	own := credentials && !inherited // what credentials forbid of what is inherited is found below
	key, found := r.listKey(p, fieldAllowOrigins, own), r.total()
	origins, ok := r.lists.origins[key]
	if !ok {
		origins = r.compileOrigins(p, v, own)
		if r.isShared(p, fieldAllowOrigins, found) {
			r.lists.origins[key] = origins
		}
		if origins != nil {
			r.spendList(p, fieldAllowOrigins, origins.Size())
		}
	}
	if origins == nil || !credentials || !inherited {
		return origins
	}
	if r.lists.trusted == nil {
		trusted := origin.Check(r.entries(v), r.regexes, r)
		r.lists.trusted = &trusted
	}
	if !*r.lists.trusted {
		return nil
	}
	return origins
}

func (r *reader) listKey(p *policy, f int, credentials bool) listKey {
	v := &p.fields[f]
	if p.inherits(f) || p.isDefaults {
		return listKey{field: f, offset: v.Index, credentials: credentials}
	}
	return listKey{field: f, text: v.Raw, credentials: credentials}
}

// isShared reports whether other policies share what a list was compiled to; found is how
// many problems there were before.
func (r *reader) isShared(p *policy, f, found int) bool {
	return p.inherits(f) || p.isDefaults || r.total() == found
}

// spendList spends the memory of a list that was compiled.
func (r *reader) spendList(p *policy, f, size int) { r.spend(size, p.fields[f].Index, p.field(f)) }

// isEmpty reports whether a list has no element, as a missing field and null have none.
func isEmpty(v gjson.Result) bool {
	return v.Type == gjson.Null || v.IsArray() && count(v) == 0
}

func (r *reader) compileOrigins(p *policy, v gjson.Result, credentials bool) *origin.Set {
	where := p.field(fieldAllowOrigins)
	good := 0
	r.each(v, where, func(i int, e gjson.Result) {
		if e.Type == gjson.String {
			good++
		} else if _, ok := r.regex(e, where.element(i)); ok {
			good++
		}
	})
	if good == 0 && !isEmpty(v) {
		return nil // that is reported: don't report as well that there is none
	}
	if p.isDefaults || p.inherits(fieldAllowOrigins) {
		return origin.CompileShared(r.entries(v), r.regexes, r)
	}
	return origin.Compile(r.entries(v), credentials, r.regexes, r)
}

// entries are the entries of allow_origins, but those of a wrong type, which have been
// reported. None of it is kept, so that a list of a hundred thousand origins needs no
// more memory than its document. It is inlined, so that the iterator needs none either.
func (r *reader) entries(list gjson.Result) iter.Seq2[int, origin.Entry] {
	return func(yield func(int, origin.Entry) bool) { r.eachEntry(list, yield) }
}

func (r *reader) eachEntry(list gjson.Result, yield func(int, origin.Entry) bool) {
	if !list.IsArray() {
		return
	}
	i := -1
	list.ForEach(func(_, e gjson.Result) bool {
		i++
		entry := origin.Entry{Text: e.Str, Offset: e.Index}
		if e.Type != gjson.String {
			muted := r.muted
			r.muted = true
			entry.Text, entry.Regex = r.regex(e, path{})
			r.muted = muted
			if !entry.Regex {
				return true
			}
		}
		return yield(i, entry)
	})
}

// regex reads an entry of allow_origins that isn't a string.
func (r *reader) regex(v gjson.Result, where path) (expr string, ok bool) {
	const instead = `write a string such as "https://app.example", or {"regex": "…"}`
	if !v.IsObject() {
		if v.Type == gjson.Null {
			r.wrongType(v, where, "an origin", `write "null" for pages without an origin, or leave it out`)
		} else {
			r.wrongType(v, where, "an origin", instead)
		}
		return "", false
	}
	var fields [1]gjson.Result
	if !r.has(v, regexFields) {
		if !r.Wants(false) {
			return "", false
		}
		if entry := r.asOrigin(v); entry != "" {
			r.report(problem.WrongType, v.Index, where, "is an origin in the form of another tool", "write "+entry)
			return "", false
		}
		r.object(v, where, regexFields, fields[:]) // whose fields all are unknown
		r.report(problem.Missing, v.Index, where, "has no regex", instead)
		return "", false
	}
	r.object(v, where, regexFields, fields[:])
	return fields[0].Str, r.is(fields[0], where.field("regex"), gjson.String, "a string")
}

var regexFields = []string{"regex"}

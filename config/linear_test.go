package config_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// A shape is a kind of document with lengths that can be chosen.
type shape struct {
	name string
	// doc writes a document whose lengths are a and b.
	doc func(a, b int) string
}

// one is a policy with fields.
func one(fields ...string) string { return "{" + strings.Join(fields, ",") + "}" }

// many are n policies, with defaults.
func many(defaults string, n int, policy func(i int) string) string {
	return `{"defaults":` + defaults + `,"policies":` + each(n, func(i int) string {
		return fmt.Sprintf(`{"name":"p%d",%s}`, i, policy(i))
	}) + "}"
}

// each is a list of n elements.
func each(n int, element func(i int) string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(element(i))
	}
	b.WriteByte(']')
	return b.String()
}

func text(format string) func(i int) string {
	return func(i int) string {
		if !strings.Contains(format, "%") {
			return strconv.Quote(format) // the same each time
		}
		return strconv.Quote(fmt.Sprintf(format, i))
	}
}

func field(name, value string) string { return strconv.Quote(name) + ":" + value }

func host(i int) string { return fmt.Sprintf(`"match":{"hosts":["h%d.test"]}`, i) }

// shapes are the lists of a policy and of the defaults, each with each, right and wrong.
func shapes() (list []shape) {
	const everyOrigin = `"allow_origins":["*"]`
	// What one list has. Those that are wrong are refused.
	lists := []struct {
		name, field string
		element     func(i int) string
	}{
		{"origins", "allow_origins", text("https://app-%06d.test")},
		{"wildcards", "allow_origins", text("https://*.app-%06d.test:*")},
		{"covered origins", "allow_origins", func(i int) string {
			return strconv.Quote([]string{fmt.Sprintf("https://a.b%06d.test", i),
				fmt.Sprintf("https://*.b%06d.test", i)}[i%2])
		}},
		{"origins twice", "allow_origins",
			func(i int) string { return strconv.Quote(fmt.Sprintf("https://app-%06d.test", i/2)) }},
		{"one origin", "allow_origins", text("https://app.test")},
		{"origins with a slash", "allow_origins", text("https://app-%06d.test/")},
		{"origins of a wrong type", "allow_origins", strconv.Itoa},
		{"unknown kinds of origins", "allow_origins", func(i int) string { return fmt.Sprintf(`{"exact%d":""}`, i) }},
		{"methods", "allow_methods", text("METHOD%06d")},
		{"bad methods", "allow_methods", text("METHOD %06d")},
		{"headers", "allow_headers", text("X-Header-%06d")},
		{"bad headers", "allow_headers", text("X Header %06d")},
		{"forbidden headers", "allow_headers", text("Sec-%06d")},
		{"exposed headers", "expose_headers", text("X-Header-%06d")},
	}
	for _, l := range lists {
		list = append(list, shape{"a policy of " + l.name, func(a, b int) string {
			if l.field == "allow_origins" {
				return one(field(l.field, each(a+b, l.element)))
			}
			return one(everyOrigin, field(l.field, each(a+b, l.element)))
		}})
		for _, credentials := range []string{"false", "true"} {
			list = append(list, shape{"defaults of " + l.name + " for policies with credentials " + credentials,
				func(a, b int) string {
					defaults := `{"allow_credentials":true,` + field(l.field, each(a, l.element)) + "}"
					return many(defaults, b, func(i int) string {
						own := host(i) + `,"allow_credentials":` + credentials
						if l.field != "allow_origins" {
							own += `,"allow_origins":["https://a.test"]`
						}
						return own
					})
				}})
		}
		list = append(list, shape{"policies that have the same " + l.name, func(a, b int) string {
			return many(`{"allow_origins":["https://a.test"]}`, b, func(i int) string {
				return host(i) + "," + field(l.field, each(min(a, 20), l.element))
			})
		}})
	}
	prefix := func(i int) string { return fmt.Sprintf(`{"prefix":"/p%06d/x"}`, i) }
	exact := func(i int) string { return fmt.Sprintf(`{"exact":"/p%06d/x"}`, i) }
	matches := []struct {
		name, field string
		element     func(i int) string
	}{
		{"hosts", "hosts", text("h%06d.test")},
		{"wildcard hosts", "hosts", text("*.h%06d.test")},
		{"bad hosts", "hosts", text("h%06d.test/")},
		{"one host", "hosts", text("h.test")},
		{"prefixes", "paths", prefix},
		{"paths", "paths", exact},
		{"bad paths", "paths", text("/p%06d")},
		{"paths with a wildcard", "paths", func(i int) string { return fmt.Sprintf(`{"prefix":"/p%06d/*"}`, i) }},
		{"routes", "routes", text("r%06d")},
	}
	for i, l := range matches {
		list = append(list, shape{"a match of " + l.name, func(a, b int) string {
			return one(everyOrigin, `"match":`+one(field(l.field, each(a+b, l.element))))
		}})
		for _, m := range matches[i+1:] {
			if m.field != l.field {
				list = append(list, shape{"a match of " + l.name + " and " + m.name, func(a, b int) string {
					return one(everyOrigin, `"match":`+
						one(field(l.field, each(a, l.element)), field(m.field, each(b, m.element))))
				}})
			}
		}
	}
	return append(list,
		shape{"policies by host, each with paths", func(a, b int) string {
			return many("{"+everyOrigin+"}", a, func(i int) string {
				return fmt.Sprintf(`"match":{"hosts":["h%d.test"],"paths":%s}`, i, each(b/10, exact))
			})
		}},
		shape{"policies of many hosts, each with paths of its own", func(a, b int) string {
			hosts := each(a, text("h%06d.test"))
			return many("{"+everyOrigin+"}", b/10, func(i int) string {
				return `"match":{"hosts":` + hosts + `,"paths":` +
					each(6, func(j int) string { return fmt.Sprintf(`{"exact":"/%d/%d"}`, i, j) }) + `}`
			})
		}},
		shape{"policies that claim the same", func(a, b int) string {
			return many("{"+everyOrigin+"}", a+b, func(int) string { return `"match":{"hosts":["h.test"]}` })
		}},
		shape{"policies of one name", func(a, b int) string {
			return `{"policies":` +
				each(a+b, func(i int) string { return `{"name":"a",` + everyOrigin + `,` + host(i) + `}` }) + `}`
		}},
		shape{"policies of a wrong type", func(a, b int) string {
			return `{"policies":` + each(a+b, strconv.Itoa) +
				`}`
		}},
		shape{"policies without origins", func(a, b int) string { return many("{}", a+b, host) }},
		shape{"defaults that are out of range", func(a, b int) string {
			return many(`{`+everyOrigin+`,"max_age":-1,"mode":"on","preflight_status":201}`, a+b, host)
		}},
		shape{"unknown fields", func(a, b int) string {
			return one(everyOrigin,
				strings.Trim(each(a+b, func(i int) string { return fmt.Sprintf(`"allow_orgins%d":0`, i) }), "[]"))
		}},
		shape{"fields given again", func(a, b int) string {
			return one(everyOrigin, strings.Trim(each(a+b, func(int) string { return `"max_age":1` }), "[]"))
		}},
		shape{"a long name", func(a, b int) string {
			return one(everyOrigin, field("name", strconv.Quote(strings.Repeat("a", 30*(a+b)))))
		}},
		shape{"a long origin", func(a, b int) string {
			return one(`"allow_origins":["https://` + strings.Repeat("a.", 15*(a+b)) + `test"]`)
		}},
		shape{"a list of origins in one string", func(a, b int) string {
			return one(`"allow_origins":["https://a.test` + strings.Repeat(" https://a.test", a+b) + `"]`)
		}},
		shape{"an origin of wildcards", func(a, b int) string {
			return one(`"allow_origins":["https://` + strings.Repeat("a*", 15*(a+b)) + `.test"]`)
		}},
		shape{"a long path", func(a, b int) string {
			return one(everyOrigin, `"match":{"paths":[{"exact":"`+strings.Repeat("/a", 15*(a+b))+`"}]}`)
		}},
		shape{"escapes",
			func(a, b int) string { return one(`"allow_origins":` + each(a+b, text(`https:\/\/app-%06d.test`))) }},
		shape{"white space", func(a, b int) string {
			return "{" + everyOrigin + strings.Repeat(" \n", 30*(a+b)) +
				"}"
		}},
	)
}

// TestLinear: what a document costs, in memory and in work, grows with its length and
// not with a product of its lengths, whatever stands in it. Each pair of lengths is
// doubled: neither list alone costs more than both.
func TestLinear(t *testing.T) {
	const n, atMost = 400, 2.5 / 2
	list := shapes()
	var docs []string
	for _, s := range list {
		docs = append(docs, s.doc(n, n), s.doc(2*n, 2*n))
	}
	steps := countSteps(t, docs)
	for i, s := range list {
		once, twice := docs[2*i], docs[2*i+1]
		// Where one list stands in each element of the other, it is four times as long.
		limit := atMost * max(2, float64(len(twice))/float64(len(once)))
		check := func(what string, before, after uint64) {
			if grown := float64(after) / float64(before); grown > limit {
				t.Errorf("%s: %d bytes take %d %s, and %d bytes %d: %.1f times as many", s.name, len(once), before,
					what, len(twice), after, grown)
			}
		}
		check("steps", steps[2*i], steps[2*i+1])
		allocated := [2]uint64{}
		for j, doc := range []string{once, twice} {
			allocated[j], _ = allocate(func() any {
				c, _ := config.Parse(doc)
				return c
			})
			if perByte := float64(allocated[j]) / float64(len(doc)); perByte > 40 {
				t.Errorf("%s: %.0f bytes are allocated for each of %d", s.name, perByte, len(doc))
			}
		}
		check("bytes", allocated[0], allocated[1])
	}
}

// countSteps returns how many statements are executed to parse each document, here and
// in what the parser calls. Statements count alike on every machine; time doesn't.
func countSteps(t *testing.T, docs []string) (steps []uint64) {
	t.Helper()
	dir := t.TempDir()
	command := filepath.Join(dir, "steps")
	run := func(name string, args ...string) string {
		c := exec.Command(name, args...)
		c.Env = append(os.Environ(), "GOCOVERDIR="+dir)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args[0], err, out)
		}
		return string(out)
	}
	run("go", "build", "-cover", "-covermode=atomic", "-o", command,
		"-coverpkg=github.com/proxy-wasm-cors/...,github.com/tidwall/gjson,strings,strconv,slices,maps,time,regexp,regexp/syntax,unicode/utf8", "./internal/steps")
	covdata := strings.TrimSpace(run("go", "tool", "-n", "covdata"))
	var files []string
	for i, doc := range docs {
		file := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(file, []byte(doc), 0o666); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	run(command, files...)
	for _, file := range files {
		profile := file + ".txt"
		run(covdata, "textfmt", "-i="+file+".counters", "-o="+profile)
		lines, err := os.ReadFile(profile)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, sum(t, string(lines)))
	}
	return steps
}

// sum adds up a profile's blocks: each has its number of statements and how often it ran.
func sum(t *testing.T, profile string) (total uint64) {
	t.Helper()
	for line := range strings.Lines(profile) {
		if strings.HasPrefix(line, "mode:") {
			continue
		}
		fields := strings.Fields(line)
		statements, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		count, err := strconv.ParseUint(fields[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += statements * count
	}
	return total
}

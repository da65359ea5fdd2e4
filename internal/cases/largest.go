package cases

import (
	"strconv"
	"strings"
)

// Largest are documents of size bytes, of the shortest possible elements: what takes the
// most memory for each byte.
func Largest(size int) map[string]string {
	// fill repeats an element, with a number for each "#", and closes what is open then.
	fill := func(head, element string) string {
		open := func(begin, end string) int { return strings.Count(head, begin) - strings.Count(head, end) }
		tail := strings.Repeat("]", open("[", "]")) + strings.Repeat("}", open("{", "}"))
		var b strings.Builder
		b.Grow(size)
		b.WriteString(head)
		for i := 0; ; i++ {
			e := strings.ReplaceAll(element, "#", strconv.FormatInt(int64(i), 36))
			if b.Len()+len(e)+1+len(tail) > size {
				break
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(e)
		}
		b.WriteString(tail)
		return b.String()
	}
	const (
		origins  = `{"allow_origins":[`
		every    = `{"allow_origins":["*"],`
		hosts    = every + `"match":{"hosts":[`
		paths    = every + `"match":{"paths":[`
		policies = `{"policies":[`
		alike    = `{"defaults":{"allow_origins":["*"]},"policies":[`
	)
	return map[string]string{
		"origins":        fill(origins, `"a://a#"`),
		"wildcards":      fill(origins, `"a://*.a#"`),
		"bad origins":    fill(origins, `""`),
		"one origin":     fill(origins, `"a://a"`),
		"matchers":       fill(origins, `{"exact":"#"}`),
		"odd origins":    fill(origins, `"ws://#"`),
		"typed paths":    fill(paths, `{"type":"Exact","value":"/#"}`),
		"numbers":        fill(origins, `1`),
		"regexes":        fill(origins, `{"regex":"#"}`),
		"methods":        fill(every+`"allow_methods":[`, `"#"`),
		"headers":        fill(every+`"allow_headers":[`, `"#"`),
		"exposed":        fill(every+`"expose_headers":[`, `"#"`),
		"hosts":          fill(hosts, `"#"`),
		"wild hosts":     fill(hosts, `"*.#"`),
		"routes":         fill(every+`"match":{"routes":[`, `"#"`),
		"paths":          fill(paths, `{"exact":"/#"}`),
		"prefixes":       fill(paths, `{"prefix":"/#"}`),
		"deep prefixes":  fill(paths, `{"prefix":"/#`+strings.Repeat("/a", 60)+`"}`),
		"unknown fields": fill(`{`, `"":0`),

		"policies":                  fill(alike, `{"name":"#","match":{"routes":["#"]}}`),
		"policies by host":          fill(alike, `{"name":"#","match":{"hosts":["#"]}}`),
		"policies by host and path": fill(alike, `{"name":"#","match":{"hosts":["#"],"paths":[{"exact":"/a"}]}}`),
		"policies with lists of their own": fill(policies, `{"name":"#","match":{"routes":["#"]},`+
			`"allow_origins":["a://#"],"allow_methods":["#"],"allow_headers":["#"],"expose_headers":["#"]}`),
		"policies with a wildcard of their own": fill(policies,
			`{"name":"#","match":{"routes":["#"]},"allow_origins":["a://*.#"]}`),
		"policies with a regex of their own": fill(policies,
			`{"name":"#","match":{"routes":["#"]},"allow_origins":[{"regex":"#"}]}`),
		"policies without a name":   fill(policies, `{}`),
		"policies that are numbers": fill(policies, `1`),
	}
}

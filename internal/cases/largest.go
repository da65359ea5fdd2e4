package cases

import (
	"strconv"
	"strings"
)

// Largest are documents of size bytes, of the shortest possible elements: what takes the
// most memory for each byte.
func Largest(size int) map[string]string {
	fill := func(head, tail string, element func(i int) string) string {
		var b strings.Builder
		b.Grow(size)
		b.WriteString(head)
		for i := 0; ; i++ {
			e := element(i)
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
	short := func(i int) string { return strconv.FormatInt(int64(i), 36) }
	return map[string]string{
		"origins":     fill(`{"allow_origins":[`, `]}`, func(i int) string { return `"a://a` + short(i) + `"` }),
		"wildcards":   fill(`{"allow_origins":[`, `]}`, func(i int) string { return `"a://*.a` + short(i) + `"` }),
		"bad origins": fill(`{"allow_origins":[`, `]}`, func(int) string { return `""` }),
		"one origin":  fill(`{"allow_origins":[`, `]}`, func(int) string { return `"a://a"` }),
		"matchers":    fill(`{"allow_origins":[`, `]}`, func(i int) string { return `{"exact":"` + short(i) + `"}` }),
		"odd origins": fill(`{"allow_origins":[`, `]}`, func(i int) string { return `"ws://` + short(i) + `"` }),
		"typed paths": fill(`{"allow_origins":["*"],"match":{"paths":[`, `]}}`, func(i int) string { return `{"type":"Exact","value":"/` + short(i) + `"}` }),
		"numbers":     fill(`{"allow_origins":[`, `]}`, func(int) string { return `1` }),
		"regexes":     fill(`{"allow_origins":[`, `]}`, func(i int) string { return `{"regex":"` + short(i) + `"}` }),
		"methods":     fill(`{"allow_origins":["*"],"allow_methods":[`, `]}`, func(i int) string { return `"` + short(i) + `"` }),
		"headers":     fill(`{"allow_origins":["*"],"allow_headers":[`, `]}`, func(i int) string { return `"` + short(i) + `"` }),
		"exposed":     fill(`{"allow_origins":["*"],"expose_headers":[`, `]}`, func(i int) string { return `"` + short(i) + `"` }),
		"hosts":       fill(`{"allow_origins":["*"],"match":{"hosts":[`, `]}}`, func(i int) string { return `"` + short(i) + `"` }),
		"wild hosts":  fill(`{"allow_origins":["*"],"match":{"hosts":[`, `]}}`, func(i int) string { return `"*.` + short(i) + `"` }),
		"routes":      fill(`{"allow_origins":["*"],"match":{"routes":[`, `]}}`, func(i int) string { return `"` + short(i) + `"` }),
		"paths":       fill(`{"allow_origins":["*"],"match":{"paths":[`, `]}}`, func(i int) string { return `{"exact":"/` + short(i) + `"}` }),
		"prefixes":    fill(`{"allow_origins":["*"],"match":{"paths":[`, `]}}`, func(i int) string { return `{"prefix":"/` + short(i) + `"}` }),
		"deep prefixes": fill(`{"allow_origins":["*"],"match":{"paths":[`, `]}}`, func(i int) string {
			return `{"prefix":"/` + short(i) + strings.Repeat("/a", 60) + `"}`
		}),
		"unknown fields": fill(`{`, `}`, func(int) string { return `"":0` }),
		"policies": fill(`{"defaults":{"allow_origins":["*"]},"policies":[`, `]}`, func(i int) string {
			return `{"name":"` + short(i) + `","match":{"routes":["` + short(i) + `"]}}`
		}),
		"policies by host": fill(`{"defaults":{"allow_origins":["*"]},"policies":[`, `]}`, func(i int) string {
			return `{"name":"` + short(i) + `","match":{"hosts":["` + short(i) + `"]}}`
		}),
		"policies by host and path": fill(`{"defaults":{"allow_origins":["*"]},"policies":[`, `]}`, func(i int) string {
			return `{"name":"` + short(i) + `","match":{"hosts":["` + short(i) + `"],"paths":[{"exact":"/a"}]}}`
		}),
		"policies with lists of their own": fill(`{"policies":[`, `]}`, func(i int) string {
			n := short(i)
			return `{"name":"` + n + `","match":{"routes":["` + n + `"]},"allow_origins":["a://` + n + `"],"allow_methods":["` + n + `"],"allow_headers":["` + n + `"],"expose_headers":["` + n + `"]}`
		}),
		"policies with a wildcard of their own": fill(`{"policies":[`, `]}`, func(i int) string {
			n := short(i)
			return `{"name":"` + n + `","match":{"routes":["` + n + `"]},"allow_origins":["a://*.` + n + `"]}`
		}),
		"policies with a regex of their own": fill(`{"policies":[`, `]}`, func(i int) string {
			n := short(i)
			return `{"name":"` + n + `","match":{"routes":["` + n + `"]},"allow_origins":[{"regex":"` + n + `"}]}`
		}),
		"policies without a name":   fill(`{"policies":[`, `]}`, func(int) string { return `{}` }),
		"policies that are numbers": fill(`{"policies":[`, `]}`, func(int) string { return `1` }),
	}
}

package convert

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// searchOrigin adds what a regex allows that is looked for anywhere in an origin. What it
// allows beside what it describes isn't carried over, because anyone can have such a
// domain: without a "$", https://app.example.com.evil.example too.
func (c *conversion) searchOrigin(d *draft, at *document.Node, expr string) {
	if _, err := regexp.Compile(expr); err != nil || expr == "" {
		c.matchOrigin(d, at, originMatcher{kind: regexMatcher, text: expr})
		return
	}
	for _, one := range unbound(expr) {
		c.searchOne(d, at, one)
	}
}

// unbound are the alternatives of a regex of which each has its own anchors.
func unbound(expr string) []string {
	if strings.Contains(strings.ReplaceAll(expr, "(?:", ""), "(?") || strings.Contains(expr, `\Q`) {
		return []string{expr} // flags, which are for all that follows
	}
	return split(expr)
}

// searchOne is searchOrigin for one of the alternatives.
func (c *conversion) searchOne(d *draft, at *document.Node, expr string) {
	body, begins := strings.CutPrefix(expr, "^")
	ends := strings.HasSuffix(body, "$") && !strings.HasSuffix(body, `\$`)
	if ends {
		body = strings.TrimSuffix(body, "$")
	}
	// A scheme begins an origin, whether or not an anchor says so.
	begins = begins || strings.Contains(plainSlashes(body), "://")
	wide, whole := body, body
	if !begins {
		whole = "https?://" + body
		if !strings.HasPrefix(body, ".*") && !strings.HasPrefix(body, ".+") {
			wide = ".*" + body
		}
	}
	if !ends && !strings.HasSuffix(wide, ".*") {
		wide += ".*"
	}
	escaped, _ := escapeDots(plainSlashes(wide))
	s, ok := regexShape(escaped)
	switch {
	case ok && isDomain(s.host):
		whole = wide // of which what the domain doesn't say is left out
	case originMatcher{kind: regexMatcher, text: body}.matchesStar():
		whole = body
	case begins && ends:
	default:
		what := "the regex " + quote(expr) + " is looked for anywhere in an origin"
		if impostor := impostorOf(expr); impostor != "" {
			what += ", so it also matches " + quote(impostor)
		}
		c.warn(at, what, "carried over for the whole origin")
	}
	c.matchAs(d, at, whole, expr)
}

// matchAs adds what a regex allows that the source has in another form.
func (c *conversion) matchAs(d *draft, at *document.Node, expr, there string) {
	before := len(c.findings)
	c.matchOrigin(d, at, originMatcher{kind: regexMatcher, text: expr})
	for _, f := range c.findings[before:] {
		f.What = strings.ReplaceAll(f.What, quote(expr), quote(there))
	}
}

// plainSlashes is a regex without the escapes of slashes and colons, which need none.
func plainSlashes(expr string) string { return strings.NewReplacer(`\/`, "/", `\:`, ":").Replace(expr) }

// impostorOf is an origin that a regex without an anchor matches, and that is of somebody
// else than it describes; "" if none is known.
func impostorOf(expr string) string {
	search, sample := regexp.MustCompile(expr), sampleOfRegex(expr)
	impostors := []string{sample + ".evil.example"}
	if !strings.Contains(sample, "://") {
		impostors = []string{"https://" + sample + ".evil.example", "https://evil" + sample}
	}
	for _, impostor := range impostors {
		if validOrigin(impostor) && search.MatchString(impostor) {
			return impostor
		}
	}
	return ""
}

// sampleOfRegex is a text that a regex matches, as a rule.
func sampleOfRegex(expr string) string {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return ""
	}
	return sampleOf(parsed, true)
}

// maxSamples bounds the samples of a regex of hosts.
const maxSamples = 20

// hostsOfRegex are hosts that a regex matches, as a rule: of each of its alternatives one.
func hostsOfRegex(expr string) (hosts []string) {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	for _, text := range samplesIn(parsed) {
		if text = strings.ToLower(text); !slices.Contains(hosts, text) {
			hosts = append(hosts, text)
		}
	}
	return hosts
}

// samplesIn are texts that a part of a regex matches.
func samplesIn(re *syntax.Regexp) (list []string) {
	switch {
	case re.Op == syntax.OpCapture:
		return samplesIn(re.Sub[0])
	case re.Op == syntax.OpAlternate:
		for _, sub := range re.Sub {
			list = append(list, samplesIn(sub)...)
		}
	case re.Op == syntax.OpConcat:
		list = []string{""}
		for _, sub := range re.Sub {
			var longer []string
			for _, begin := range list {
				for _, end := range samplesIn(sub) {
					longer = append(longer, begin+end)
				}
			}
			list = longer[:min(len(longer), maxSamples)]
		}
	case re.Op == syntax.OpCharClass && classSize(re.Rune) <= maxSamples/2: // letters beside each other
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				list = append(list, string(r))
			}
		}
	case re.Op == syntax.OpQuest:
		list = append(samplesIn(re.Sub[0]), "")
	default:
		list = []string{sampleOf(re, true)}
	}
	return list[:min(len(list), maxSamples)]
}

// classSize is the number of characters of a class.
func classSize(class []rune) (n int) {
	for i := 0; i+1 < len(class); i += 2 {
		n += int(class[i+1]-class[i]) + 1
	}
	return n
}

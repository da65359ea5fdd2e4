package engine

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// A Checked is what is wrong or doubtful with a configuration.
type Checked struct {
	// OK tells that the filter accepts it; warnings don't keep it from that.
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
}

// A Finding is one thing that is wrong or doubtful.
type Finding struct {
	Severity string `json:"severity"` // "error" or "warning"
	Kind     string `json:"kind"`
	Path     string `json:"path"`
	Message  string `json:"message"`
	// Instead is what to do about it, in words that follow the message; or "".
	Instead string `json:"instead"`
	// Replacement is what to write from From to To instead; or nil.
	Replacement *string `json:"replacement,omitempty"`
	Line        int     `json:"line"`
	Column      int     `json:"column"`
	// From and To are where it stands, in UTF-16 code units, as JavaScript counts.
	From int `json:"from"`
	To   int `json:"to"`
}

// Check checks a configuration as the filter does.
func Check(text string) Checked {
	document, problems := config.Parse(text)
	at := units{text: text}
	result := Checked{OK: document != nil, Findings: []Finding{}}
	for _, p := range problems {
		f := Finding{Severity: "error", Kind: p.Kind.String(), Path: p.Path(), Message: p.What, Instead: p.Instead,
			Line: p.Line, Column: p.Column}
		if p.Warning {
			f.Severity = "warning"
		}
		end := p.Offset + extent(text[p.Offset:])
		f.From, f.To = at.of(p.Offset), at.of(end)
		f.Replacement = replacement(text, p, end)
		result.Findings = append(result.Findings, f)
	}
	return result
}

// extent is how long the value is at the beginning of a text; or the bare word, or the
// character, if no value begins there.
func extent(text string) int {
	var raw json.RawMessage
	decoder := json.NewDecoder(strings.NewReader(text))
	if decoder.Decode(&raw) == nil {
		return int(decoder.InputOffset())
	}
	if end := bare.FindStringIndex(text); end != nil {
		return end[1]
	}
	_, size := utf8.DecodeRuneInString(text)
	return size
}

// bare is a word without quotes, which may be an origin.
var bare = regexp.MustCompile(`^([^,:\]}\s]|:[^\s\["{])+`)

// replacement is what a problem says to write in place of what it is about, to the end; nil
// if it says something else, or if that doesn't mend it.
func replacement(text string, p config.Problem, end int) *string {
	rest, ok := p.Suggestion()
	if !ok {
		return nil
	}
	written := values(rest)
	if written == "" {
		return nil
	}
	_, problems := config.Parse(text[:p.Offset] + written + text[end:])
	for _, q := range problems {
		same := q.Path() == p.Path() && q.What == p.What
		if same || !q.Warning && p.Offset <= q.Offset && q.Offset <= p.Offset+len(written) {
			return nil
		}
	}
	return &written
}

// values are the JSON values, with commas between them, at the beginning of a text; "" if it
// begins otherwise.
func values(text string) string {
	end := 0
	for {
		var raw json.RawMessage
		decoder := json.NewDecoder(strings.NewReader(text[end:]))
		if decoder.Decode(&raw) != nil {
			break
		}
		end += int(decoder.InputOffset())
		if rest := text[end:]; len(rest) < 3 || rest[:2] != ", " || !strings.ContainsRune(`"{[`, rune(rest[2])) {
			break
		}
		end += len(", ")
	}
	return strings.TrimSuffix(text[:end], ", ")
}

// units counts UTF-16 code units. Offsets that grow are found without counting again.
type units struct {
	text         string
	offset, unit int
}

// of is how many code units stand before an offset in bytes.
func (u *units) of(offset int) int {
	if offset < u.offset {
		u.offset, u.unit = 0, 0
	}
	for _, r := range u.text[u.offset:offset] {
		u.unit++
		if r > 0xffff {
			u.unit++
		}
	}
	u.offset = offset
	return u.unit
}

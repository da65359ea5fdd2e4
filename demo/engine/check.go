package engine

import (
	"encoding/json"
	"regexp"
	"slices"
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

// maxTried is about how many bytes are read to try what findings say to write: all of them
// in a text that a person writes, and one in a text of megabytes, whose editor would stand
// still for minutes.
const maxTried = 4 << 20

// Check checks a configuration as the filter does.
func Check(text string) Checked {
	document, problems := config.Parse(text)
	at := units{text: text}
	tried := 0
	result := Checked{OK: document != nil, Findings: []Finding{}}
	for _, p := range problems {
		f := Finding{Severity: "error", Kind: p.Kind.String(), Path: p.Path(), Message: p.What, Instead: p.Instead,
			Line: p.Line, Column: p.Column}
		if p.Warning {
			f.Severity = "warning"
		}
		end := p.Offset + extent(text[p.Offset:])
		f.From, f.To = at.of(p.Offset), at.of(end)
		if written := suggested(p); written != "" && tried < maxTried {
			tried += len(text)
			if mends(text, p, end, written) {
				f.Replacement = &written
			}
		}
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
	beginning := strings.ToValidUTF8(text[:min(len(text), maxBare)], "") // no half of a character
	if end := bare.FindStringIndex(beginning); end != nil {
		return end[1]
	}
	_, size := utf8.DecodeRuneInString(text)
	return size
}

// bare is a word without quotes, which may be an origin.
var bare = regexp.MustCompile(`^([^,:\]}\s]|:[^\s\["{])+`)

// maxBare is how much of a text is read for one, in bytes: more than origins have.
const maxBare = 1000

// suggested is what a problem says to write in place of what it is about; "" if it says
// something else, or leaves a choice, as between true and false.
func suggested(p config.Problem) string {
	rest, _ := p.Suggestion()
	written := values(rest)
	if strings.HasPrefix(rest[len(written):], " or ") {
		return ""
	}
	return written
}

// mends reports whether what is written in a problem's place, to the end, mends it.
func mends(text string, p config.Problem, end int, written string) bool {
	_, problems := config.Parse(text[:p.Offset] + written + text[end:])
	return !slices.ContainsFunc(problems, func(q config.Problem) bool {
		same := q.Path() == p.Path() && q.What == p.What
		return same || !q.Warning && p.Offset <= q.Offset && q.Offset <= p.Offset+len(written)
	})
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

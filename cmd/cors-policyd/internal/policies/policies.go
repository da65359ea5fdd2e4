// Package policies makes the document that the filter reads of a template and what a
// database has. Each row goes through the filter's own reader: a bad one is left out, and
// holds no other up.
package policies

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/database"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	originset "github.com/proxy-wasm-cors/proxy-wasm-cors/internal/origin"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A Document is what the filter reads. It is immutable.
type Document struct {
	// Text is the document, and ETag its entity tag.
	Text []byte
	ETag string
	// Policies and Origins are how many there are.
	Policies, Origins int
}

// NewDocument is a document that has a text.
func NewDocument(text []byte) *Document {
	hash := sha256.Sum256(text)
	return &Document{Text: text, ETag: `"` + hex.EncodeToString(hash[:16]) + `"`}
}

// A Rejected is a row that was left out.
type Rejected struct {
	// Policy is the policy's name, as far as it is known.
	Policy string `json:"policy,omitempty"`
	// Source is the query's place in the configuration.
	Source string `json:"source"`
	// Row has the values that aren't NULL, shortened.
	Row map[string]string `json:"row"`
	// What is wrong, and what to write instead.
	What    string `json:"what"`
	Instead string `json:"instead,omitempty"`
}

// Key identifies what is said of a row.
func (r Rejected) Key() string {
	text, _ := json.Marshal(r) // texts
	return string(text)
}

// MaxListed is how many rejected rows are listed. Others are only counted.
const MaxListed = 1000

// A Result is what came of a database's state.
type Result struct {
	// Document is the document.
	Document *Document
	// Rejected are the rows that were left out, and Count how many there are by their source.
	Rejected []Rejected
	Count    map[string]int
	// Names are the policies' names.
	Names map[string]bool
	// State is what [Builder.Restore] takes, if the builder keeps it.
	State []byte
}

// A Builder builds documents, one after the other.
type Builder struct {
	// Keep has each result have its state.
	Keep bool

	template *settings.Template
	last     *Result
	lastHash [sha256.Size]byte
	// known is what is wrong with the rows of the last document, so that a row is judged once.
	known map[judged]string
}

// judged is what a judgement depends on: an origin and whether there are credentials, or all
// else that a row has.
type judged struct {
	Values      [numColumns]string
	credentials bool
}

// NewBuilder returns a Builder for a template.
func NewBuilder(t *settings.Template) *Builder {
	return &Builder{template: t, known: map[judged]string{}}
}

// Build reads the database and returns the document. Where nothing has changed, that is
// the last Result.
func (b *Builder) Build(ctx context.Context, db *database.DB) (*Result, error) {
	list := queries(b.template)
	err := db.Read(ctx, func(ctx context.Context, tx *database.Tx) error {
		for _, q := range list {
			if err := q.read(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	var line []byte
	for _, q := range list {
		for _, r := range q.Rows {
			for _, text := range append(r.Values[:], r.Wrong, r.WrongOrigin) {
				line = append(binary.AppendUvarint(line[:0], uint64(len(text))), text...)
				_, _ = hash.Write(line) // never fails
			}
		}
		_, _ = hash.Write([]byte{0xff})
	}
	sum := [sha256.Size]byte(hash.Sum(nil))
	if b.last != nil && sum == b.lastHash {
		return b.last, nil
	}
	result, err := b.build(list)
	if err != nil {
		return nil, err
	}
	if b.Keep {
		if result.State, err = json.Marshal(state{list}); err != nil {
			return nil, err
		}
	}
	b.last, b.lastHash = result, sum
	return result, nil
}

// A state is what the queries of a result have found.
type state struct {
	Queries []*query `json:"queries"`
}

// Restore returns what a state makes with the template, which may be another one than the state
// was made with, as long as its queries are among those that were asked.
func (b *Builder) Restore(text []byte) (*Result, error) {
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	asked := map[asking]*query{}
	for _, q := range s.Queries {
		if q != nil {
			asked[q.asking] = q
		}
	}
	list := queries(b.template)
	for _, q := range list {
		same := asked[q.asking]
		if same == nil {
			return nil, fmt.Errorf("it has nothing of the query at %s", q.source)
		}
		q.Rows = same.Rows
	}
	return b.build(list)
}

// A building is a document in the making.
type building struct {
	*Builder
	result  *Result
	queries map[string]*query
	claims  map[match.Claim]string // to the policy that has it
	known   map[judged]string      // as of the Builder, for the next document
	text    strings.Builder
	origins int
	work    int // how many claims have been compared
	// written are the names of the policies in their order, of those of rows; "" for others. refused is what
	// the filter's reader said of such a policy, beside the others, when they were written before.
	written []string
	refused map[string]string
	// crowded are the policies of rows whose origins are left out for the document to have room, and sizes what all of
	// them have taken.
	crowded map[string]bool
	sizes   map[string]int
}

// maxRefusals is how often policies of rows are taken out that the filter doesn't take beside the others.
const maxRefusals = 10

// build makes the document. What is right by itself may be too much together with others: so the
// filter's reader has the last word on the whole, and the policies of rows that it refuses are left out.
func (b *Builder) build(list []*query) (*Result, error) {
	refused, crowded := map[string]string{}, map[string]bool{}
	for pass := 0; ; pass++ {
		d := b.write(list, refused, crowded)
		if d.text.Len() > config.MaxDocument {
			if !d.makeRoom() {
				return nil, errTooMuch("the document")
			}
			continue
		}
		text := d.text.String()
		_, problems := config.ParseFetched(text)
		errs := config.Errors(problems)
		if len(errs) == 0 {
			b.known = d.known
			d.result.Document = NewDocument([]byte(text))
			d.result.Document.Policies, d.result.Document.Origins = len(d.result.Names), d.origins
			return d.result, nil
		}
		before := len(refused)
		for _, p := range errs {
			var i int
			if n, _ := fmt.Sscanf(p.Path(), "policies[%d]", &i); n == 1 && d.written[i] != "" {
				refused[d.written[i]] = said(p)
			}
		}
		if len(refused) == before || pass == maxRefusals {
			return nil, fmt.Errorf("the document is none that the filter takes: %w", errs[0])
		}
	}
}

// makeRoom has the largest policies of rows be crowded that take more than their share, as few as needed. It reports
// whether there are such ones.
func (d *building) makeRoom() bool {
	names := slices.SortedFunc(maps.Keys(d.sizes), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.sizes[b], d.sizes[a]), cmp.Compare(a, b))
	})
	found, over := false, d.text.Len()-config.MaxDocument
	for _, n := range names {
		if over <= 0 || d.crowded[n] || d.sizes[n] <= config.MaxDocument/share {
			break
		}
		d.crowded[n], found = true, true
		over -= d.sizes[n]
	}
	return found
}

// write writes the document without policies that are refused, and without origins of those that are crowded.
func (b *Builder) write(list []*query, refused map[string]string, crowded map[string]bool) *building {
	d := &building{
		Builder: b, queries: map[string]*query{}, claims: map[match.Claim]string{}, known: map[judged]string{},
		result: &Result{Count: map[string]int{}, Names: map[string]bool{}}, refused: refused, crowded: crowded,
		sizes: map[string]int{},
	}
	for _, q := range list {
		d.queries[q.source] = q
		d.result.Count[q.source] = 0
	}
	for _, p := range b.template.Policies {
		if p.Rows != "" {
			continue
		}
		d.result.Names[p.Name] = true
		for c := range p.Match.Claims() {
			d.claims[c.Canonical()] = p.Name
		}
	}
	d.text.WriteString("{")
	if b.template.Defaults != "" {
		d.text.WriteString(`"defaults":` + b.template.Defaults + ",")
	}
	d.text.WriteString(`"policies":[`)
	// Those of rows come last: of what is too much together, the filter's reader refuses what comes later. What is
	// too much by far isn't written to be measured.
	for _, ofRows := range []bool{false, true} {
		for i := range b.template.Policies {
			if p := &b.template.Policies[i]; (p.Rows != "") == ofRows && d.text.Len() <= maxRead {
				d.policy(p)
			}
		}
	}
	if len(d.result.Names) == 0 {
		// A document has a policy at least: one for no host.
		d.text.WriteString("\n" + `{"name":"none","match":{"hosts":["` + nobody + `"]},"allow_origins":["https://` + nobody + `"]}`)
	}
	d.text.WriteString("\n]}\n")
	return d
}

// nobody is a host that there can't be (RFC 2606): where the database has no origin, the
// policy allows none, which the format has no other words for. Left out, the policy would
// leave the upstream's headers to stand.
const nobody = "nobody.invalid"

// reject leaves a row out, or its origin. The verdict may have what to write instead, after a line break.
func (d *building) reject(q *query, r row, verdict string) {
	what, instead, _ := strings.Cut(verdict, "\n")
	d.result.Count[q.source]++
	if len(d.result.Rejected) < MaxListed {
		policy := q.Policy
		if q.Policies {
			policy = r.given()["name"]
		}
		d.result.Rejected = append(d.result.Rejected, Rejected{policy, q.source, r.given(), what, instead})
	}
}

// judgeMatch has the filter's reader judge what a row's policy is, and what it is for. It returns
// "" or what is wrong, and, after a line break, what to write instead.
func (d *building) judgeMatch(r row) string {
	if r.Wrong != "" {
		return r.Wrong
	}
	r.Values[origin] = ""
	return d.judge(judged{Values: r.Values}, func() []problem.Problem {
		_, problems := config.Parse(r.document())
		return problems
	})
}

// judgeOrigin does the same for a row's origin.
func (d *building) judgeOrigin(r row, credentials bool) string {
	text := r.Values[origin]
	if r.WrongOrigin != "" || good(text, credentials) {
		return r.WrongOrigin
	}
	key := judged{credentials: credentials}
	key.Values[origin] = text
	return d.judge(key, func() []problem.Problem { return Check(text, credentials) })
}

// judge judges, unless that was done before.
func (d *building) judge(key judged, ask func() []problem.Problem) string {
	verdict, ok := d.known[key]
	if !ok {
		if verdict, ok = d.Builder.known[key]; !ok {
			if errs := config.Errors(ask()); len(errs) > 0 {
				verdict = said(errs[0])
			}
		}
		d.known[key] = verdict
	}
	return verdict
}

// said is what is wrong, and what to write instead, in a line each.
func said(p problem.Problem) string { return p.What + "\n" + p.Instead }

// good reports whether there is nothing wrong with an origin, as with most, without a detour.
func good(text string, credentials bool) bool {
	var found problem.List
	one := func(yield func(int, originset.Entry) bool) { yield(0, originset.Entry{Text: text}) }
	return originset.Compile(one, credentials, originset.NewRegexBudget(), &found) != nil
}

// Check judges an entry of allow_origins. It returns what is wrong or doubtful with it.
func Check(entry string, credentials bool) []problem.Problem {
	if len(entry) > maxValue {
		what := "is " + strconv.Itoa(len(entry)) + " bytes long"
		return []problem.Problem{problem.New(problem.TooLarge, "allow_origins", what, "write an origin")}
	}
	_, problems := config.Parse(`{"allow_origins":[` + quoted(entry) + `],"allow_credentials":` + fmt.Sprint(credentials) + `}`)
	return problems
}

func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text
	return strings.TrimSuffix(b.String(), "\n")
}

// policy adds a policy, or those of its rows.
func (d *building) policy(p *settings.Policy) {
	var origins []string // as JSON
	seen := map[string]bool{}
	for i, o := range p.Origins {
		if o.Query == "" {
			origins = append(origins, o.JSON)
			continue
		}
		q := d.queries[fmt.Sprintf("%s.allow_origins[%d]", p.Path, i)]
		for _, r := range q.Rows {
			if seen[r.Values[origin]] && r.WrongOrigin == "" {
				continue
			}
			seen[r.Values[origin]] = true
			if verdict := d.judgeOrigin(r, p.Credentials); verdict != "" {
				d.reject(q, r, verdict)
				continue
			}
			origins = append(origins, quoted(r.Values[origin]))
		}
	}
	if p.Rows != "" {
		d.rows(p, origins)
		return
	}
	d.begin(p.Name, false)
	d.text.WriteString(p.Fields)
	if !p.Inherits {
		d.list(origins)
	}
	d.text.WriteString("}")
}

// begin begins a policy, which may be one of rows.
func (d *building) begin(name string, ofRows bool) {
	if d.written = append(d.written, ""); ofRows {
		d.written[len(d.written)-1] = name
	}
	if !strings.HasSuffix(d.text.String(), "[") {
		d.text.WriteString(",")
	}
	d.text.WriteString("\n" + `{"name":` + quoted(name))
}

// list writes allow_origins.
func (d *building) list(origins []string) {
	d.origins += len(origins)
	if len(origins) == 0 {
		origins = []string{quoted("https://" + nobody)}
	}
	d.text.WriteString(`,"allow_origins":[` + strings.Join(origins, ",") + "]")
}

// ErrNoTemplate says that there are no policies to serve.
var ErrNoTemplate = errors.New("the configuration has no policies, only lookups")

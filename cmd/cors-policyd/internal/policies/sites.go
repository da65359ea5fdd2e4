package policies

import (
	"cmp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/settings"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A site is a policy that is made of rows with its name.
type site struct {
	name string
	// shape tells which of host, path and route the rows have: all the same, so that none
	// widens what another one says.
	shape                        [origin]bool
	hosts, paths, routes         []string
	seenHosts, seenPaths, routed map[string]bool
	origins                      []string // as JSON
	seen                         map[string]bool
}

// maxClaims bounds what the hosts and paths of a policy are together for, which is their product.
const maxClaims = 10_000

// maxWork bounds how many claims are compared for a document. A row adds as many as its policy has
// paths, or hosts.
const maxWork = 5_000_000

// rows adds the policies of rows, each with the origins that stand beside the rows.
func (d *building) rows(p *settings.Policy, origins []string) {
	q := d.queries[p.Path+".rows"]
	for from := 0; from < len(q.Rows) && d.text.Len() <= maxRead; {
		to := from + 1
		for to < len(q.Rows) && q.Rows[to].Values[name] == q.Rows[from].Values[name] {
			to++
		}
		d.site(p, q, q.Rows[from:to], origins)
		from = to
	}
}

// site adds the policy of the rows of one name. It is there for what a row is for, though the
// row's origin is left out or NULL: without a policy the upstream's word would stand.
func (d *building) site(p *settings.Policy, q *query, rows []row, origins []string) {
	s := &site{
		name: rows[0].Values[name], seenHosts: map[string]bool{}, seenPaths: map[string]bool{},
		routed: map[string]bool{}, seen: map[string]bool{},
	}
	taken := ""
	if d.result.Names[s.name] {
		taken = problem.Quote(s.name) + " is the name of another policy too\ngive each policy a name of its own"
	}
	claimed := false
	for _, r := range rows {
		verdict := cmp.Or(d.judgeMatch(r), taken, d.refused[s.name])
		if verdict == "" {
			if verdict = d.claim(s, r, !claimed); verdict == "" {
				claimed = true
				verdict = d.allow(s, r, p.Credentials)
			}
		}
		if verdict != "" {
			d.reject(q, r, verdict)
		}
	}
	if !claimed {
		return
	}
	d.result.Names[s.name] = true
	before := d.text.Len()
	d.begin(s.name, true)
	d.text.WriteString(s.match())
	d.text.WriteString(p.Fields)
	d.list(append(append([]string(nil), origins...), s.origins...))
	d.text.WriteString("}")
	d.sizes[s.name] = d.text.Len() - before
}

// allow adds the origin of a row, if it has one. It returns what is wrong with it.
func (d *building) allow(s *site, r row, credentials bool) string {
	if r.WrongOrigin == isNull {
		return ""
	}
	text := r.Values[origin]
	verdict := d.judgeOrigin(r, credentials)
	if verdict == "" && d.crowded[s.name] {
		return "origin " + tooManyRows
	}
	if verdict == "" && !s.seen[text] {
		s.seen[text] = true
		s.origins = append(s.origins, quoted(text))
	}
	return verdict
}

// claim adds what a row is for to what its policy is for, unless another policy is, which it
// returns then.
func (d *building) claim(s *site, r row, first bool) string {
	var shape [origin]bool
	for i := host; i < origin; i++ {
		shape[i] = r.Values[i] != ""
	}
	if first {
		s.shape = shape
	} else if shape != s.shape {
		return "has other columns that are NULL than the other rows of " + problem.Quote(s.name) +
			"\nwrite the same of host, path and route in all rows of a policy"
	}
	if s.seenHosts[r.Values[host]] && s.seenPaths[r.Values[path]] && s.routed[r.Values[route]] {
		return "" // another origin of the same
	}
	hosts, paths := s.hosts, s.paths
	if !s.seenHosts[r.Values[host]] {
		hosts = append(hosts, r.Values[host])
		d.work += len(paths)
	}
	if !s.seenPaths[r.Values[path]] {
		paths = append(paths, r.Values[path])
		d.work += len(hosts)
	}
	if len(hosts)*len(paths) > maxClaims {
		return "is one of too many hosts and paths of " + problem.Quote(s.name) + "\nmake several policies of it"
	}
	if d.work > maxWork {
		return "is one of too many hosts and paths\nmatch fewer in one policy"
	}
	claims := s.claims(r)
	var taken *match.Claim // the first of several, so that the same is said each time
	for c := range claims {
		if owner, ok := d.claims[c]; ok && owner != s.name && (taken == nil || before(c, *taken)) {
			taken = &c
		}
	}
	if taken != nil {
		return "claims " + taken.String() + ", as the policy " + problem.Quote(d.claims[*taken]) + " does" +
			"\ngive the two policies different matches, or make them one"
	}
	for c := range claims {
		d.claims[c] = s.name
	}
	s.hosts, s.paths = hosts, paths
	s.seenHosts[r.Values[host]], s.seenPaths[r.Values[path]] = true, true
	if !s.routed[r.Values[route]] {
		s.routed[r.Values[route]] = true
		s.routes = append(s.routes, r.Values[route])
	}
	return ""
}

// before puts claims of one kind in order.
func before(a, b match.Claim) bool {
	return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path.Path, b.Path.Path)) < 0
}

// claims are what a row adds to what its policy claims: hosts and paths multiply.
func (s *site) claims(r row) map[match.Claim]bool {
	m := match.Match{}
	if v := r.Values[route]; v != "" {
		m.Routes = []string{v}
	}
	claims := map[match.Claim]bool{}
	add := func(m match.Match) {
		for c := range m.Claims() {
			claims[c.Canonical()] = true
		}
	}
	h, p := r.Values[host], r.Values[path]
	if !s.seenHosts[h] {
		m.Hosts, m.Paths = given([]string{h}), prefixes(append(slices.Clone(s.paths), p))
		add(m)
	}
	if !s.seenPaths[p] {
		m.Hosts, m.Paths = given(append(slices.Clone(s.hosts), h)), prefixes([]string{p})
		add(m)
	}
	if len(claims) == 0 { // another route of the same
		add(m)
	}
	return claims
}

// given are the values that aren't "", which stands for none.
func given(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
}

func prefixes(paths []string) (list []match.Path) {
	for _, p := range given(paths) {
		list = append(list, match.Path{Path: p, Prefix: true})
	}
	return list
}

// match is the field match, with a comma before it, or "".
func (s *site) match() string {
	var fields []string
	list := func(field string, values []string, write func(string) string) {
		var texts []string
		for _, v := range given(values) {
			texts = append(texts, write(v))
		}
		if len(texts) > 0 {
			fields = append(fields, quoted(field)+":["+strings.Join(texts, ",")+"]")
		}
	}
	list("hosts", s.hosts, quoted)
	list("paths", s.paths, func(p string) string { return `{"prefix":` + quoted(p) + `}` })
	list("routes", s.routes, quoted)
	if len(fields) == 0 {
		return ""
	}
	return `,"match":{` + strings.Join(fields, ",") + "}"
}

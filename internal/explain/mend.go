package explain

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/cors"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/policyjson"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/match"
)

// A mender edits policies until several requests are allowed, one after the other: each edit
// is made on top of those before.
type mender struct {
	written []config.Policy // as they are in the file
	// policies are those that are written, with the edits, and after them new ones.
	policies []config.Policy
	editors  map[int]*editor  // of the policies that are edited, by their index
	hosts    map[int][]string // what is added to the hosts that they match
	warnings map[int][]string // about the hosts that were added, and about new policies
}

func newMender(policies []config.Policy) *mender {
	return &mender{
		written: policies, policies: slices.Clone(policies),
		editors: map[int]*editor{}, hosts: map[int][]string{}, warnings: map[int][]string{},
	}
}

// mend makes the edits that a request needs, if there are any that help.
func (m *mender) mend(e *Report) {
	if e.neverMade() {
		return
	}
	key := e.key()
	i := m.applies(key)
	undo := func() {}
	if i < 0 {
		policies, hosts := slices.Clone(m.policies), maps.Clone(m.hosts)
		undo = func() { m.policies, m.hosts = policies, hosts }
		if i = m.cover(e, key); i < 0 {
			return
		}
	}
	trial := m.editor(i, e)
	policy, _ := cors.Compile(trial.config)
	if !trial.edit(e.upstream.Run(policy, trial.request, e.result)) {
		undo()
		return
	}
	m.editors[i], m.policies[i].Config = trial, trial.config
}

// applies is the index of the policy that applies, or -1.
func (m *mender) applies(key match.Key) int {
	best, at := match.Claim{}, -1
	for i := range m.policies {
		if fit, ok := m.policies[i].Match.Fit(key); ok && (at < 0 || fit.Compare(best) > 0) {
			best, at = fit, i
		}
	}
	return at
}

// editor is a copy of the editor of a policy, for another request.
func (m *mender) editor(i int, e *Report) *editor {
	trial := e.editor(&config.Policy{}, m.policies[i].Config)
	if i < len(m.written) {
		trial.written = &m.written[i]
	}
	if before := m.editors[i]; before != nil {
		trial.written, trial.warnings = before.written, before.warnings
		for _, edit := range before.edits {
			edit.added = slices.Clone(edit.added)
			trial.edits = append(trial.edits, edit)
		}
	}
	return trial
}

// cover makes a policy apply to a request that has none: one that allows it and gets its host,
// or a new one, of which there is one for each host. It is -1 if there can't be one.
func (m *mender) cover(e *Report, key match.Key) int {
	if key.Host != "" {
		if i := m.addHost(e, key); i >= 0 {
			return i
		}
	}
	var of match.Match
	if key.Host != "" {
		of.Hosts = []string{key.Host}
	}
	stem := capture.Stem(pathOf(key))
	for i := len(m.written); i < len(m.policies); i++ {
		if made := &m.policies[i]; slices.Equal(made.Match.Hosts, of.Hosts) {
			of.Paths = below(commonStem(made.Match.Paths, stem))
			if ok, warnings := valid(m.policies, i, of); ok {
				made.Match, m.warnings[i] = of, warnings
				return i
			}
			return -1
		}
	}
	of.Paths = below(stem)
	made := config.Policy{Config: newConfig(m.written, e.Request.Origin)}
	made.Config.Name = m.newName()
	if policy, _ := cors.Compile(made.Config); policy == nil {
		return -1
	}
	i := len(m.policies)
	ok, warnings := valid(append(slices.Clone(m.policies), made), i, of)
	if !ok {
		return -1
	}
	made.Match, m.warnings[i] = of, warnings
	m.policies = append(m.policies, made)
	return i
}

// addHost adds a request's host to the first policy that allows the request and covers it then.
// It returns the policy's index, or -1.
func (m *mender) addHost(e *Report, key match.Key) int {
	for i := range m.written {
		p := &m.policies[i]
		policy, _ := cors.Compile(p.Config)
		if len(p.Match.Hosts) == 0 || e.upstream.Run(policy, e.Request, e.result).Blocked != nil {
			continue
		}
		wider := p.Match
		wider.Hosts = append(slices.Clone(wider.Hosts), key.Host)
		if _, covers := wider.Fit(key); !covers {
			continue
		}
		if ok, warnings := valid(m.policies, i, wider); ok {
			p.Match, m.warnings[i] = wider, warnings
			m.hosts[i] = append(m.hosts[i], strconv.Quote(key.Host))
			return i
		}
	}
	return -1
}

// below are the paths that begin with a stem: all of them for the root.
func below(stem string) []match.Path {
	if stem == "/" {
		return nil
	}
	return []match.Path{{Path: stem, Prefix: true}}
}

// commonStem is what the paths of a match have in common with another stem, segment by segment.
func commonStem(paths []match.Path, stem string) string {
	if len(paths) == 0 {
		return "/"
	}
	a, b := strings.Split(paths[0].Path, "/"), strings.Split(stem, "/")
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	if common := strings.Join(a[:n], "/"); common != "" {
		return common
	}
	return "/"
}

// newName is a name for a policy that none has.
func (m *mender) newName() string {
	name := "new"
	for n := 2; slices.ContainsFunc(m.policies, func(p config.Policy) bool { return p.Config.Name == name }); n++ {
		name = "new-" + strconv.Itoa(n)
	}
	return name
}

// changes are the edits that were made, in the order of the policies.
func (m *mender) changes() (list []Change) {
	for i := range m.policies {
		switch ed := m.editors[i]; {
		case i >= len(m.written):
			list = append(list, m.added(i))
			continue
		case ed != nil && len(ed.edits) > 0:
			list = append(list, ed.summarize()...)
		}
		if hosts := m.hosts[i]; hosts != nil {
			path, offset, _ := m.written[i].Field("match.hosts")
			list = append(list, Change{
				Path: path, Offset: offset, Edit: "add " + strings.Join(hosts, ", "), Warnings: m.warnings[i],
				Rewrite: &Rewrite{Object: m.written[i].Offset, Field: "match.hosts", Added: hosts},
			})
		}
	}
	return list
}

// added is the change that adds a new policy.
func (m *mender) added(i int) Change {
	p := m.policies[i]
	warnings := slices.Clone(m.warnings[i])
	if ed := m.editors[i]; ed != nil {
		for _, w := range ed.warnings {
			warnings = append(warnings, inOneLine(w))
		}
	}
	return addition(m.written, policyjson.Policy{Config: p.Config, Match: p.Match}, warnings)
}

// allows reports whether a page gets the answer to a request with all edits made.
func (m *mender) allows(e *Report) bool {
	var policy *cors.Policy
	if i := m.applies(e.key()); i >= 0 {
		policy, _ = cors.Compile(m.policies[i].Config)
	}
	r := e.Request
	r.PreflightCached = false
	return e.upstream.Run(policy, r, e.result).Blocked == nil
}

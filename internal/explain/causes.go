package explain

import (
	"slices"
	"strings"
)

// A Cause is why some requests are blocked: the same policy, the same reason, and the same change
// that would let them through.
type Cause struct {
	// Policy is the policy that applies to the requests; nil if none does.
	Policy *Choice
	// Because is why they are blocked.
	Because string
	// Reports are the requests, in their order.
	Reports []*Report
	// Changes are the smallest change that would allow them.
	Changes []Change
}

// Causes are why some of several requests are blocked, and what would allow all of them.
type Causes struct {
	// Recorded is how many requests a capture has, and Failed how many of them the browser
	// blocked, as far as somebody has set them.
	Recorded, Failed int
	// Reports are all requests.
	Reports []*Report
	// Blocked is how many of them are.
	Blocked int
	// List has each cause, the one with the most requests first.
	List []*Cause
	// Together are the changes of all causes, each made on top of the others.
	Together []Change
	// Allowed is how many of the blocked requests are allowed then. Left are the others, and
	// Lost those that are allowed now, and not then.
	Allowed    int
	Left, Lost []*Report
}

// FindCauses groups reports on one configuration by the causes of what is blocked.
func FindCauses(reports []*Report) *Causes {
	c := &Causes{Reports: reports}
	byKey := map[string]*Cause{}
	var blocked []*Report
	for _, e := range reports {
		if e.Blocked == nil {
			continue
		}
		blocked = append(blocked, e)
		key := e.cause()
		cause := byKey[key]
		if cause == nil {
			cause = &Cause{Policy: e.applied(), Because: e.because(), Changes: e.Changes}
			byKey[key] = cause
			c.List = append(c.List, cause)
		}
		cause.Reports = append(cause.Reports, e)
	}
	c.Blocked = len(blocked)
	if c.Blocked == 0 {
		return c
	}
	slices.SortStableFunc(c.List, func(a, b *Cause) int { return len(b.Reports) - len(a.Reports) })
	for _, cause := range c.List {
		if cause.Policy == nil && len(cause.Reports) > 1 && addsPolicy(cause.Changes) {
			// One policy for all of them, not one for each path.
			cause.Changes = mended(cause.Reports).changes()
		}
	}
	c.together(blocked)
	return c
}

// mended makes the edits that requests need.
func mended(reports []*Report) *mender {
	m := newMender(reports[0].Plugin.Policies())
	for _, e := range reports {
		m.mend(e)
	}
	return m
}

// together tries all changes at once, also on what is allowed without them.
func (c *Causes) together(blocked []*Report) {
	m := mended(blocked)
	c.Together = m.changes()
	for _, e := range c.Reports {
		switch allowed := m.allows(e); {
		case e.Blocked == nil && !allowed:
			c.Lost = append(c.Lost, e)
		case e.Blocked != nil && allowed:
			c.Allowed++
		case e.Blocked != nil:
			c.Left = append(c.Left, e)
		}
	}
}

// applied is the policy that applies to the request; nil if none does.
func (e *Report) applied() *Choice {
	if i := slices.IndexFunc(e.Choices, func(c Choice) bool { return c.Applies }); i >= 0 {
		return &e.Choices[i]
	}
	return nil
}

// because is why the request is blocked: where no policy applies, that, and not what the browser
// misses then, which differs with the request.
func (e *Report) because() string {
	if e.applied() != nil || e.neverMade() {
		return e.Because()
	}
	if host := e.key().Host; host != "" {
		return "no policy applies to requests for " + host
	}
	return "no policy applies"
}

// cause is the same text for requests that are blocked for the same cause.
func (e *Report) cause() string {
	const separator = "\x00"
	parts := []string{e.because()}
	if c := e.applied(); c != nil {
		parts = append(parts, c.Path, c.Name)
	} else if addsPolicy(e.Changes) {
		return strings.Join(append(parts, "policies"), separator)
	}
	for _, c := range e.Changes {
		parts = append(parts, c.Path, c.Edit, c.Or)
	}
	return strings.Join(parts, separator)
}

// addsPolicy reports whether changes are a policy to be added.
func addsPolicy(changes []Change) bool { return len(changes) == 1 && changes[0].Path == "policies" }

// A causeJSON is a cause for programs.
type causeJSON struct {
	Because  string       `json:"because"`
	Policy   *choiceJSON  `json:"policy,omitempty"`
	Count    int          `json:"count"`
	Requests []sourceJSON `json:"requests"`
	Changes  []changeJSON `json:"changes"`
}

// A sourceJSON says which request is meant.
type sourceJSON struct {
	From   string `json:"source,omitempty"`
	Method string `json:"method"`
	URL    string `json:"url,omitempty"`
	Origin string `json:"origin"`
}

type togetherJSON struct {
	Changes []changeJSON `json:"changes"`
	Allowed int          `json:"allowed"`
	Left    []sourceJSON `json:"left"`
	Lost    []sourceJSON `json:"lost"`
}

// MarshalJSON implements [json.Marshaler].
func (c *Causes) MarshalJSON() ([]byte, error) {
	result := struct {
		Recorded  int           `json:"recorded"`
		Failed    int           `json:"failed"`
		Explained int           `json:"explained"`
		Blocked   int           `json:"blocked"`
		Causes    []causeJSON   `json:"causes"`
		Together  *togetherJSON `json:"together,omitempty"`
	}{Recorded: c.Recorded, Failed: c.Failed, Explained: len(c.Reports), Blocked: c.Blocked, Causes: []causeJSON{}}
	for _, cause := range c.List {
		first := cause.Reports[0]
		one := causeJSON{
			Because: cause.Because, Count: len(cause.Reports), Requests: sources(cause.Reports),
			Changes: first.inFile(cause.Changes),
		}
		if cause.Policy != nil {
			one.Policy = &choiceJSON{*cause.Policy, first.Plugin.Position(cause.Policy.Offset)}
		}
		result.Causes = append(result.Causes, one)
	}
	if c.Blocked > 0 {
		result.Together = &togetherJSON{
			Changes: c.Reports[0].inFile(c.Together), Allowed: c.Allowed, Left: sources(c.Left), Lost: sources(c.Lost),
		}
	}
	return marshal(result)
}

func sources(reports []*Report) []sourceJSON {
	list := []sourceJSON{}
	for _, e := range reports {
		list = append(list, sourceJSON{e.Subject.From, e.Request.Method, e.Request.URL, e.Request.Origin})
	}
	return list
}

package probe

import (
	"bytes"
	"encoding/json"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// encode is as [json.Marshal], and leaves alone what only HTML has to escape.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

type requestJSON struct {
	URL         string      `json:"url"`
	Origin      string      `json:"origin"`
	Method      string      `json:"method"`
	Credentials bool        `json:"credentials"`
	Headers     [][2]string `json:"headers"`
	HeaderNames []string    `json:"header_names"`
}

func requestOf(r browser.Request) requestJSON {
	return requestJSON{r.URL, r.Origin, r.Method, r.CredentialsInclude, notNil(r.Headers), notNil(r.UnsafeNames)}
}

// notNil is a list that programs read as an empty one, rather than as null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

type exchangeJSON struct {
	Kind     string      `json:"kind"`
	Method   string      `json:"method"`
	URL      string      `json:"url"`
	Origin   string      `json:"origin"`
	Because  []string    `json:"because,omitempty"`
	Headers  [][2]string `json:"headers"`
	Answer   *answerJSON `json:"answer,omitempty"`
	NoAnswer *Failure    `json:"no_answer,omitempty"`
	*strangerJSON
}

// strangerJSON is what of a question from another origin.
type strangerJSON struct {
	What            string `json:"what"`
	Allowed         bool   `json:"allowed"`
	WithCredentials bool   `json:"allowed_with_credentials"`
}

type answerJSON struct {
	Status   int         `json:"status"`
	Protocol string      `json:"protocol"`
	TLS      string      `json:"tls,omitempty"`
	Address  string      `json:"address,omitempty"`
	Headers  [][2]string `json:"headers"`
}

func exchangeOf(kind string, e *Exchange) exchangeJSON {
	j := exchangeJSON{Kind: kind, Method: e.Method, URL: e.URL, Origin: e.Origin, Headers: notNil(e.Lines),
		NoAnswer: e.Failure}
	if a := e.Answer; a != nil {
		j.Answer = &answerJSON{Status: a.Status, Protocol: a.Protocol, TLS: a.TLS, Headers: a.Shown()}
		if a.Address.IsValid() {
			j.Answer.Address = a.Address.String()
		}
	}
	return j
}

// MarshalJSON implements [json.Marshaler].
func (r *Report) MarshalJSON() ([]byte, error) {
	exchanges := []exchangeJSON{}
	for _, hop := range r.Hops {
		if hop.Preflight != nil {
			j := exchangeOf(inPreflight, hop.Preflight)
			j.Because = hop.Request.PreflightReasons()
			exchanges = append(exchanges, j)
		}
		if hop.Actual != nil {
			exchanges = append(exchanges, exchangeOf(inActual, hop.Actual))
		}
	}
	for _, s := range r.Others {
		j := exchangeOf("other-origin", s.Exchange)
		j.strangerJSON = &strangerJSON{s.What, s.Accepted, s.WithCredentials}
		exchanges = append(exchanges, j)
	}
	return encode(struct {
		Verdict   Verdict        `json:"verdict"`
		Request   requestJSON    `json:"request"`
		Exchanges []exchangeJSON `json:"exchanges"`
		Blocked   *Blocked       `json:"blocked,omitempty"`
		NotSent   string         `json:"not_sent,omitempty"`
		NoAnswer  *Failure       `json:"no_answer,omitempty"`
		Changes   []Change       `json:"changes"`
		Advice    []Advice       `json:"advice"`
	}{
		r.Verdict, requestOf(r.Request), exchanges, r.Blocked, r.NotSent, r.Failure(),
		notNil(r.Changes), notNil(r.Advice),
	})
}

type sideJSON struct {
	Verdict Verdict             `json:"verdict"`
	Reason  browser.BlockReason `json:"reason,omitempty"`
	Because string              `json:"because,omitempty"`
}

func sideOf(s *Side) sideJSON { return sideJSON{s.Verdict, s.Reason, s.Because} }

type rowJSON struct {
	Name        string       `json:"name"`
	Request     requestJSON  `json:"request"`
	Same        bool         `json:"same"`
	A           sideJSON     `json:"a"`
	B           sideJSON     `json:"b"`
	Differences []Difference `json:"differences"`
}

// MarshalJSON implements [json.Marshaler].
func (c *Comparison) MarshalJSON() ([]byte, error) {
	rows := []rowJSON{}
	for _, r := range c.Rows {
		j := rowJSON{r.Name, requestOf(r.Request), !r.Differs(), sideOf(r.A), sideOf(r.B), notNil(r.Differences)}
		if r.Name == withoutAnyOrigin {
			j.Request.Origin = ""
		}
		rows = append(rows, j)
	}
	return encode(struct {
		A         string    `json:"a"`
		AConnect  string    `json:"a_connect,omitempty"`
		B         string    `json:"b"`
		BConnect  string    `json:"b_connect,omitempty"`
		Same      bool      `json:"same"`
		Questions []rowJSON `json:"questions"`
	}{c.URL, c.Connect, c.URL2, c.Connect2, !c.Differs(), rows})
}

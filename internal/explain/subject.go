package explain

import (
	"errors"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/capture"
)

// A Subject is a request to explain, and what is known of where it comes from.
type Subject struct {
	browser.Request
	// From says where a capture has the request, as [capture.Request.Source] does.
	From string
	// Notes are what its user should know of how it was read.
	Notes []string
	// Failed tells that a browser made the request, and withheld the answer.
	Failed bool
	// Typed tells that a person wrote the request, and no browser.
	Typed bool

	asked [][2]string // the headers of a preflight
}

// Recorded is a captured request, with the origin and the credentials mode that its user
// knows better: "" and false if that is nothing.
func Recorded(found capture.Request, origin string, credentials bool) *Subject {
	s := &Subject{Request: found.Sent(), From: found.Source, Failed: found.Failed()}
	if found.Error != "" {
		s.note("the browser recorded " + found.Error)
	}
	if blocked := found.Verdict(); blocked != nil {
		if blocked.Header == "Location" {
			blocked.Value = capture.MaskURL(blocked.Value)
		}
		s.note("of what it recorded the standard says: " + blocked.Error())
	} else if found.Error != "" && found.Error != "net::ERR_FAILED" { // Chromium's for CORS
		s.note("the failure may have nothing to do with CORS")
	}
	if origin != "" {
		s.Origin = origin
	} else if found.OriginFrom != "" && found.OriginFrom != "the Origin header" {
		s.note("the origin is taken from " + found.OriginFrom)
	}
	if credentials {
		s.CredentialsInclude = true
	} else if found.CredentialsInclude {
		s.note(`the credentials mode is taken to be "include", because of ` + found.CredentialsFrom)
	}
	return s
}

func (s *Subject) note(notes ...string) { s.Notes = append(s.Notes, notes...) }

// AddHeader adds a header that a person says the page sets, or one of which only the name
// is known, and says what is wrong with it.
func (s *Subject) AddHeader(name, value string, valued bool) error {
	line := [2]string{name, strings.TrimSpace(value)}
	switch {
	case strings.HasPrefix(strings.ToLower(name), "access-control-request-"):
		s.asked = append(s.asked, line)
		return nil
	case browser.ForbiddenRequestHeader(name, line[1]):
		s.note("a page can't set the header " + name + ": the browser leaves it out, or sends its own")
		return nil
	case valued:
		s.Headers = append(s.Headers, line)
	default:
		s.UnsafeNames = append(s.UnsafeNames, name)
	}
	return capture.CheckHeader(name, value)
}

// Complete makes of a preflight that a person wrote the request that it asks for, once all
// headers are added, and checks the request.
func (s *Subject) Complete() error {
	if s.asked != nil {
		found := capture.Request{Request: browser.Request{Method: s.Method}}
		s.note(found.SetPreflight(s.asked)...)
		s.Method, s.UnsafeNames = found.Method, append(s.UnsafeNames, found.UnsafeNames...)
		s.Typed = s.Typed && !found.FromPreflight
	}
	s.ByHand = s.Typed && strings.EqualFold(s.Method, "OPTIONS")
	return s.Check()
}

// Check says what is wrong with a request that no page can make.
func (s *Subject) Check() error {
	if err := errors.Join(capture.CheckOrigin(s.Origin), capture.CheckMethod(s.Method)); err != nil || s.URL == "" {
		return err
	}
	return capture.CheckURL(s.URL)
}

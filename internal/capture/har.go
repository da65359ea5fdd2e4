package capture

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// A har is what is read of a HAR file. Names that begin with an underscore are
// Chromium's own.
//
// See http://www.softwareishard.com/blog/har-12-spec/.
type har struct {
	Log *struct {
		Pages []struct {
			ID    string `json:"id"`
			Title string `json:"title"` // In Chromium the page's URL.
		} `json:"pages"`
		Entries *[]entry `json:"entries"`
	} `json:"log"`
}

type entry struct {
	PageRef         string `json:"pageref"`
	StartedDateTime string `json:"startedDateTime"`
	ResourceType    string `json:"_resourceType"`
	Request         struct {
		Method      string   `json:"method"`
		URL         string   `json:"url"`
		HTTPVersion string   `json:"httpVersion"`
		Headers     []header `json:"headers"`
	} `json:"request"`
	Response struct {
		Status  float64  `json:"status"`
		Headers []header `json:"headers"`
		Error   string   `json:"_error"`
	} `json:"response"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// howToExport is how to get a file that can be read.
const howToExport = "in the network panel of the browser's developer tools, reload the page " +
	"and choose 'Save all as HAR'"

// FromHAR reads a HAR file, as the network panels of browsers export it, and
// returns its CORS requests: those with another origin than the page's, and in a
// mode in which answers are checked. Their preflights go with them.
func FromHAR(data []byte) ([]Request, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var file har
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, harError(data, err)
	}
	if file.Log == nil || file.Log.Entries == nil {
		return nil, errors.New("this has no log.entries, and so is no HAR file; " + howToExport)
	}
	r := reader{entries: *file.Log.Entries, pages: map[string]string{}}
	for _, page := range file.Log.Pages {
		// Chromium has the page's URL for the title.
		if delete(r.pages, page.ID); schemed.MatchString(page.Title) {
			r.pages[page.ID] = page.Title
		}
	}
	for i := range r.entries {
		// Otherwise it is that of the page's first document.
		e := &r.entries[i]
		if _, known := r.pages[e.PageRef]; !known && e.isDocument() {
			r.pages[e.PageRef] = e.Request.URL
		}
	}
	return r.requests(), nil
}

// harError says where the JSON is wrong.
func harError(data []byte, err error) error {
	var offset int64
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	} else if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = e.Offset
	}
	before := data[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Errorf("%d:%d: this is no HAR file: %w; %s", line, max(column, 1), err, howToExport)
}

// A reader turns entries into requests.
type reader struct {
	entries []entry
	pages   map[string]string // the URLs, by id
}

// requests returns the CORS requests in the order of the entries.
func (r *reader) requests() (requests []Request) {
	preflightOf := r.matchPreflights()
	matched := map[int]bool{}
	for _, preflight := range preflightOf {
		matched[preflight] = true
	}
	for i := range r.entries {
		preflight, ok := preflightOf[i]
		switch {
		case ok:
			requests = append(requests, r.request(i, &r.entries[preflight]))
		case matched[i]:
		case r.entries[i].isPreflight():
			requests = append(requests, r.alone(i))
		case r.cors(i):
			requests = append(requests, r.request(i, nil))
		}
	}
	return requests
}

// nearby is how many requests of one method and URL are looked at on either side
// of a preflight.
const nearby = 8

// matchPreflights returns the index of each request's preflight. A preflight
// belongs to the request with its method and URL that began nearest to it, and
// that has no other; it may be recorded before the request, or after.
func (r *reader) matchPreflights() map[int]int {
	actuals := map[[2]string][]int{}
	for i := range r.entries {
		if e := &r.entries[i]; !e.isPreflight() {
			key := [2]string{e.Request.Method, e.Request.URL}
			actuals[key] = append(actuals[key], i)
		}
	}
	preflightOf := map[int]int{}
	for i := range r.entries {
		e := &r.entries[i]
		if !e.isPreflight() {
			continue
		}
		key := [2]string{e.get("access-control-request-method"), e.Request.URL}
		candidates := actuals[key]
		here, _ := slices.BinarySearch(candidates, i)
		nearest := -1
		for n := max(here-nearby, 0); n < min(here+nearby, len(candidates)); n++ {
			if nearest < 0 || r.distance(i, candidates[n]) < r.distance(i, candidates[nearest]) {
				nearest = n
			}
		}
		if nearest >= 0 {
			preflightOf[candidates[nearest]] = i
			actuals[key] = slices.Delete(candidates, nearest, nearest+1)
		}
	}
	return preflightOf
}

// distance is the time between the begins of two entries, and their distance in
// the file where the times are not known.
func (r *reader) distance(i, j int) time.Duration {
	a, errA := time.Parse(time.RFC3339, r.entries[i].StartedDateTime)
	b, errB := time.Parse(time.RFC3339, r.entries[j].StartedDateTime)
	if errA != nil || errB != nil {
		return time.Duration(max(i-j, j-i))
	}
	return a.Sub(b).Abs()
}

// request makes the request of an entry and its preflight, if it has one.
func (r *reader) request(i int, preflight *entry) Request {
	e := &r.entries[i]
	req := r.bare(i, preflight)
	if preflight != nil {
		req.RecordedPreflight = preflight.recorded()
		asked := Request{Request: browser.Request{Method: "OPTIONS"}}
		asked.setPreflight(preflight.get("access-control-request-method"),
			preflight.get("access-control-request-headers"))
		req.ask(asked.UnsafeNames)
		req.Error = cmp.Or(req.Error, preflight.Response.Error)
	}
	req.Recorded = e.recorded()
	req.unanswered = req.Recorded == nil
	req.RedirectedFrom = r.redirectedFrom(i)
	req.inferCredentials()
	return req
}

// alone makes the request of a preflight whose request is not in the file.
func (r *reader) alone(i int) Request {
	req := r.bare(i, nil)
	req.RecordedPreflight = r.entries[i].recorded()
	req.unanswered = req.RecordedPreflight == nil
	req.Initiator = ""
	return req
}

// bare is a request with what an entry says itself, and its preflight of the origin.
func (r *reader) bare(i int, preflight *entry) Request {
	e := &r.entries[i]
	req := Request{
		Request: browser.Request{
			Method: e.Request.Method, URL: e.Request.URL, Initiator: initiators[e.ResourceType],
		},
		Error: e.Response.Error, Source: fmt.Sprintf("log.entries[%d]", i),
	}
	if preflight != nil && e.get("origin") == "" {
		req.setOrigin(preflight.get("origin"), "the Origin header of the preflight")
	}
	req.setHeaders(pairs(e.Request.Headers))
	// Chromium leaves out most headers of a request that it did not send.
	if origin, err := SentOrigin(r.pages[e.PageRef]); err == nil && origin != "null" {
		req.setOrigin(origin, "the page's URL")
	}
	return req
}

var httpURL = regexp.MustCompile(`^(?i:https?:)`)

// cors reports whether an entry without a preflight is a CORS request.
func (r *reader) cors(i int) bool {
	e := &r.entries[i]
	mode := e.get("sec-fetch-mode")
	switch {
	case e.isDocument(), e.ResourceType == "websocket", !httpURL.MatchString(e.Request.URL),
		mode != "" && mode != "cors":
		return false
	case e.get("origin") != "":
		return !browser.SameOrigin(e.get("origin"), e.Request.URL)
	case mode == "cors":
		return e.get("sec-fetch-site") != "same-origin"
	case e.provisional() && (e.recorded() == nil || e.Response.Error != "" && !aborted(e.Response.Error)):
		// It is recorded without the headers that would tell.
		scripted := slices.Contains([]string{"fetch", "xhr", "font"}, e.ResourceType)
		return scripted && !browser.SameOrigin(r.bare(i, nil).Origin, e.Request.URL)
	}
	return false
}

// redirectedFrom is the URL of a redirect just before an entry that leads to it.
func (r *reader) redirectedFrom(i int) string {
	if i == 0 {
		return ""
	}
	e, before := &r.entries[i], &r.entries[i-1]
	redirects := before.Response.Status >= 300 && before.Response.Status < 400 && !before.isPreflight()
	for _, h := range before.Response.Headers {
		if strings.EqualFold(h.Name, "location") && redirects && resolve(before.Request.URL, h.Value) == e.Request.URL {
			return before.Request.URL
		}
	}
	return ""
}

// ask compares the headers with what the preflight asked for, which are just those
// that the page set and that are not safelisted: others are the browser's, and
// those that are missing were left out of the file.
func (r *Request) ask(names []string) {
	r.Headers = slices.DeleteFunc(r.Headers, func(h [2]string) bool {
		foreign := !browser.SafelistedRequestHeader(h[0], h[1]) && !slices.Contains(names, strings.ToLower(h[0]))
		if foreign && strings.EqualFold(h[0], "authorization") {
			// The browser had the user's name and password for the server.
			r.setCredentials("the Authorization header, for which the preflight did not ask")
		}
		return foreign
	})
	for _, name := range names {
		if !slices.ContainsFunc(r.Headers, func(h [2]string) bool { return strings.EqualFold(h[0], name) }) {
			r.UnsafeNames = append(r.UnsafeNames, name)
		}
	}
}

// inferCredentials takes the credentials mode for "include" if only so the browser
// had a reason to block the answer: cookies are left out of files that are made to
// be shown to others, and there may have been none.
func (r *Request) inferCredentials() {
	if r.CredentialsInclude || !strings.HasSuffix(r.Error, "ERR_FAILED") || r.Verdict() != nil {
		return
	}
	with := *r
	with.CredentialsInclude = true
	if with.Verdict() != nil {
		r.setCredentials("the failure, for which there is no other reason")
	}
}

func (e *entry) isPreflight() bool {
	return e.Request.Method == "OPTIONS" && e.get("access-control-request-method") != ""
}

// provisional reports whether the request headers are only those that the page
// set: the request was not sent, or its answer was in the cache.
func (e *entry) provisional() bool { return e.get("host") == "" && e.get(":authority") == "" }

func (e *entry) isDocument() bool {
	destination := e.get("sec-fetch-dest")
	return e.ResourceType == "document" || destination == "document" || destination == "iframe"
}

// get returns the value of a request header.
func (e *entry) get(name string) string {
	for _, h := range e.Request.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// recorded is the answer, nil if there is none.
func (e *entry) recorded() *browser.Response {
	status := int(e.Response.Status)
	if status < 100 || status > 999 {
		return nil
	}
	return &browser.Response{Status: status, Headers: pairs(e.Response.Headers)}
}

func pairs(headers []header) (lines [][2]string) {
	for _, h := range headers {
		lines = append(lines, [2]string{h.Name, h.Value})
	}
	return lines
}

package capture

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// maxCommand is the longest curl command that is read. Systems take no longer
// argument, and the parser's stack suffices for whatever is nested in it.
const maxCommand = 128 << 10

// FromCurl reads a curl command, such as browsers copy: the form for bash and
// other shells, and that for Windows' cmd. Nothing of it is run, and no variable
// is looked up. The warnings are about what it says and is not taken into account.
//
// A command that makes a preflight is taken for the request that the preflight
// asks for.
func FromCurl(command string) (req Request, warnings []string, err error) {
	if len(command) > maxCommand {
		return req, nil, fmt.Errorf("the command has %d bytes; leave its body out, which makes no difference to CORS",
			len(command))
	}
	args, warnings, err := arguments(command)
	if err != nil {
		return req, nil, err
	}
	c := curl{warnings: warnings, defaults: map[string]string{}, given: map[string]bool{}}
	if err := c.parse(args); err != nil {
		return req, nil, err
	}
	req, err = c.request()
	return req, c.warnings, err
}

// arguments returns the arguments of the first curl command.
func arguments(command string) (args, warnings []string, err error) {
	switch text := strings.TrimSpace(command); {
	case text == "":
		return nil, nil, errors.New("the command is empty; copy a request with 'Copy as cURL'")
	case strings.HasPrefix(text, "fetch(") || strings.HasPrefix(text, "await fetch("):
		return nil, nil, errors.New("this is a call of fetch(), not a curl command; " +
			"choose 'Copy as cURL' instead of 'Copy as fetch'")
	case powerShell.MatchString(text):
		return nil, nil, errors.New("this is for PowerShell, not a curl command; " +
			"choose 'Copy as cURL (bash)' or 'Copy as cURL (cmd)'")
	case cmdForm.MatchString(text):
		return cmdArguments(text)
	default:
		return shellArguments(text)
	}
}

var (
	powerShell = regexp.MustCompile("Invoke-(WebRequest|RestMethod)|^curl[^'\n]*`\r?\n")
	// cmdForm tells a command for Windows' cmd: arguments that begin with ^", or
	// lines that end in ^.
	cmdForm = regexp.MustCompile(`(?m)\s\^"|\s\^\r?$`)
)

// isCurl reports whether a word names the command.
func isCurl(word string) bool {
	name := path.Base(strings.ReplaceAll(word, `\`, "/"))
	return name == "curl" || name == "curl.exe"
}

// A curl is a curl command, as far as it has been read.
type curl struct {
	warnings []string
	urls     []string
	method   string
	headers  [][2]string       // of -H
	removed  []string          // names of headers, by -H 'name:', lower-case
	defaults map[string]string // headers that other options set
	data     []string
	given    map[string]bool // by an option's full name
}

func (c *curl) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// parse reads the arguments of the first request.
func (c *curl) parse(args []string) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		next := func() (string, error) {
			if i++; i < len(args) {
				return args[i], nil
			}
			return "", fmt.Errorf("%s has no argument; copy the whole command", arg)
		}
		var err error
		switch {
		case arg == "--next" || arg == "-:":
			c.warn("only the request before %s is looked at", arg)
			return nil
		case arg == "--":
			c.urls = append(c.urls, args[i+1:]...)
			return nil
		case strings.HasPrefix(arg, "--"):
			err = c.long(arg[2:], next)
		case len(arg) > 1 && arg[0] == '-':
			err = c.short(arg[1:], next)
		default:
			c.urls = append(c.urls, arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// long reads a long option.
func (c *curl) long(option string, next func() (string, error)) error {
	name, value, hasValue := strings.Cut(option, "=")
	full := longOption(name)
	if full == "" {
		return fmt.Errorf("curl has no option --%s; check the command, or leave it out", name)
	}
	var err error
	if withArgument[full] && !hasValue {
		value, err = next()
	}
	c.set(full, value)
	return err
}

// short reads options of one letter, of which only the last has an argument: the
// rest of the word, or the next one.
func (c *curl) short(option string, next func() (string, error)) error {
	for i := range len(option) {
		full, ok := letters[option[i]]
		if !ok {
			return fmt.Errorf("curl has no option -%c; check the command, or leave it out", option[i])
		}
		value, err := option[i+1:], error(nil)
		if withArgument[full] && value == "" {
			value, err = next()
		}
		c.set(full, value)
		if err != nil || withArgument[full] {
			return err
		}
	}
	return nil
}

// set takes an option into account. Most are about something else than the
// request.
func (c *curl) set(option, value string) {
	c.given[option] = true
	switch option {
	case "url":
		c.urls = append(c.urls, value)
	case "request":
		c.method = value
	case "header":
		c.header(value)
	case "data", "data-ascii", "data-binary", "data-raw", "data-urlencode":
		c.data = append(c.data, value)
		c.setDefault("Content-Type", "application/x-www-form-urlencoded")
	case "json":
		c.data = append(c.data, value)
		c.defaults["Content-Type"] = "application/json"
		c.setDefault("Accept", "application/json")
	case "form", "form-string":
		c.defaults["Content-Type"] = "multipart/form-data"
	case "user":
		c.defaults["Authorization"] = "Basic ***"
	case "oauth2-bearer":
		c.defaults["Authorization"] = "Bearer ***"
	case "aws-sigv4":
		c.defaults["Authorization"] = "AWS4-HMAC-SHA256 ***"
		c.defaults["X-Amz-Date"] = "***"
	case "cookie":
		c.defaults["Cookie"] = value
	case "referer":
		c.defaults["Referer"] = value
	case "range":
		c.defaults["Range"] = "bytes=" + value
	case "config":
		c.warn("the file of -K %s is not read; write what it has into the command", value)
	}
}

func (c *curl) setDefault(name, value string) {
	if c.defaults[name] == "" {
		c.defaults[name] = value
	}
}

// header reads the argument of -H: "name: value", "name;" for an empty value, and
// "name:" to leave out what curl would send.
func (c *curl) header(line string) {
	if strings.HasPrefix(line, "@") {
		c.warn("the headers in the file of -H %s are not read; write them into the command", line)
		return
	}
	name, value, ok := strings.Cut(strings.TrimPrefix(line, ":"), ":")
	value = strings.TrimSpace(value)
	empty, isEmpty := strings.CutSuffix(strings.TrimSpace(name), ";")
	switch {
	case ok && value == "":
		c.removed = append(c.removed, strings.ToLower(name))
	case ok && strings.HasPrefix(line, ":"): // HTTP/2's own, such as :authority.
	case ok:
		c.headers = append(c.headers, [2]string{name, value})
	case isEmpty:
		c.headers = append(c.headers, [2]string{empty, ""})
	default:
		c.warn("-H %q is no header, and curl does not send it; write name: value", MaskHeader(line))
	}
}

// request makes the request of what was read.
func (c *curl) request() (Request, error) {
	req := Request{Request: browser.Request{Method: c.requestMethod()}, Source: "curl"}
	if len(c.urls) == 0 {
		return req, errors.New("the command has no URL; copy the whole command")
	}
	if len(c.urls) > 1 {
		c.warn("only the first of %d URLs is looked at", len(c.urls))
	}
	req.URL = c.withoutUser(c.url(c.urls[0]))
	// A URL with a space is none, and no browser has it so.
	if _, err := browser.SerializeOrigin(req.URL); err != nil {
		return req, maskedProblem(err, req.URL)
	}
	if c.given["get"] {
		delete(c.defaults, "Content-Type") // The data is in the URL.
	}
	lines := slices.Clone(c.headers)
	names := []string{"Accept", "Authorization", "Content-Type", "Cookie", "Range", "Referer", "X-Amz-Date"}
	for _, name := range names {
		value := c.defaults[name]
		custom := func(h [2]string) bool { return strings.EqualFold(h[0], name) }
		removed := slices.Contains(c.removed, strings.ToLower(name))
		if value != "" && !removed && !slices.ContainsFunc(c.headers, custom) {
			lines = append(lines, [2]string{name, value})
		}
	}
	c.warnings = append(c.warnings, probes(req.Method, lines)...)
	req.setHeaders(lines)
	return req, nil
}

// withoutUser takes the user name and the password out of a URL. curl sends them as
// -u does, and no page may fetch such a URL.
func (c *curl) withoutUser(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	authority := before(rest, `/\?#`)
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return url
	}
	c.setDefault("Authorization", "Basic ***")
	c.warn("curl sends the user name in the URL as Authorization; a page has to set that header")
	return scheme + "://" + rest[at+1:]
}

// requestMethod is the method that curl uses.
func (c *curl) requestMethod() string {
	hasBody := c.data != nil || c.given["form"] || c.given["form-string"]
	switch {
	case c.method != "":
		return c.method
	case c.given["head"]:
		return "HEAD"
	case hasBody && !c.given["get"]:
		return "POST"
	case c.given["upload-file"]:
		return "PUT"
	}
	return "GET"
}

var (
	globEscape = regexp.MustCompile(`\\([][{}])`)
	globs      = regexp.MustCompile(`\{[^{}]*\}|\[[^][]*-[^][]*\]`)
	schemed    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
)

// url is the URL that curl asks for.
func (c *curl) url(url string) string {
	if !c.given["globoff"] {
		if globs.MatchString(globEscape.ReplaceAllString(url, "")) {
			c.warn("curl makes several URLs of %s; it is taken as it stands", MaskURL(url))
		}
		url = globEscape.ReplaceAllString(url, "$1")
	}
	if !schemed.MatchString(url) {
		url = "http://" + url
		c.warn("the URL has no scheme, for which curl takes http: %s", MaskURL(url))
	}
	if c.given["get"] && c.data != nil {
		separator := "?"
		if strings.Contains(url, "?") {
			separator = "&"
		}
		url += separator + strings.Join(c.data, "&")
	}
	return url
}

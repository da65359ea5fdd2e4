package filter

// Facts are what there is to a preflight beside its origin, until the callback returns.
type Facts struct {
	method, authority, path string
	requestMethod           string
	requestHeaders          []string // the lines of Access-Control-Request-Headers
	privateNetwork          bool
}

// Observe takes note of a header line. The name is in lower case.
func (f *Facts) Observe(name, value string) {
	switch name {
	case ":method":
		f.method = value
	case ":authority":
		f.authority = value
	case ":path":
		f.path = value
	case "access-control-request-method":
		f.requestMethod = value
	case "access-control-request-headers":
		f.requestHeaders = append(f.requestHeaders, value)
	case "access-control-request-private-network":
		f.privateNetwork = value == "true"
	}
}

package origin

import (
	"strconv"
	"strings"
)

// IPv6Problem says what is wrong with the IPv6 address of an entry of match.hosts; ""
// if it has none, or a right one.
func IPv6Problem(s string) string {
	host := s
	if i := strings.LastIndexByte(s, ']'); i >= 0 {
		host = s[:i+1]
	}
	pieces, ok := parseIPv6(strings.ToLower(strings.Trim(host, "[]")))
	switch {
	case !strings.Contains(host, ":"):
		return ""
	case strings.HasPrefix(host, "[") && !ok:
		return " has an invalid IPv6 address"
	case !ok:
		return ""
	case !strings.HasPrefix(host, "["):
		return " has an IPv6 address without brackets"
	case "["+string(appendIPv6(nil, pieces))+"]" != strings.ToLower(host):
		return " has an IPv6 address that isn't in its shortest form, in which browsers send it"
	}
	return ""
}

// RepairHost makes of what was written for a host what was meant, as far as it can, and
// returns the path that was written with it.
func RepairHost(s string) (host, path string) {
	s = strings.Trim(s, "\"'`")
	if !strings.Contains(s, ":") {
		s = strings.Trim(s, "[]")
	}
	scheme, rest, isURL := strings.Cut(s, ":/")
	if !isURL {
		scheme, rest = "", strings.TrimPrefix(s, "/")
	}
	rest = strings.TrimPrefix(rest, "/")
	address := before(rest, `/?#\`)
	path = rest[len(address):]
	rest = address[strings.LastIndexByte(address, '@')+1:]
	rest = strings.TrimSuffix(strings.TrimSuffix(rest, ":*"), ":")
	port := ""
	host = rest
	if i := strings.LastIndexByte(rest, ':'); i > strings.IndexByte(rest, ']') && strings.Count(rest[:i], ":") == 0 ||
		i > 0 && rest[i-1] == ']' {
		host, port = rest[:i], strings.TrimLeft(rest[i+1:], "0")
	}
	if pieces, ok := parseIPv6(strings.ToLower(strings.Trim(host, "[]"))); ok {
		host = "[" + string(appendIPv6(nil, pieces)) + "]"
	}
	if ascii, ok := toASCII(host); ok {
		host = ascii
	}
	switch {
	case strings.HasPrefix(host, "."):
		host = "*" + host
	case strings.HasPrefix(host, "*") && !strings.HasPrefix(host, "*.") && !strings.HasPrefix(host, "*-"):
		host = "*." + host[1:]
	}
	if name, found := strings.CutPrefix(host, "*."); found && (CanonicalIPv4(name) || strings.HasPrefix(name, "[")) {
		host = name
	}
	if port == "" || port == strconv.Itoa(defaultPort(scheme)) {
		return host, path
	}
	return host + ":" + port, path
}

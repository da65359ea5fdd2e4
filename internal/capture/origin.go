package capture

import (
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/browser"
)

// SentOrigin returns an origin, or the URL of a page, as it stands in the Origin header
// of that page's requests. Of the web's schemes it is normalized as browsers do. Any
// other scheme, such as capacitor, is the matter of the app that it belongs to: what is
// given is what its pages send, but for a path.
func SentOrigin(given string) (string, error) {
	scheme, rest, ok := strings.Cut(given, "://")
	switch lower := strings.ToLower(scheme); {
	case given == "null":
		return given, nil
	case !ok, lower == "http", lower == "https", lower == "ws", lower == "wss", lower == "ftp",
		lower == "file" && rest != "", strings.Contains(scheme, ":"): // such as blob:https
		return browser.SerializeOrigin(given)
	default:
		host := before(rest, `/\?#`)
		return lower + "://" + host[strings.LastIndexByte(host, '@')+1:], nil
	}
}

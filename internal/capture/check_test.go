package capture

import "testing"

// TestSemicolonInMessage has values with what separates a message's parts.
func TestSemicolonInMessage(t *testing.T) {
	want := `the origin "a;b" is not a URL; write scheme and host, such as https://a;b, or null`
	if err := CheckOrigin("a;b"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	want = `the URL "a;b" is not a URL; write it whole, such as https://a;b`
	if err := CheckURL("a;b"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

package convert

import (
	"slices"
	"testing"
)

func TestAPISIX(t *testing.T) {
	testGolden(t, "apisix")
	testRoundTrip(t, "apisix")
}

// TestWholeRegexes: a regex that need match a part only is one of the whole, whatever
// anchors it has.
func TestWholeRegexes(t *testing.T) {
	for expr, want := range map[string][]string{
		`a`:           {`.*a.*`},
		`^a$`:         {`a`},
		`^a`:          {`a.*`},
		`a$`:          {`.*a`},
		`a\$`:         {`.*a\$.*`},
		`.*a.*`:       {`.*a.*`},
		`^a|b$`:       {`a.*`, `.*b`},
		`^(a|b)$`:     {`a`, `b`},
		`^(?:a|b)`:    {`a.*`, `b.*`},
		`(a|b)$`:      {`.*a`, `.*b`},
		`^(a|b)\.c$`:  {`(a|b)\.c`},
		`^(^a|b$)$`:   {`a`, `b`},
		`^(a|^b|c$)$`: {`a`, `b`, `c`},
	} {
		if got := wholeRegexes(expr); !slices.Equal(got, want) {
			t.Errorf("%s becomes %q, want %q", expr, got, want)
		}
	}
}

package main

import (
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestVersion: what the linker was told comes first, then the build information.
func TestVersion(t *testing.T) {
	settings := func(pairs ...string) (list []debug.BuildSetting) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	for _, test := range []struct {
		name     string
		linked   build
		main     string
		settings []debug.BuildSetting
		want     build
	}{
		{
			"make build", build{Version: "v1.2.3", Revision: "0123456789ab"}, "(devel)", nil,
			build{Version: "v1.2.3", Revision: "0123456789ab"},
		},
		{
			"make build, with a go that knows the commit", build{Version: "v1.2.3", Revision: "0123456789ab"},
			"v1.2.4-0.20261128223232-41cc7d085168", settings("vcs.revision", "41cc7d0851686e5ab4d0fdb9a9ce4dd52f1c1ef0"),
			build{Version: "v1.2.3", Revision: "0123456789ab"},
		},
		{
			"go install of a version", build{}, "v1.2.3", settings("-compiler", "gc"),
			build{Version: "v1.2.3"},
		},
		{
			"go build in a work tree", build{}, "v1.2.3+dirty",
			settings("vcs.modified", "true", "vcs.revision", "41cc7d0851686e5ab4d0fdb9a9ce4dd52f1c1ef0"),
			build{Version: "v1.2.3+dirty", Revision: "41cc7d0851686e5ab4d0fdb9a9ce4dd52f1c1ef0-dirty"},
		},
		{"nothing is known", build{}, "", nil, build{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.linked
			got.complete(&debug.BuildInfo{Main: debug.Module{Version: test.main}, Settings: test.settings})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

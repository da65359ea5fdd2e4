package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and revision are set by the linker where the Makefile builds.
var version, revision string

// A build is what the command was built from, by what, and for what.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild is the build of this command. What the linker wasn't told is in the build
// information: the version that "go install" was asked for, or the work tree's commit.
func thisBuild() build {
	b := build{version, revision, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.complete(info)
	}
	b.Version, b.Revision = cmp.Or(b.Version, "unknown"), cmp.Or(b.Revision, "unknown")
	return b
}

// complete adds what is missing from the build information.
func (b *build) complete(info *debug.BuildInfo) {
	b.Version = cmp.Or(b.Version, info.Main.Version)
	if b.Revision != "" {
		return
	}
	modified := ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			b.Revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = "-dirty"
		}
	}
	if b.Revision != "" {
		b.Revision += modified
	}
}

func newVersion() *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built from",
		Args:  cobra.NoArgs,
	}
	output := outputFlag(c, "text", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		b := thisBuild()
		if output.value == "json" {
			return printJSON(c.OutOrStdout(), b)
		}
		fmt.Fprintf(c.OutOrStdout(), "corsctl %s\nrevision: %s\ngo: %s\nplatform: %s\n",
			b.Version, b.Revision, b.Go, b.Platform)
		return nil
	}
	return c
}

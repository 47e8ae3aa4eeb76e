package cmd

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// version may be set when linking: -ldflags "-X github.com/pregon/pregon/cmd.version=v1.2.3".
var version string

// versionLine says which build this is: its version, the commit where the version does not have
// it, the version of Go, and the platform.
func versionLine() string {
	return fmt.Sprintf("pregon %s %s %s/%s", versionName(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// versionName is the version, and the commit where the version does not have it.
func versionName() string {
	name, commit := version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		name = cmp.Or(name, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	name = cmp.Or(name, "(unknown)")
	if commit != "" && !strings.Contains(name, commit) {
		name += " " + commit
	}
	return name
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(out *console) error {
	if _, err := fmt.Fprintln(out.stdout, versionLine()); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// A versionFlag is --version.
type versionFlag bool

// BeforeReset is called by kong, before it looks at the environment.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	fmt.Fprintln(app.Stdout, versionLine())
	app.Exit(exitOK)
	return nil
}

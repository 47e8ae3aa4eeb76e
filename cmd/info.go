package cmd

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/pregon/pregon/broker"
)

type brokersCommand struct{}

// Run lists the URL schemes that --broker takes.
func (brokersCommand) Run(out *console) error {
	for _, scheme := range broker.Drivers() {
		fmt.Fprintln(out.stdout, scheme+"://")
	}
	return nil
}

type versionCommand struct{}

// Run prints the version that the build recorded.
func (versionCommand) Run(out *console) error {
	version := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	fmt.Fprintln(out.stdout, "pregon", version, runtime.Version())
	return nil
}

package cmd

import (
	"slices"
	"strings"
)

// helpCommand stands in the list of commands. What it does is done by withHelp.
type helpCommand struct {
	Command string `arg:"" optional:"" help:"Command of which to show the help."`
}

// Run is never called.
func (helpCommand) Run() error { return nil }

// withHelp returns args with --help for the command help.
func withHelp(args []string) []string {
	if len(args) == 0 || args[0] != "help" || len(args) > 1 && strings.HasPrefix(args[1], "-") {
		return args
	}
	return append(slices.Clone(args[1:]), "--help")
}

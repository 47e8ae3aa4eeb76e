package cmd

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// checkGiven returns an error where a flag of text stands on the command line without any: what is
// written there is meant, and most likely a variable of the shell is not set. Without the flag less
// may be promised, such as that a message is published once. A variable of the environment that is
// empty is as none, as supervisors and containers have it.
func checkGiven(command *kong.Node, args []string) error {
	for i, arg := range args {
		name, value, joined := strings.Cut(arg, "=")
		next := i+1 < len(args) && args[i+1] == ""
		switch f := flagNamed(command, strings.TrimPrefix(name, "--")); {
		case arg == "--":
			return nil
		case f == nil || !strings.HasPrefix(name, "--") || !isText(f) || f.HasDefault: // which is checked for what it is
		case joined && value == "", !joined && next:
			return fmt.Errorf("--%s: the value is empty: write --%[1]s=%s, or leave the flag out (see pregon %s --help)%w",
				f.Name, f.PlaceHolder, command.Name, errUsage)
		}
	}
	return nil
}

package cmd

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// What kong says of a command line that it does not understand.
var (
	saidUnknown = regexp.MustCompile(`^unknown flag (--?[^\s,]*)`)
	saidSurplus = regexp.MustCompile(`^unexpected argument (.*?)(?:, did you mean .*)?$`)
	saidMissing = regexp.MustCompile(`^expected "(.*)"$`)
	saidOfFlag  = regexp.MustCompile(`^--([a-z-]+)(?:: | must be )`)
	saidMoved   = regexp.MustCompile(`^flag --([a-z-]+) applies to the default command "serve", not "(.*)"$`)
)

// A usage is a command line that is not understood.
type usage struct {
	app     *kong.Application
	command *kong.Node // that is meant, serve where none is named
	named   bool
	args    []string
}

// explain returns what is wrong with a command line, naming flag and value, and what would be right.
func explain(err error, args []string) error {
	failed, ok := errors.AsType[*kong.ParseError](err)
	if !ok || failed.Context == nil {
		return usageError(err)
	}
	app := failed.Context.Model
	u := usage{app: app, command: failed.Context.Selected(), args: args}
	if u.command == nil {
		u.command = serveNode(app)
	}
	u.named = slices.Contains(args, u.command.Name)
	return fmt.Errorf("%w%w", u.fault(plainText(err, app)), errUsage)
}

// fault returns what is wrong, and where to read how it is right.
func (u usage) fault(said error) error {
	text := said.Error()
	if m := saidSurplus.FindStringSubmatch(text); m != nil && !u.named {
		return fmt.Errorf("%w (see pregon --help)", u.unknownCommand(m[1]))
	} else if m != nil {
		said = fmt.Errorf("unexpected argument %s", withoutSecrets(m[1]))
	} else if m := saidUnknown.FindStringSubmatch(text); m != nil {
		said = u.unknownFlag(m[1])
	} else if m := saidMissing.FindStringSubmatch(text); m != nil {
		said = errors.New("missing: " + m[1])
	} else if m := saidMoved.FindStringSubmatch(text); m != nil {
		said = fmt.Errorf("--%s is a flag of pregon serve, and not of pregon %s", m[1], m[2])
	} else if m := saidOfFlag.FindStringSubmatch(text); m != nil {
		if f := flagNamed(u.command, m[1]); f != nil {
			said = u.ofFlag(f, said)
		}
	}
	return fmt.Errorf("%w (see pregon %s --help)", said, u.command.Name)
}

// unknownFlag is the error about a flag that the command does not have.
func (u usage) unknownFlag(written string) error {
	name := strings.TrimLeft(written, "-")
	if strings.HasPrefix(written, "-"+name) { // of -listen kong names the first letter only
		for _, arg := range u.args {
			if long, _, _ := strings.Cut(arg, "="); len(long) > 2 && strings.HasPrefix(long, written) {
				written, name = long, strings.TrimLeft(long, "-")
				break
			}
		}
	}
	if near := nearestName(name, flagNames(u.command)); near != "" {
		return fmt.Errorf("unknown flag %s: did you mean --%s?", written, near)
	}
	var others []string
	for _, c := range u.app.Children {
		if !c.Hidden && flagNamed(c, name) != nil {
			others = append(others, c.Name)
		}
	}
	if others != nil {
		return fmt.Errorf("unknown flag %s of pregon %s: it is one of %s, behind that name", written, u.command.Name, strings.Join(others, ", "))
	}
	return fmt.Errorf("unknown flag %s", written)
}

// unknownCommand is the error about an argument that stands where a command is expected.
func (u usage) unknownCommand(arg string) error {
	var commands []string
	for _, c := range u.app.Children {
		if !c.Hidden {
			commands = append(commands, c.Name)
		}
	}
	if near := nearestName(arg, commands); near != "" {
		return fmt.Errorf("unknown command %s: did you mean %s?", arg, near)
	}
	return fmt.Errorf("unknown command or unexpected argument %s", withoutSecrets(arg))
}

// ofFlag is the error about the value of a flag.
func (u usage) ofFlag(f *kong.Flag, said error) error {
	value, written, ok := u.written(f)
	switch {
	case !ok:
		return said // of a default that does not go with the rest, or of a value in a file
	case written == "":
		return fmt.Errorf("--%s: the value is missing: --%[1]s=%s", f.Name, f.FormatPlaceHolder())
	}
	why := checkSetting(f, value)
	text := strings.TrimPrefix(said.Error(), "--"+f.Name+": ")
	if why != nil {
		text = strings.TrimPrefix(why.Error(), "this ")
	}
	if isText(f) || strings.Contains(text, strconv.Quote(value)) {
		return fmt.Errorf("--%s: %s", f.Name, text)
	}
	return fmt.Errorf("%s: %s", written, text)
}

// written returns the value of a flag, and how it stands on the command line or in the environment. It
// has no text where the value was left out.
func (u usage) written(f *kong.Flag) (value, text string, ok bool) {
	for i := len(u.args) - 1; i >= 0; i-- {
		name, value, joined := strings.Cut(u.args[i], "=")
		switch {
		case name != "--"+f.Name:
		case joined:
			return value, name + "=" + quoted(withoutSecrets(value)), true
		case f.IsBool():
			return "true", name, true
		case i+1 == len(u.args) || strings.HasPrefix(u.args[i+1], "-") && u.args[i+1] != "-":
			return "", "", true
		default:
			return u.args[i+1], name + " " + quoted(withoutSecrets(u.args[i+1])), true
		}
	}
	for _, name := range f.Envs {
		if value, set := os.LookupEnv(name); set {
			return value, fmt.Sprintf("--%s (%s=%s)", f.Name, name, quoted(withoutSecrets(value))), true
		}
	}
	return "", "", false
}

// isText reports whether a flag takes any text, which may be a secret or long, and which errors quote
// where it is of use.
func isText(f *kong.Flag) bool {
	kind := f.Target.Type()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return f.Enum == "" && f.Name != "listen" && (kind == reflect.TypeFor[string]() || kind == reflect.TypeFor[[]string]())
}

// aNumber matches an argument that is the value of the flag ahead of it, as no flag looks like it.
var aNumber = regexp.MustCompile(`^-[0-9.]`)

// withNumbers returns args with negative numbers joined to the flag ahead of them, for which kong
// asks.
func withNumbers(args []string) []string {
	var joined []string
	for i, arg := range args {
		if i > 0 && aNumber.MatchString(arg) && strings.HasPrefix(args[i-1], "--") && args[i-1] != "--" && !strings.Contains(args[i-1], "=") {
			joined[len(joined)-1] += "=" + arg
			continue
		}
		joined = append(joined, arg)
	}
	return joined
}

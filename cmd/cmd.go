// Package cmd is the command line of pregon.
//
// It knows no broker and no transport: those that the program imports are
// there. So a program with further ones is a copy of cmd/pregon/main.go with
// further imports.
//
// Exit codes: 0 for success, for help and for a server that was asked to stop, 1 for
// what went wrong while working, 2 for a command line, environment or URL that is
// not understood.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// envPrefix begins the environment variables that stand for flags.
const envPrefix = "PREGON"

const description = `Publish once over HTTP or Redis; everyone on the channel hears it over WebSocket or server-sent events.

Examples:
  pregon                                        serve on localhost:8000, on an embedded Redis
  pregon --broker redis://localhost:6379        serve on Redis
  pregon sub noticias                           print what arrives
  pregon pub noticias "Hola mundo"              publish a message
  tail -f log | pregon pub log -                publish each line
  pregon members noticias                       list who is there
  pregon bench --subscribers 1000               load a server and report
  pregon key                                    print a key, for --publish-key of the server
  pregon doctor --broker redis://localhost      report likely problems of a Redis

"pregon serve --help" lists the flags of the server. Every flag is also an environment variable, such as PREGON_LISTEN for --listen.`

// commands is the whole command line.
type commands struct {
	Serve   serveCommand       `cmd:"" default:"withargs" help:"Run the server (the default command)."`
	Pub     pubCommand         `cmd:"" help:"Publish a message, or each line of standard input."`
	Sub     subCommand         `cmd:"" help:"Print the messages of channels as they arrive."`
	Members membersCommand     `cmd:"" help:"List who is in a channel."`
	Bench   benchCommand       `cmd:"" help:"Load a server, and report how fast every message reached everybody."`
	Floor   benchFloorCommand  `cmd:"" name:"bench-floor" hidden:""`
	Key     keyCommand         `cmd:"" help:"Print a new key, with which your backend publishes."`
	Token   tokenCommand       `cmd:"" help:"Print a token (JWT), with which a user listens."`
	Check   checkCommand       `cmd:"" help:"Say what is wrong with a configuration, and what somebody may do with a channel."`
	Doctor  doctorCommand      `cmd:"" help:"Examine a broker, or a running server, and report likely problems."`
	Health  healthcheckCommand `cmd:"" name:"healthcheck" help:"Ask the server of this machine whether it lives."`
	Script  redisScriptCommand `cmd:"" name:"redis-script" help:"Print the script by which any Redis client publishes with all guarantees."`
	Brokers brokersCommand     `cmd:"" help:"List the brokers of this program, and what each can do."`
	Version versionCommand     `cmd:"" help:"Print the version."`
	Help    helpCommand        `cmd:"" help:"Show the help of a command."`

	ShowVersion versionFlag `name:"version" short:"v" aliases:"V" env:"-" help:"Print the version."`
}

// console is where a command reads and prints.
type console struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	args           []string
	settings       map[string]map[string]string // of transports, from the environment
}

// Main runs the command line of the process and exits.
func Main() {
	os.Exit(Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errUsage is wrapped by errors that lie in what the user wrote.
var errUsage = errors.New("usage")

// exited is how kong leaves after --help and --version.
type exited int

// Run runs one command line and returns the exit code. It ends early when ctx
// does. It reads PREGON_… variables of the environment.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &console{stdin: stdin, stdout: stdout, stderr: stderr, args: args}
	parser, err := kong.New(&commands{},
		kong.Name("pregon"), kong.Description(description), kong.DefaultEnvars(envPrefix),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Bind(out), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return out.fail(err)
	}
	settings, unknown := readEnvironment(parser.Model.Node, os.Environ())
	command, err := parse(parser, withNumbers(withHelp(args)))
	switch {
	case err != nil:
		return out.fail(err)
	case command == nil: // which is what somebody asks for who does not know of the variable
		_ = out.fail(unknown)
		return exitOK
	case unknown != nil:
		return out.fail(unknown)
	}
	out.settings = settings
	return out.fail(command.Run())
}

// parse returns the command that stands on a command line, nil where that was to show help or the
// version, and it has been shown.
func parse(parser *kong.Kong, args []string) (command *kong.Context, err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(exited); !ok {
				panic(p)
			}
			command, err = nil, nil
		}
	}()
	command, err = parser.Parse(args)
	if file, ok := errors.AsType[*config.Error](err); ok {
		return nil, usageError(file)
	}
	if err != nil {
		return nil, explain(err, args)
	}
	if err := checkGiven(command.Selected(), args); err != nil {
		return nil, err
	}
	return command, nil
}

// fail prints err, without passwords that it may quote, and returns its exit code. Errors
// are printed in one line, unless they have lines of their own.
func (c *console) fail(err error) int {
	if err == nil {
		return exitOK
	}
	lines := []string{plainly(err)}
	if of, ok := errors.AsType[interface {
		error
		Lines() []string
	}](err); ok {
		lines = of.Lines()
	}
	for _, line := range lines {
		fmt.Fprintln(c.stderr, "pregon:", shown(c.stderr, withoutUserinfo(line))) // a server may have a say in it
	}
	if errors.Is(err, errUsage) || errors.Is(err, broker.ErrURL) || errors.Is(err, server.ErrOptions) {
		return exitUsage
	}
	return exitFailed
}

// plainly returns what err says in one line, without passwords that it may quote.
func plainly(err error) string {
	text := strings.TrimSuffix(err.Error(), errUsage.Error())
	return withoutUserinfo(strings.ReplaceAll(strings.TrimSpace(text), "\n", " "))
}

// plainText keeps the text of an error, without the name of the command that kong puts ahead of it,
// and drops its type: kong's brings an exit code of its own.
func plainText(err error, app *kong.Application) error {
	text := err.Error()
	for _, command := range app.Children {
		if rest, ok := strings.CutPrefix(text, command.Path()+": "); ok {
			return errors.New(rest)
		}
	}
	return errors.New(text)
}

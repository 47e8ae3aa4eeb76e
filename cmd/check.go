package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/config"
	"github.com/pregon/pregon/transport"
)

type checkCommand struct {
	File      string  `arg:"" help:"Configuration, such as pregon.yaml."`
	Channel   *string `env:"-" placeholder:"CHANNEL" help:"Say which rule counts for this channel, and what the caller may do there."`
	Action    action  `env:"-" placeholder:"ACTION" help:"With --channel: fail unless the caller may do this, subscribe or publish. By default one of them is enough."`
	TokenFile string  `env:"-" name:"token-file" placeholder:"FILE" help:"With --channel: the caller's key or token. By default it is a stranger."`
}

// Help is shown by pregon check --help.
func (checkCommand) Help() string {
	return `The exit code is 0 where the file is good, and with --channel where the caller may; 1 where the caller may not; and 2 where the file cannot be used: where pregon serve would refuse it, too.

  pregon check pregon.yaml
  pregon check pregon.yaml --channel room.7 --token-file token`
}

// Validate is called by kong.
func (c *checkCommand) Validate() error {
	switch {
	case c.Channel == nil && (c.Action != "" || c.TokenFile != ""):
		return errors.New("--action and --token-file: they go with --channel")
	case c.Channel == nil:
		return nil
	case *c.Channel == "":
		return errors.New("--channel: the name is empty")
	case broker.CheckChannel(*c.Channel) != nil:
		return errors.New("--channel: no channel has such a name")
	}
	return nil
}

// An action is an access.Action as it is typed, empty where none is.
type action string

var errAction = errors.New("write subscribe or publish")

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *action) UnmarshalText(text []byte) error {
	*a = action(text)
	if *a != action(access.Subscribe.String()) && *a != action(access.Publish.String()) {
		return errAction
	}
	return nil
}

// errMayNot means that the caller may not do what was asked about.
var errMayNot = errors.New("the caller may not")

// Run says what is wrong with the file, and what a caller may do.
func (c *checkCommand) Run(ctx context.Context, out *console, kctx *kong.Context) error {
	file, warnings, err := config.Load(c.File, fileOptions(serveNode(kctx.Model)))
	if err != nil {
		return usageError(err)
	}
	warning, err := servable(ctx, c.File, file)
	if err != nil {
		return usageError(err)
	}
	for _, w := range warnings {
		fmt.Fprintf(out.stdout, "%s: warning: %s\n", c.File, shown(out.stdout, w.String()))
	}
	if warning != "" {
		fmt.Fprintf(out.stdout, "%s: warning: %s\n", c.File, shown(out.stdout, warning))
	}
	fmt.Fprintf(out.stdout, "%s is good: %s%s\n", c.File, summary(file), unseen(file))
	if c.Channel == nil {
		return nil
	}
	return c.decide(ctx, file, out.stdout)
}

// decide says what the caller may do with the channel.
func (c *checkCommand) decide(ctx context.Context, file config.Config, w io.Writer) error {
	admission, done, err := admissionOf(file)
	if err != nil {
		return usageError(err)
	}
	defer done()
	caller, err := c.caller(ctx, admission.policy)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s, with %s:\n", shown(w, *c.Channel), shown(w, describeCaller(caller.Identity())))
	may := false
	for _, a := range []access.Action{access.Subscribe, access.Publish} {
		d := admission.policy.Decide(caller, a, *c.Channel)
		fmt.Fprintf(w, "  %s\n", shown(w, d.String()))
		if c.Action == "" || c.Action == action(a.String()) {
			may = may || d.Allowed()
		}
	}
	if !may {
		return errMayNot
	}
	return nil
}

// admissionOf returns what a server with a file would go by. done is to be called when it is
// not used any more.
func admissionOf(file config.Config) (a *admission, done func(), err error) {
	keysets := token.NewKeysets(token.KeysetsOptions{Logger: slog.New(slog.DiscardHandler)})
	a = &admission{config: file}
	if a.verifier, err = token.New(file.Issuers, token.Options{Keysets: keysets}); err == nil {
		a.policy, err = access.New(a.accessConfig())
	}
	if err != nil {
		keysets.Close()
		return nil, nil, err
	}
	return a, keysets.Close, nil
}

// caller returns who asks.
func (c *checkCommand) caller(ctx context.Context, policy *access.Policy) (*access.Caller, error) {
	credential, err := clientFlags{TokenFile: c.TokenFile}.credential()
	if err != nil {
		return nil, err
	}
	if credential == "" {
		return access.Stranger, nil
	}
	caller, err := policy.Authenticate(ctx, credential, true)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %s", config.Plain(err))
	}
	return caller, nil
}

// describeCaller says in words who somebody is.
func describeCaller(i transport.Identity) string {
	switch {
	case i.Kind == transport.Backend:
		return fmt.Sprintf("the key %q", i.Key)
	case i.Kind == transport.User && i.Subject == "":
		return "a token without a subject"
	case i.Kind == transport.User:
		return fmt.Sprintf("a token of %q", i.Subject)
	}
	return "no credential"
}

// unseen says what of a server with the file cannot be known from it, empty where that is nothing.
func unseen(c config.Config) string {
	if len(c.Issuers) > 0 {
		return ""
	}
	return " (tokens that the server takes by --jwt-key or --jwks are not looked at)"
}

// summary says in a few words what a configuration has.
func summary(c config.Config) string {
	var parts []string
	for _, p := range []struct {
		n    int
		noun string
	}{{len(c.Keys), "key"}, {len(c.Issuers), "issuer of tokens"}, {len(c.Rules), "rule"}} {
		if p.n == 1 {
			parts = append(parts, "1 "+p.noun)
		} else {
			words := strings.SplitN(p.noun, " ", 2)
			words[0] += "s"
			parts = append(parts, fmt.Sprintf("%d %s", p.n, strings.Join(words, " ")))
		}
	}
	return strings.Join(parts, ", ")
}

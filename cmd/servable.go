package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/config"
)

// servable returns why pregon serve would refuse to start with a file and nothing else: an error
// for what no flag could mend, and a warning, if there is one, for what asks for a flag. The
// environment is that of another process, so it is not looked at.
func servable(ctx context.Context, path string, file config.Config) (warning string, err error) {
	var app struct {
		Serve serveCommand `cmd:""`
	}
	parser, err := kong.New(&app)
	if err != nil {
		return "", err
	}
	if _, err := parser.Parse([]string{"serve", "--config=" + path}); err != nil {
		return "", plainText(err, parser.Model)
	}
	c := &app.Serve
	if err := c.TLS.try(); err != nil {
		return "", c.located(err)
	}
	return c.tryHistory(ctx, file)
}

// tryHistory opens the broker of the file, which contacts nothing, and sees whether it keeps what
// the file asks for. Which broker it is, and how much it keeps, may be for flags to say.
func (c *serveCommand) tryHistory(ctx context.Context, file config.Config) (warning string, err error) {
	var b broker.Broker
	switch _, named := c.file.used["broker"]; {
	case named:
		if b, err = c.Keep.open(ctx, c.Broker); err != nil {
			if !strings.HasPrefix(err.Error(), "--") {
				err = fmt.Errorf("--broker: %w", err)
			}
			return "", c.located(err)
		}
		defer func() { _ = b.Close() }() // nothing was done with it
	case c.Keep.History != 0:
		return "", nil // the default broker keeps it
	}
	e := &entry{serve: c, admission: &admission{config: file}}
	if err := c.useHistory(b, e); err != nil {
		return strings.TrimPrefix(plainly(c.located(err)), c.Access.Config+": "), nil
	}
	return "", nil
}

package cmd

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
)

type subCommand struct {
	Channels []string    `arg:"" name:"channel" help:"Channels to listen to."`
	Format   string      `default:"text" enum:"text,raw,json" help:"What to print of a message: text, raw or json. Default ${default}."`
	Since    []string    `env:"-" sep:"none" placeholder:"CURSOR" help:"Begin behind the message with this cursor. May be repeated, for several channels."`
	Last     *int        `env:"-" placeholder:"N" help:"Begin with the last N messages that the server has kept, at most 1000."`
	Members  bool        `env:"-" help:"Tell who is in the channels, comes and leaves."`
	URL      address     `name:"url" default:"http://localhost:8000" placeholder:"URL" help:"Address of the server. Default ${default}."`
	Client   clientFlags `embed:""`
}

// Help is shown by pregon sub --help.
func (subCommand) Help() string {
	return `Lines of standard input change the channels: "+room.2" listens to room.2, too, and "-room.1" leaves room.1. The end of the input changes nothing. Where the lines are for another program, give it </dev/null.

It connects again whenever the connection is lost, and with a history goes on where it was; it ends where trying again would not help. Where no WebSocket gets through it listens to an event stream. --token-file is read again for each connection, and before its token expires.`
}

// Validate is called by kong.
func (c *subCommand) Validate() error {
	switch {
	case c.Last != nil && (*c.Last < 1 || *c.Last > 1000):
		return errors.New("--last: must be from 1 to 1000")
	case c.Last != nil && len(c.Since) > 0:
		return errors.New("--since and --last: give one of them")
	}
	s := c.subscription(nil, nil)
	for _, cursor := range c.Since {
		if !s.remember(cursor) {
			return errors.New("--since: not a cursor of these channels")
		}
	}
	return nil
}

// Run prints what arrives until ctx ends or the process is told to stop. It
// connects again whenever the connection is lost.
func (c *subCommand) Run(ctx context.Context, out *console) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	client, err := c.Client.caller(c.URL)
	if err != nil {
		return err
	}
	defer client.close()
	s := c.subscription(out, client)
	for _, cursor := range c.Since {
		s.remember(cursor)
	}
	s.lines = readLines(ctx, out.stdin)
	if err := s.run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

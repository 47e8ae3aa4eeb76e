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
	Last     int         `env:"-" default:"0" placeholder:"N" help:"Begin with the last N messages that the server has kept, at most 1000."`
	URL      address     `name:"url" default:"http://localhost:8000" placeholder:"URL" help:"Address of the server. Default ${default}."`
	Client   clientFlags `embed:""`
}

// Validate is called by kong.
func (c *subCommand) Validate() error {
	switch {
	case c.Last < 0 || c.Last > 1000:
		return errors.New("--last: must be from 1 to 1000")
	case c.Last > 0 && len(c.Since) > 0:
		return errors.New("--since and --last: give one of them")
	}
	s := c.subscription(nil)
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
	client, err := c.Client.caller()
	if err != nil {
		return err
	}
	defer client.close()
	s := c.subscription(out)
	for _, cursor := range c.Since {
		s.remember(cursor)
	}
	for {
		err := s.listen(ctx, client)
		if err := s.comeback.failed(ctx, err); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
	}
}

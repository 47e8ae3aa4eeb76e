package cmd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/signal"
	"syscall"
	"time"
)

// Pauses before connecting again.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
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

// errRefused means that asking again would be answered in the same way.
var errRefused = errors.New("refused")

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
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		began := time.Now()
		err := s.listen(ctx, client)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errRefused):
			return err
		case time.Since(began) > maxRetry: // it has worked
			pause = minRetry
		}
		fmt.Fprintf(out.stderr, "pregon: %s; connecting again\n", shown(out.stderr, err.Error()))
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return nil
		}
	}
}

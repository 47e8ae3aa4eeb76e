package cmd

import (
	"context"
	"fmt"
	"io"

	"github.com/pregon/pregon/broker"
)

type redisScriptCommand struct {
	Broker   string `default:"redis://localhost" placeholder:"URL" help:"Broker that the script is for; of its URL only ?prefix= matters, and nothing is contacted. Default ${default}."`
	Function bool   `help:"Print a library for FUNCTION LOAD instead. Nodes without a prefix load it by themselves, where they may."`
}

// Help is shown by pregon redis-script --help.
func (redisScriptCommand) Help() string {
	return `With a history, what another program sends with PUBLISH is heard and not kept. By one of these it is published as by pregon itself:

  redis-cli FCALL pregon_publish 1 chat "Hola"
  redis-cli EVAL "$(pregon redis-script)" 1 chat "Hola"

The reply is the cursor of the message. An error that begins with PREGONRUN means that Redis was started again and no node has been there since: nothing was done, try again.`
}

// Run prints the script.
func (c *redisScriptCommand) Run(ctx context.Context, out *console) error {
	b, err := broker.Open(ctx, c.Broker)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // nothing was done with it
	s, ok := b.(broker.Scripter)
	if !ok {
		return fmt.Errorf("--broker: no script is needed to publish there%w", errUsage)
	}
	text := s.PublishScript()
	if c.Function {
		text = s.PublishFunction()
	}
	if _, err := io.WriteString(out.stdout, text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

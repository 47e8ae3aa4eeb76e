package live

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// commandTime is how long a command may take, beside a subscribe: see transport.JoinTimeout.
const commandTime = 5 * time.Second

// do does cmd, which is no publish. The context ends with the connection.
func (c *conn) do(ctx context.Context, cmd *command) {
	var err error
	switch cmd.kind {
	case subscribe:
		err = c.subscribe(ctx, cmd)
	case unsubscribe:
		c.unsubscribe(cmd)
	case members:
		err = c.members(ctx, cmd)
	case renew:
		err = c.renew(ctx, cmd)
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, transport.ErrLeft) {
		return // or nobody is there to be told
	}
	if !c.refuse(cmd, c.env.Problem(err)) {
		c.ws.Close(errTooManyErrors)
	}
}

// subscribe returns when the broker has confirmed the channel. The answer is the hub's, which may
// have to read the history first.
func (c *conn) subscribe(ctx context.Context, cmd *command) error {
	if !c.await(cmd) {
		return transport.ErrSubscribed
	}
	sub := *cmd.subscription
	sub.Answer = func(s transport.Subscribed) (frame []byte, ok bool) {
		c.answered(cmd)
		return subscribed(cmd.ref, s, sub.Since).frame(), true
	}
	ctx, cancel := context.WithTimeout(ctx, transport.JoinTimeout)
	defer cancel()
	err := c.session.Subscribe(ctx, sub)[0]
	if err != nil {
		c.answered(cmd)
	}
	return err
}

// await notes that cmd is a subscribe that is to be answered. It reports false where another one of
// the channel is.
func (c *conn) await(cmd *command) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unanswered[cmd.channel] != nil {
		return false
	}
	if c.unanswered == nil {
		c.unanswered = map[string]*command{}
	}
	c.unanswered[cmd.channel] = cmd
	return true
}

// answered notes that cmd is answered.
func (c *conn) answered(cmd *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cmd.answered = true
	if c.unanswered[cmd.channel] == cmd {
		c.forget(cmd.channel)
	}
}

// forget returns the subscribe of a channel that was not answered yet, nil for none, and does not
// keep it. The caller holds the lock.
func (c *conn) forget(channel string) *command {
	cmd := c.unanswered[channel]
	if delete(c.unanswered, channel); len(c.unanswered) == 0 {
		c.unanswered = nil // nothing is kept for a client that is quiet
	}
	return cmd
}

// unsubscribe answers a subscribe that was not answered before the stay was over, too: it never
// will be.
func (c *conn) unsubscribe(cmd *command) {
	c.mu.Lock()
	begun := c.forget(cmd.channel)
	c.mu.Unlock()
	c.session.Unsubscribe(cmd.channel, func() []byte {
		return answer("unsubscribed", cmd.ref, cmd.channel).appendFrame(c.overtaken(begun))
	})
}

// overtaken returns the answer to a subscribe that was not answered before its stay was over, and
// otherwise nothing.
func (c *conn) overtaken(begun *command) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if begun == nil || begun.answered {
		return nil
	}
	return failed(begun.ref, begun.channel, &transport.Problem{Status: http.StatusConflict, Code: "unsubscribed",
		Detail: "The channel was unsubscribed before it was known where the client begins."}).frame()
}

// members sends page after page, each when those before were taken.
func (c *conn) members(ctx context.Context, cmd *command) error {
	var q transport.MembersQuery
	for {
		within, cancel := context.WithTimeout(ctx, commandTime)
		m, err := c.client.Members(within, cmd.channel, q)
		cancel()
		if err != nil {
			return err
		}
		c.say(page(c.format, cmd.ref, m))
		if !m.More || len(m.Members) == 0 || c.socket.AwaitEmpty(ctx) != nil {
			return nil
		}
		q.After = m.Members[len(m.Members)-1].Subject
	}
}

func (c *conn) renew(ctx context.Context, cmd *command) error {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	id, err := c.client.Renew(ctx, cmd.token)
	if err != nil {
		return err
	}
	c.session.Renewed(answer("renewed", cmd.ref, "").expiry(id.Expires).frame())
	return nil
}

// publish publishes the messages of commands and answers them, all at once. It is not cut short by
// the end of the connection: nothing is half done.
func (c *conn) publish(commands []*command) {
	messages := make([]broker.Message, len(commands))
	for i, cmd := range commands {
		messages[i] = cmd.message
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	var said []byte
	tooMany := false
	for i, result := range c.client.Publish(ctx, messages...) {
		cmd := commands[i]
		if result.Err == nil {
			said = published(cmd.ref, cmd.channel, result.Receipt).appendFrame(said)
			continue
		}
		p := c.env.PublishProblem(result.Err)
		said = failed(cmd.ref, cmd.channel, p).appendFrame(said)
		tooMany = !c.mayFail(p) || tooMany
	}
	c.session.Say(said)
	if tooMany {
		c.ws.Close(errTooManyErrors)
	}
}

package pipeline

import (
	"context"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// A Message is one that is published, and then its outcome. It is a few commands in one
// pipeline, of which Main decides. Options.Send may set what is exported; a Message whose
// request was given up is not written.
type Message struct {
	broker.Message
	Probe   bool       // of it nothing is to be kept with its channel
	Fields  []byte     // of the message, as they are kept
	Before  []*Command // about the message's key
	Main    *Command
	Expire  *Command // of the stream; may be nil
	Receipt broker.Receipt
	Err     error

	request *request
}

// Command returns one of m's commands, given by its words.
func (m *Message) Command(words ...any) *Command {
	return &Command{Cmder: goredis.NewCmd(context.Background(), words...), request: m.request}
}

func (m *Message) result() broker.Result {
	if m.Err != nil {
		return failed(m.Err)
	}
	return broker.Result{Receipt: m.Receipt}
}

// refused reports whether Redis has answered m with an error of a code.
func (m *Message) refused(code string) bool {
	return m.Err != nil && m.Main != nil && m.Main.answered && reply.IsReply(m.Main.Err()) &&
		strings.HasPrefix(m.Main.Err().Error(), code)
}

// NoScript reports whether Redis does not know the script that m is to be
// published with.
func (m *Message) NoScript() bool { return m.refused("NOSCRIPT") }

// MayBeElsewhere reports whether the next publication may get to another server than the
// ones before m, or to another life of it.
func (m *Message) MayBeElsewhere() bool {
	answered := m.Main != nil && m.Main.answered && (m.Main.Err() == nil || reply.IsReply(m.Main.Err()))
	return m.Err != nil && !answered || m.AtReplica()
}

// AtReplica reports whether m failed because the server is a replica.
func (m *Message) AtReplica() bool { return m.refused("READONLY") }

// Fail gives messages one outcome.
func Fail(messages []*Message, err error) {
	for _, m := range messages {
		m.Err = err
	}
}

// Unexecuted returns those to which Redis said that it does not know the script.
// Where another node has taught it meanwhile, what comes later in the same request to
// the same channel may have been published: then its turn is over.
func Unexecuted(messages []*Message) (again []*Message) {
	if !slices.ContainsFunc(messages, (*Message).NoScript) {
		return nil
	}
	type place struct {
		request *request
		channel string
	}
	later := map[place]bool{}
	for _, m := range slices.Backward(messages) {
		here := place{m.request, m.Channel}
		if m.Err == nil {
			later[here] = true
		} else if m.NoScript() && !later[here] {
			again = append(again, m)
		}
	}
	slices.Reverse(again)
	return again
}

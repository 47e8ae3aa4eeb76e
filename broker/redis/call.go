package redis

import (
	"context"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// A publication is one message that is published, and then its outcome. It is a
// few commands in one pipeline, of which main decides.
type publication struct {
	job     *job
	message broker.Message
	fields  []byte  // of the message, as they are kept
	before  []*call // about the message's key
	main    *call
	expire  *call // of the stream; may be nil
	receipt broker.Receipt
	err     error
}

// call returns one of p's commands, given by its words.
func (p *publication) call(words ...any) *call {
	return &call{Cmder: goredis.NewCmd(context.Background(), words...), job: p.job}
}

func (p *publication) result() broker.Result {
	if p.err != nil {
		return failed(p.err)
	}
	return broker.Result{Receipt: p.receipt}
}

// refused reports whether Redis has answered p with an error of a code.
func (p *publication) refused(code string) bool {
	return p.err != nil && p.main != nil && p.main.answered && reply.IsReply(p.main.Err()) &&
		strings.HasPrefix(p.main.Err().Error(), code)
}

// noScript reports whether Redis does not know the script that p is to be
// published with.
func (p *publication) noScript() bool { return p.refused("NOSCRIPT") }

// strayed reports whether the next publication may get to another server than the
// ones before p, or to another life of it.
func (p *publication) strayed() bool {
	answered := p.main != nil && p.main.answered && (p.main.Err() == nil || reply.IsReply(p.main.Err()))
	return p.err != nil && !answered || p.atReplica()
}

// atReplica reports whether p failed because the server is a replica.
func (p *publication) atReplica() bool { return p.refused("READONLY") }

// takeReceipt takes the receipt out of what the script returned.
func (p *publication) takeReceipt() error {
	bad := fmt.Errorf("%w: %w", reply.ErrBadReply, broker.ErrUncertain)
	answer, ok := p.main.Cmder.(*goredis.Cmd)
	if !ok {
		return bad
	}
	words, err := answer.Slice()
	if err != nil || len(words) != 2 {
		return bad
	}
	text, _ := words[0].(string)
	repeated, ok := words[1].(int64)
	position, err := broker.ParsePosition(text)
	if err != nil || !ok {
		return bad
	}
	p.receipt = broker.Receipt{Position: position, Repeated: repeated == 1}
	return nil
}

// A call is a command that is written once, and not after its job was given up.
type call struct {
	goredis.Cmder
	job      *job
	sent     bool // it may have been written
	answered bool // go-redis has said something of it
}

// Args returns the words of the command. go-redis asks for them once, when it has
// a connection and writes them to it: the last moment to give up. What is written
// in place of a command that was given up is its name alone, which Redis refuses
// for want of arguments.
func (c *call) Args() []any {
	if c.sent || !c.job.commit() {
		return c.Cmder.Args()[:1]
	}
	c.sent = true
	return c.Cmder.Args()
}

// SetErr is what go-redis calls with the answer, nil for one that accepts, or with
// the failure of the pipeline. The first call counts: after a failure there is
// another, also for what had been answered before.
func (c *call) SetErr(err error) {
	if !c.answered {
		c.answered = true
		c.Cmder.SetErr(err)
	}
}

// accepted reports whether the answer was the number 1.
func (c *call) accepted() bool {
	answer, ok := c.Cmder.(*goredis.Cmd)
	if !ok || !c.answered || c.Err() != nil {
		return false
	}
	n, err := answer.Int()
	return err == nil && n == 1
}

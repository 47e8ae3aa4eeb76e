package link

import (
	"slices"

	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// Commands of a link.
const (
	opSubscribe   = "subscribe"
	opUnsubscribe = "unsubscribe"
	opPing        = "ping"
)

// maxTopics is how many topics one command carries at most.
const maxTopics = 1000

// A command is what is sent to Redis over a link. Redis answers commands in the
// order in which they came, and each topic of a command on its own.
type command struct {
	name     string
	topics   []string // for ping the empty string, whose answer is the pong
	answered int      // how many topics Redis has confirmed
	restores bool     // the topics were there on an earlier link
	done     chan struct{}
	err      error // set before done is closed: Redis refused the command
}

// A subscription is a topic that Redis was asked for over a link.
type subscription struct {
	command   *command // the SUBSCRIBE that carries it
	confirmed bool     // messages count from here on
	claims    int      // calls of Subscribe that are under way for it
}

// A ledger is what a link has asked Redis for and what Redis has answered. Its
// Feed's mutex guards it.
type ledger struct {
	subs     map[string]*subscription // by topic; what was removed is not there
	outbox   []*command               // to be written, oldest first
	expected []*command               // to be answered, oldest first, the outbox included
	wake     chan struct{}            // has a token when the outbox is not empty

	restoring int // expected commands that restore
}

func newLedger() ledger {
	return ledger{subs: map[string]*subscription{}, wake: make(chan struct{}, 1)}
}

// issue puts commands for topics into the outbox. Commands leave in the order of
// the calls, so what Redis does last is what was asked for last.
func (g *ledger) issue(name string, topics []string) []*command {
	var commands []*command
	for chunk := range slices.Chunk(topics, maxTopics) {
		c := &command{name: name, topics: chunk, done: make(chan struct{})}
		commands = append(commands, c)
	}
	g.outbox = append(g.outbox, commands...)
	g.expected = append(g.expected, commands...)
	if len(g.outbox) > 0 {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return commands
}

// subscribe asks for topics that are not there yet.
func (g *ledger) subscribe(topics []string) []*command {
	commands := g.issue(opSubscribe, topics)
	for _, c := range commands {
		for _, t := range c.topics {
			g.subs[t] = &subscription{command: c}
		}
	}
	return commands
}

// restore asks for topics that were there on an earlier link.
func (g *ledger) restore(topics []string) {
	for _, c := range g.subscribe(topics) {
		c.restores = true
		g.restoring++
	}
}

// unsubscribe takes topics out; those that are not there do not count.
func (g *ledger) unsubscribe(topics []string) []*command {
	var there []string
	for _, t := range topics {
		if _, ok := g.subs[t]; ok {
			delete(g.subs, t)
			there = append(there, t)
		}
	}
	return g.issue(opUnsubscribe, there)
}

// confirm takes an answer of Redis. It returns the subscription that begins with
// it, if one does, and reply.ErrUnexpected for an answer to nothing: then something has
// subscribed again behind our back, and messages are missing.
func (g *ledger) confirm(name, topic string) (*subscription, error) {
	if len(g.expected) == 0 {
		return nil, reply.ErrUnexpected
	}
	c := g.expected[0]
	if c.name != name || c.topics[c.answered] != topic {
		return nil, reply.ErrUnexpected
	}
	if c.answered++; c.answered == len(c.topics) {
		g.finish()
	}
	if s := g.subs[topic]; s != nil && s.command == c {
		s.confirmed = true
		return s, nil
	}
	return nil, nil
}

// refuse takes Redis' error reply, which answers a whole command. It returns the
// topic that has ended, where it was restored and is not allowed any more, and the
// error where the link cannot live with it.
func (g *ledger) refuse(err error) (ended string, _ error) {
	if len(g.expected) == 0 {
		return "", err
	}
	c := g.expected[0]
	if c.name == opPing || c.restores && !reply.OfChannel(err) {
		return "", err
	}
	var refused []string // without those that were removed meanwhile
	for _, t := range c.topics {
		if s := g.subs[t]; s != nil && s.command == c {
			delete(g.subs, t)
			refused = append(refused, t)
		}
	}
	if c.restores {
		ended = g.halve(refused)
	}
	c.err = reply.Outcome(err, false)
	g.finish()
	return ended, nil
}

// halve finds out which of topics, that Redis refused to restore together, it does
// not allow: the others go on. It returns the topic where there is only one.
func (g *ledger) halve(topics []string) (denied string) {
	if len(topics) == 1 {
		return topics[0]
	}
	half := len(topics) / 2
	g.restore(topics[:half])
	g.restore(topics[half:])
	return ""
}

// finish ends the oldest command.
func (g *ledger) finish() {
	close(g.expected[0].done)
	if g.expected[0].restores {
		g.restoring--
	}
	g.expected[0] = nil
	g.expected = g.expected[1:]
}

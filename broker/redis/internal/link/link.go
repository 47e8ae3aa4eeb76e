package link

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/pause"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/seal"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// A link is one connection of a Feed, from the attempt to make it until it is
// lost. It never reconnects; the supervisor makes the next one.
type link struct {
	feed *Feed
	up   chan struct{} // closed when Redis has answered
	lost chan struct{} // closed when the link is over
	err  error         // why; set before lost is closed

	ledger // guarded by feed.mu

	restored func() // called once when all that was lost is there again

	conn     *wire.Conn
	client   *goredis.Client
	pubsub   *goredis.PubSub
	unsealer *seal.Unsealer // nil without history
}

func newLink(f *Feed) *link {
	l := &link{feed: f, up: make(chan struct{}), lost: make(chan struct{}), ledger: newLedger()}
	if f.opts.History != nil {
		l.unsealer = seal.NewUnsealer(f.opts.History.Secrets())
	}
	return l
}

func (l *link) alive() bool { return !isClosed(l.lost) }

// open connects, authenticates, and has Redis answer a first ping, all within
// DialTimeout.
func (l *link) open(ctx context.Context) error {
	opts := l.feed.opts
	ctx, cancel := context.WithTimeout(ctx, opts.Settings.DialTimeout)
	defer cancel()
	c, err := opts.Connect(ctx)
	if err != nil {
		return err
	}
	l.conn = c
	settings := opts.Settings.Client(wire.HandOver(c))
	settings.PoolSize = 1 // it is never used
	settings.WriteTimeout = opts.Heartbeat
	l.client = goredis.NewClient(settings)
	l.pubsub = l.client.Subscribe(ctx)
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	defer unhook()
	if err = l.pubsub.Ping(ctx); err == nil {
		_, err = l.next(ctx)
	}
	if err == nil && opts.History != nil {
		err = opts.History.Meet(ctx) // to know the secret of what will come
	}
	if err != nil {
		l.close()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return err
}

func (l *link) close() {
	l.conn.Close()
	l.pubsub.Close()
	l.client.Close()
}

// serve restores what the Feed carries, calls restored once that is done, and
// receives until the link is lost or ctx ends. It returns why, and when nothing of
// the link runs any more.
func (l *link) serve(ctx context.Context, restored func()) error {
	defer l.close()
	l.restored = restored
	unhook := context.AfterFunc(ctx, func() { l.conn.Close() })
	defer unhook()
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { l.write(ctx) })
	helpers.Go(func() { l.watch(ctx) })
	l.begin()
	err := l.receive()
	cancel()
	l.conn.Close()
	helpers.Wait()
	return l.conn.Reason(err)
}

// begin asks for all that the Feed carries and then lets new channels in.
func (l *link) begin() {
	l.feed.mu.Lock()
	l.restore(slices.Collect(maps.Keys(l.feed.kept)))
	complete := l.restoring == 0
	close(l.up)
	l.feed.mu.Unlock()
	l.tell(complete)
}

// tell calls restored, once, and not under a lock.
func (l *link) tell(complete bool) {
	if complete && l.restored != nil {
		l.restored()
		l.restored = nil
	}
}

// receive takes what Redis sends until the link is lost.
func (l *link) receive() error {
	for {
		reply, err := l.next(context.Background())
		switch reply := reply.(type) {
		case *goredis.Message:
			l.deliver(reply)
		case *goredis.Subscription:
			err = l.confirmed(reply.Kind, reply.Channel)
		case *goredis.Pong:
			err = l.confirmed(opPing, "")
		case nil:
			err = l.refused(err)
		}
		if err != nil {
			return err
		}
	}
}

// next waits for what Redis sends next, without a time limit of its own: a read
// that times out in the middle of a message would lose it.
func (l *link) next(ctx context.Context) (answer any, err error) {
	defer reply.Contain(&err)
	return l.pubsub.Receive(ctx)
}

// deliver takes a message, unless it is of no channel of the Feed or claims what it cannot prove.
func (l *link) deliver(m *goredis.Message) {
	var proof seal.Sealed
	if l.unsealer != nil {
		var claims, authentic bool
		if proof, claims, authentic = l.unsealer.Unseal(m.Channel, m.Payload); claims && !authentic {
			l.feed.opts.Reject()
			return
		}
	}
	message := l.feed.message(m, proof)
	l.feed.mu.Lock()
	s := l.subs[m.Channel]
	wanted := s != nil && s.confirmed
	if wanted && !proof.Position.IsZero() {
		l.feed.hear(message.Channel, proof)
	}
	l.feed.mu.Unlock()
	if wanted {
		l.feed.queue.Push(message)
	}
}

// message is what m says. Only what is proven has a position, and with a history an author and a trace:
// then all that nodes publish is proven, and the rest is of other programs.
func (f *Feed) message(m *goredis.Message, proof seal.Sealed) broker.Message {
	channel := f.channel(m.Channel)
	message, ok := broker.ParseFields(channel, proof.Fields)
	if proof.Position.IsZero() || !ok {
		message = broker.ParseWire(channel, []byte(m.Payload))
		if f.opts.History != nil {
			message.By, message.Traceparent = nil, ""
		}
	}
	message.Position, message.Prev = proof.Position, proof.Position.Previous()
	return message
}

// confirmed takes a confirmation. Where it restores a channel, messages are
// missing up to this point, and all that follow are there.
func (l *link) confirmed(name, topic string) error {
	l.feed.mu.Lock()
	s, err := l.confirm(name, topic)
	if s != nil && s.command.restores {
		l.feed.queue.Gap(broker.LinkLost, l.feed.channel(topic))
	}
	complete := l.restoring == 0
	l.feed.mu.Unlock()
	l.tell(complete)
	return err
}

// refused takes an error of receiving: a refusal of Redis concerns a command,
// any other the link. A channel that was to be restored and is not allowed any
// more is told and ends, so that it does not take the others with it.
func (l *link) refused(err error) error {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return err
	}
	l.feed.mu.Lock()
	ended, err := l.refuse(err)
	if ended != "" {
		delete(l.feed.kept, ended)
		l.feed.queue.Gap(broker.Denied, l.feed.channel(ended))
	}
	complete := err == nil && l.restoring == 0
	l.feed.mu.Unlock()
	l.tell(complete)
	return err
}

// write sends what is in the outbox until ctx ends.
func (l *link) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for _, c := range l.take() {
			if err := l.send(c); err != nil {
				l.conn.Fail(err)
				return
			}
		}
	}
}

func (l *link) take() []*command {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	commands := l.outbox
	l.outbox = nil
	return commands
}

// send writes one command. It takes no longer than the client's write timeout.
func (l *link) send(c *command) error {
	ctx := context.Background()
	switch c.name {
	case opSubscribe:
		return l.pubsub.Subscribe(ctx, c.topics...)
	case opUnsubscribe:
		return l.pubsub.Unsubscribe(ctx, c.topics...)
	default:
		return l.pubsub.Ping(ctx)
	}
}

// watch fails the link when Redis was asked for a sign of life, since nothing had
// come for a while, and still nothing comes: the peer, or the network to it, is
// gone without a word.
func (l *link) watch(ctx context.Context) {
	limit := l.feed.opts.Heartbeat
	for pause.Sleep(ctx, limit-l.conn.Silence()) {
		if l.conn.Silence() < limit {
			continue
		}
		before := l.conn.Heard.Load()
		l.ask()
		if !pause.Sleep(ctx, limit) {
			return
		}
		if l.conn.Heard.Load() == before {
			l.conn.Fail(reply.ErrSilent)
			return
		}
	}
}

func (l *link) ask() {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	l.issue(opPing, []string{""})
}

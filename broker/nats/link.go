package nats

import (
	"context"
	"fmt"
	"maps"
	"sync"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pregon/pregon/broker"
)

// arriving is how many messages the library holds for a link that has not taken them yet. What comes
// beyond is dropped, and told.
const arriving = 64 << 10

// A link is one connection of a Feed, from the attempt to make it until it is lost. All of its
// subscriptions feed one channel, so that there is one order, and no goroutine for each.
type link struct {
	feed    *Feed
	arrived chan *natsgo.Msg
	dropped chan struct{} // has a token when the library has dropped messages
	up      chan struct{} // closed when what the Feed carries is subscribed
	over    chan struct{} // closed when it is lost
	conn    *conn         // set before up is closed

	// With a history, for the goroutine that delivers:
	begun   *natsgo.Subscription // what begins an epoch
	epochs  epochs
	highest uint64                // number
	stream  *jetstream.StreamInfo // as it was when the link was made

	mu     sync.Mutex
	subs   map[*natsgo.Subscription]*subscription
	by     map[string][]*natsgo.Subscription // channel
	failed error                             // set before over is closed
}

// A subscription is a channel on a link.
type subscription struct {
	channel string
	dropped int              // messages, as far as that was told
	newest  *broker.Position // of the channel on this link; for the goroutine that delivers
}

func newLink(f *Feed) *link {
	return &link{feed: f, arrived: make(chan *natsgo.Msg, arriving), dropped: make(chan struct{}, 1),
		up: make(chan struct{}), over: make(chan struct{}),
		subs: map[*natsgo.Subscription]*subscription{}, by: map[string][]*natsgo.Subscription{}}
}

// run connects, restores what the Feed carries and delivers until the link is lost or ctx ends. It
// returns why.
func (l *link) run(ctx context.Context) error {
	err := l.open(ctx)
	if err == nil {
		err = l.watched(ctx, l.deliver)
	}
	if l.conn != nil {
		l.conn.Close()
		<-l.conn.lost
	}
	l.mu.Lock()
	l.failed = err
	l.mu.Unlock()
	close(l.over)
	return err
}

// open connects and restores. Channels that are not permitted any more end alone; what the others have
// missed is told before anything of this link is delivered.
func (l *link) open(ctx context.Context) error {
	c, err := dial(ctx, l.feed.opts, l.overrun)
	if err != nil {
		return err
	}
	l.conn = c
	if !l.feed.opts.History.IsZero() {
		if err := l.attach(ctx); err != nil {
			return unlessKnown(err)
		}
	}
	carried := l.feed.channels()
	refused, err := l.ask(ctx, carried)
	if err != nil {
		return err
	}
	var restored []string
	for _, channel := range carried {
		switch {
		case !l.feed.carries(channel): // it was unsubscribed meanwhile
			l.drop([]string{channel})
			continue
		case refused[channel] == nil:
			restored = append(restored, channel)
			continue
		}
		l.feed.mu.Lock()
		delete(l.feed.kept, channel)
		l.feed.mu.Unlock()
		l.feed.queue.Gap(broker.Denied, channel)
	}
	l.feed.queue.Gap(broker.LinkLost, restored...)
	close(l.up)
	l.feed.stands()
	return nil
}

// attach learns of the epochs, and hears of each that begins from now on.
func (l *link) attach(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, l.feed.opts.Timeout)
	defer cancel()
	n := l.feed.opts.names
	if l.begun, err = l.conn.ChanSubscribe(n.liveOf(n.epoch()), l.arrived); err == nil {
		l.epochs, l.stream, err = l.feed.opts.attach(ctx, l.conn, l.feed.seen)
	}
	return err
}

// ask subscribes channels, and returns those that the server does not permit, which are not.
func (l *link) ask(ctx context.Context, channels []string) (refused map[string]error, err error) {
	subjects := map[string]string{} // their channels
	for _, channel := range channels {
		newest := &broker.Position{}
		for _, subject := range l.feed.opts.names.live(channel) {
			subjects[subject] = channel
			if err := l.listen(channel, subject, newest); err != nil {
				l.drop(channels)
				return nil, l.lost(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.feed.opts.Timeout)
	defer cancel()
	bySubject, err := l.conn.confirm(ctx, maps.Keys(subjects))
	if err == nil && l.feed.opts.clustered() {
		err = l.feed.opts.reachLeader(ctx, l.conn)
	}
	if err != nil {
		l.drop(channels)
		return nil, l.lost(err)
	}
	refused = map[string]error{}
	for subject, why := range bySubject {
		refused[subjects[subject]] = why
		l.drop([]string{subjects[subject]})
	}
	return refused, nil
}

// listen subscribes one subject of a channel.
func (l *link) listen(channel, subject string, newest *broker.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	sub, err := l.conn.ChanSubscribe(subject, l.arrived)
	if err == nil {
		l.subs[sub] = &subscription{channel: channel, newest: newest}
		l.by[channel] = append(l.by[channel], sub)
	}
	return err
}

// lost is why a server could not be asked.
func (l *link) lost(err error) error { return fmt.Errorf("%w: %w", err, broker.ErrUnavailable) }

// drop forgets channels. What comes of them is not delivered.
func (l *link) drop(channels []string) {
	for _, channel := range channels {
		l.mu.Lock()
		subs := l.by[channel]
		delete(l.by, channel)
		for _, sub := range subs {
			delete(l.subs, sub)
		}
		l.mu.Unlock()
		for _, sub := range subs {
			_ = sub.Unsubscribe() // fails only where the connection is lost
		}
	}
}

// subscribe adds those of channels that are new, all or none.
func (l *link) subscribe(ctx context.Context, channels []string) error {
	var fresh []string
	l.mu.Lock()
	seen := map[string]bool{}
	for _, channel := range channels {
		if l.by[channel] == nil && !seen[channel] {
			seen[channel] = true
			fresh = append(fresh, channel)
		}
	}
	l.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	refused, err := l.ask(ctx, fresh)
	if err != nil {
		return err
	}
	for _, why := range refused {
		l.drop(fresh)
		return why
	}
	return l.feed.keep(l, fresh)
}

// unsubscribe removes channels, and returns when the server has done so.
func (l *link) unsubscribe(ctx context.Context, channels []string) error {
	l.drop(channels)
	ctx, cancel := context.WithTimeout(ctx, l.feed.opts.Timeout)
	defer cancel()
	if err := l.conn.FlushWithContext(ctx); err != nil {
		return l.lost(err)
	}
	return nil
}

// overrun is called by the library where it has dropped messages.
func (l *link) overrun() {
	select {
	case l.dropped <- struct{}{}:
	default:
	}
}

// deliver takes what arrives until the link is lost or ctx ends.
func (l *link) deliver(ctx context.Context) error {
	for {
		select {
		case m := <-l.arrived:
			if err := l.take(m); err != nil {
				return err
			}
		case <-l.dropped:
			l.tellDropped()
		case <-l.conn.lost:
			for len(l.arrived) > 0 {
				if err := l.take(<-l.arrived); err != nil {
					return err
				}
			}
			return fmt.Errorf("the connection was lost: %w", broker.ErrUnavailable)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take delivers m, behind a gap where the library has dropped what came before it. An error means that the link
// is of no use any more.
func (l *link) take(m *natsgo.Msg) error {
	history := l.begun != nil
	if history && m.Sub == l.begun {
		return l.begin(storedOf(m))
	}
	l.mu.Lock()
	s := l.subs[m.Sub]
	l.mu.Unlock()
	if s == nil {
		return nil // it was unsubscribed
	}
	l.checkDropped(m.Sub, s)
	if history {
		return l.takeStored(m, s)
	}
	l.feed.queue.Push(withoutPosition(broker.ParseWire(s.channel, m.Data)))
	return nil
}

// withoutPosition returns m without the position that a stranger may claim: there is no history.
func withoutPosition(m broker.Message) broker.Message {
	m.Position, m.Prev = broker.Position{}, broker.Position{}
	return m
}

func (l *link) checkDropped(sub *natsgo.Subscription, s *subscription) {
	if n, err := sub.Dropped(); err == nil && n > s.dropped {
		s.dropped = n
		l.feed.queue.Gap(broker.Overrun, s.channel)
	}
}

// tellDropped tells of messages that were dropped and nothing has come behind.
func (l *link) tellDropped() {
	l.mu.Lock()
	subs := maps.Clone(l.subs)
	l.mu.Unlock()
	for sub, s := range subs {
		l.checkDropped(sub, s)
	}
}

// err returns why the link is over, nil where it is not.
func (l *link) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *link) wasUp() bool {
	select {
	case <-l.up:
		return true
	default:
		return false
	}
}

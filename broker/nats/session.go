package nats

import (
	"context"
	"fmt"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pregon/pregon/broker"
)

// A session is a connection for publishing or reading. With a history it knows the epochs of the stream.
type session struct {
	*conn
	opts  Options
	seen  *memory
	begun *natsgo.Subscription // what begins an epoch; nil without a history
	made  time.Time            // the stream

	mu     sync.Mutex
	epochs epochs
}

// openSession connects. Closing it is the caller's.
func openSession(ctx context.Context, o Options, seen *memory) (*session, error) {
	c, err := dial(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	s := &session{conn: c, opts: o, seen: seen}
	if o.History.IsZero() {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if s.begun, err = c.SubscribeSync(o.names.liveOf(o.names.epoch())); err == nil {
		var info *jetstream.StreamInfo
		if s.epochs, info, err = o.attach(ctx, c, seen); err == nil {
			s.made = info.Created
		}
	}
	if err != nil {
		s.close()
		return nil, unlessKnown(err)
	}
	return s, nil
}

// unlessKnown has an error that says nothing of its own be one of a backend that is away.
func unlessKnown(err error) error {
	if broker.OutcomeOf(err) == broker.NotPublished {
		return err
	}
	return fmt.Errorf("%w: %w", err, broker.ErrUnavailable)
}

func (s *session) close() {
	s.conn.Close()
	<-s.conn.lost
}

// known returns the epochs with those that have begun since. What was received before begins no epoch that it does
// not know of: the server tells of one ahead of what is in it.
func (s *session) known() epochs {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		waiting, _, err := s.begun.Pending()
		if err != nil || waiting == 0 {
			return s.epochs
		}
		m, err := s.begun.NextMsg(s.opts.Timeout)
		if err != nil {
			return s.epochs
		}
		s.epochs = s.epochs.with(storedOf(m))
	}
}

// store publishes messages to the stream and returns what became of each. An error means that the connection
// is of no use any more.
func (s *session) store(ctx context.Context, requests []request) ([]broker.Result, error) {
	answers, err := s.askAgain(ctx, requests)
	results := make([]broker.Result, len(requests))
	epochs := s.known()
	for i, a := range answers {
		if !a.ended {
			results[i].Err = fmt.Errorf("wait for the stream: %w: %w", err, broker.ErrUncertain)
			continue
		}
		seq, repeated, why := ackOf(a)
		if why != nil {
			results[i].Err = why
			continue
		}
		results[i].Receipt = broker.Receipt{Position: epochs.at(seq), Repeated: repeated}
		s.seen.note(results[i].Receipt.Position, "")
	}
	return results, err
}

// keepRequest returns the publication of m to the stream.
func (o Options) keepRequest(m broker.Message) request {
	r := request{subject: o.names.subject(m.Channel)}
	if m.Key != "" {
		r.header = natsgo.Header{natsgo.MsgIdHdr: {r.subject + " " + word(m.Key)}}
	}
	m.Position = broker.Position{}
	r.data = broker.AppendWire(nil, m)
	return r
}

// probeRequest returns the publication of m to the stream in place of the probe of its channel before.
func (o Options) probeRequest(m broker.Message) request {
	m.Position = broker.Position{}
	return request{
		subject: o.names.probe(m.Channel),
		header:  natsgo.Header{"Nats-Rollup": {"sub"}},
		data:    broker.AppendWire(nil, m),
	}
}

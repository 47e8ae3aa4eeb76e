package brokertest_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"github.com/pregon/pregon/broker/memory"
)

// A driver whose numbers begin anywhere and have holes, such as those of a stream that
// many channels share, passes.
func TestSparseNumbers(t *testing.T) {
	brokertest.Run(t, func(*testing.T) func(*testing.T) broker.Broker {
		bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: time.Hour})
		return func(*testing.T) broker.Broker { return newSparse(bus.Broker()) }
	}, brokertest.HistoryOnly())
}

// claimsDense makes a node of numbers with holes, which says that they have none.
func claimsDense(b *brokenHistory) {
	s := newSparse(b.Broker)
	s.change = denseClaim
	b.Broker, b.kept = s, s
}

func denseClaim(m broker.Message) broker.Message {
	m.Prev = m.Position.Previous()
	return m
}

// A sparse is a node whose every number is spread over several: Position{e, n} of
// the node that it wraps is {e, 7n+3}.
type sparse struct {
	broker.Broker
	kept   broker.Historian
	change func(broker.Message) broker.Message // of what is handed on
}

func newSparse(b broker.Broker) *sparse {
	h, _ := broker.HistoryOf(b)
	return &sparse{b, h, func(m broker.Message) broker.Message { return m }}
}

const spread, firstNumber = 7, 3

func outward(p broker.Position) broker.Position {
	if !p.IsZero() {
		p.Seq = p.Seq*spread + firstNumber
	}
	return p
}

// inward returns the node's own position, and false for one that it has never given: then
// it is that of what comes before it.
func inward(p broker.Position) (own broker.Position, given bool) {
	if p.Epoch == 0 {
		return p, false
	}
	if p.Seq < firstNumber {
		return broker.Position{Epoch: p.Epoch - 1, Seq: math.MaxUint64}, false
	}
	return broker.Position{Epoch: p.Epoch, Seq: (p.Seq - firstNumber) / spread}, (p.Seq-firstNumber)%spread == 0
}

func (s *sparse) outward(m broker.Message) broker.Message {
	m.Position, m.Prev = outward(m.Position), outward(m.Prev)
	return s.change(m)
}

func (s *sparse) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	r, err := s.Broker.Publish(ctx, m)
	r.Position = outward(r.Position)
	return r, err
}

func (s *sparse) Feed(ctx context.Context) (broker.Feed, error) {
	inner, err := s.Broker.Feed(ctx)
	f := &brokenFeed{Feed: inner}
	f.next = func() (broker.Message, error) {
		m, err := inner.Next()
		return s.outward(m), err
	}
	return f, err
}

func (s *sparse) Retention() broker.Retention { return s.kept.Retention() }

func (s *sparse) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	given := true
	if !q.After.IsZero() {
		q.After, given = inward(q.After)
	}
	if !q.Before.IsZero() {
		if at, exact := inward(q.Before); exact {
			q.Before = at
		} else if at.Seq != math.MaxUint64 { // what is at it comes before
			q.Before = broker.Position{Epoch: at.Epoch, Seq: at.Seq + 1}
		} else {
			q.Before = broker.Position{Epoch: at.Epoch + 1}
		}
	}
	page, err := s.kept.History(ctx, channel, q)
	page.Complete = page.Complete && given
	page.Messages = slices.Clone(page.Messages)
	for i, m := range page.Messages {
		page.Messages[i] = s.outward(m)
	}
	return page, err
}

func (s *sparse) Newest(ctx context.Context, channels ...string) ([]broker.Position, error) {
	newest, err := s.kept.Newest(ctx, channels...)
	for i, p := range newest {
		newest[i] = outward(p)
	}
	return newest, err
}

func (s *sparse) Keep(ctx context.Context, channels ...string) error {
	return s.kept.Keep(ctx, channels...)
}

func (s *sparse) Clear(ctx context.Context, channel string) error {
	return s.Broker.(broker.Clearer).Clear(ctx, channel)
}

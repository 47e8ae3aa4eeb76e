package server_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

// A past is a memory broker that keeps the newest messages of each channel: as
// much of a Historian as the tests of this package need.
type past struct {
	broker.Broker
	keep int

	mu      sync.Mutex
	kept    map[string][]broker.Message
	seq     map[string]uint64
	failure error         // of everything that reads
	looked  chan struct{} // gets a token at each look, where there is room
}

const epoch = 7

func newPast(keep int) *past {
	return &past{Broker: memory.New(), keep: keep, kept: map[string][]broker.Message{}, seq: map[string]uint64{}, looked: make(chan struct{}, 1)}
}

func (p *past) Retention() broker.Retention {
	return broker.Retention{MaxMessages: p.keep, MaxAge: time.Hour}
}

func (p *past) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range p.kept[m.Channel] {
		if m.Key != "" && m.Key == old.Key {
			return broker.Receipt{Position: old.Position, Repeated: true}, nil
		}
	}
	p.seq[m.Channel]++
	m.Position = broker.Position{Epoch: epoch, Seq: p.seq[m.Channel]}
	if m.Position.Seq > 1 { // the first number, so that nothing relies on 0
		m.Prev = broker.Position{Epoch: epoch, Seq: p.seq[m.Channel] - 1}
	}
	kept := append(p.kept[m.Channel], m.Normalized())
	p.kept[m.Channel] = kept[max(0, len(kept)-p.keep):]
	_, err := p.Broker.Publish(ctx, m)
	return broker.Receipt{Position: m.Position}, err
}

func (p *past) History(_ context.Context, channel string, q broker.Query) (broker.Page, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.looked <- struct{}{}:
	default:
	}
	kept := p.kept[channel]
	if q.After.IsZero() {
		for !q.Before.IsZero() && len(kept) > 0 && kept[len(kept)-1].Position.Compare(q.Before) >= 0 {
			kept = kept[:len(kept)-1]
		}
		from := max(0, len(kept)-q.Limit)
		return broker.Page{Messages: slices.Clone(kept[from:]), Complete: true, More: from > 0}, p.failure
	}
	page := broker.Page{Complete: q.After.Epoch == epoch && q.After.Seq <= p.seq[channel]}
	if page.Complete {
		i, _ := slices.BinarySearchFunc(kept, q.After, func(m broker.Message, at broker.Position) int {
			if m.Position.Seq <= at.Seq {
				return -1
			}
			return 1
		})
		kept = kept[i:]
		page.Complete = q.After.Seq == p.seq[channel] || len(kept) > 0 && kept[0].Follows(q.After)
	}
	if q.After.Compare(broker.Position{Epoch: epoch, Seq: p.seq[channel]}) > 0 {
		kept = nil // nothing is behind the future
	}
	page.More = len(kept) > q.Limit
	page.Messages = slices.Clone(kept[:min(len(kept), q.Limit)])
	return page, p.failure
}

func (p *past) Newest(_ context.Context, channels ...string) ([]broker.Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	newest := make([]broker.Position, len(channels))
	for i, c := range channels {
		if seq := p.seq[c]; seq > 0 {
			newest[i] = broker.Position{Epoch: epoch, Seq: seq}
		}
	}
	return newest, p.failure
}

func (p *past) Keep(context.Context, ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

// forget deletes the messages of a channel as time does: positions go on.
func (p *past) forget(channel string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[channel] = nil
}

// fail makes reading fail with err.
func (p *past) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = err
}

// Feed gives messages their positions: the memory broker knows of none.
func (p *past) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := p.Broker.Feed(ctx)
	return pastFeed{f, p}, err
}

type pastFeed struct {
	broker.Feed
	past *past
}

func (f pastFeed) Next() (broker.Message, error) {
	m, err := f.Feed.Next()
	f.past.mu.Lock()
	defer f.past.mu.Unlock()
	for _, kept := range f.past.kept[m.Channel] {
		if len(m.Data) > 0 && &kept.Data[0] == &m.Data[0] { // the very same
			m.Position, m.Prev = kept.Position, kept.Prev
		}
	}
	return m, err
}

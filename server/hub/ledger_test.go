package hub_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// A ledger is a broker with history whose feed loses what a test wants it to lose.
type ledger struct {
	mu    sync.Mutex
	epoch uint64
	seq   map[string]uint64 // how many messages of the epoch were numbered
	holes uint64            // numbers that are left out after each, and ahead of the first
	kept  map[string][]broker.Message
	feed  *broker.Queue
	down  error // what reading the history returns
}

func newLedger() *ledger {
	return &ledger{epoch: 100, seq: map[string]uint64{}, kept: map[string][]broker.Message{}, feed: broker.NewQueue()}
}

// say keeps a message, and has it heard unless it is lost.
func (l *ledger) say(channel, text string, heard bool) broker.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.number(broker.Message{Channel: channel, Data: []byte(text)})
	l.kept[channel] = append(l.kept[channel], m)
	if heard {
		l.feed.Push(m)
	}
	return m.Position
}

// number gives m its place. The caller holds the lock.
func (l *ledger) number(m broker.Message) broker.Message {
	n := l.seq[m.Channel]
	l.seq[m.Channel]++
	m.Position = l.position(n)
	if n > 0 {
		m.Prev = l.position(n - 1)
	}
	return m
}

// position returns that of message n, from 0.
func (l *ledger) position(n uint64) broker.Position {
	return broker.Position{Epoch: l.epoch, Seq: l.holes + n*(l.holes+1)}
}

// next returns the position of the next message.
func (l *ledger) next(channel string) broker.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.position(l.seq[channel])
}

// skip uses up a position without a message.
func (l *ledger) skip(channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq[channel]++
}

// forget drops all but the newest n messages.
func (l *ledger) forget(channel string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[channel] = slices.Clone(l.kept[channel][len(l.kept[channel])-n:])
}

// renew begins a new epoch with an empty history.
func (l *ledger) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	clear(l.seq)
	clear(l.kept)
}

// begin begins a new epoch behind what is kept.
func (l *ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	clear(l.seq)
}

// loseEnd drops the newest message of a channel and begins a new epoch behind the rest.
func (l *ledger) loseEnd(channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[channel] = slices.Clone(l.kept[channel][:len(l.kept[channel])-1])
	l.epoch++
	clear(l.seq)
}

// revert drops all but the oldest n messages of a channel, and goes on in its epoch: as the
// history looks of a new master while the feed still brings what the old one accepts.
func (l *ledger) revert(channel string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[channel] = slices.Clone(l.kept[channel][:n])
}

func (l *ledger) fail(err error) { l.mu.Lock(); defer l.mu.Unlock(); l.down = err }

// Publish is for the hub's heartbeat.
func (l *ledger) Publish(_ context.Context, m broker.Message) (broker.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m = l.number(m)
	l.feed.Push(m)
	return broker.Receipt{Position: m.Position}, nil
}

func (l *ledger) Feed(context.Context) (broker.Feed, error) { return ledgerFeed{l.feed}, nil }
func (l *ledger) Close() error                              { return nil }

type ledgerFeed struct{ *broker.Queue }

func (ledgerFeed) Subscribe(context.Context, ...string) error   { return nil }
func (ledgerFeed) Unsubscribe(context.Context, ...string) error { return nil }
func (f ledgerFeed) Close() error                               { f.Queue.Close(broker.ErrClosed); return nil }

func (l *ledger) Retention() broker.Retention {
	return broker.Retention{MaxMessages: 1000, MaxAge: time.Hour}
}

func (l *ledger) Newest(_ context.Context, channels ...string) ([]broker.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest := make([]broker.Position, len(channels))
	for i, c := range channels {
		if kept := l.kept[c]; len(kept) > 0 {
			newest[i] = kept[len(kept)-1].Position
		}
	}
	return newest, l.down
}

func (l *ledger) Keep(context.Context, ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

func (l *ledger) History(_ context.Context, channel string, q broker.Query) (broker.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return broker.Page{}, l.down
	}
	kept := l.kept[channel]
	if q.After.IsZero() {
		for !q.Before.IsZero() && len(kept) > 0 && kept[len(kept)-1].Position.Compare(q.Before) >= 0 {
			kept = kept[:len(kept)-1]
		}
		from := max(0, len(kept)-q.Limit)
		return broker.Page{Messages: slices.Clone(kept[from:]), Complete: true, More: from > 0}, nil
	}
	var p broker.Page
	from := 0
	for i, m := range kept {
		if m.Position == q.After || i == 0 && m.Follows(q.After) {
			p.Complete = true
		}
		if m.Position.Compare(q.After) <= 0 {
			from = i + 1
		}
	}
	rest := kept[from:]
	p.More = len(rest) > q.Limit
	p.Messages = slices.Clone(rest[:min(len(rest), q.Limit)])
	return p, nil
}

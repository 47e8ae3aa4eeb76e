package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pregon/pregon/broker"
)

// An archive is one stream of the messages of all channels, as many systems have it: its
// numbers have holes where one channel alone is read, and Prev tells these from losses.
type archive struct {
	keep   broker.Retention
	epoch  uint64           // the newest one
	number uint64           // of the newest message
	pasts  map[string]*past // by channel
}

// A past is what is known of one channel. It is forgotten by Clear only, and so is its
// newest position: with that an epoch would end.
type past struct {
	epoch  uint64
	newest broker.Position
	kept   []record // oldest first
}

type record struct {
	message broker.Message // with its Key
	at      time.Time
}

func newArchive(keep broker.Retention) *archive {
	return &archive{keep: keep, epoch: uint64(time.Now().UnixMicro()), pasts: map[string]*past{}}
}

// add keeps m and returns it with its place, or the place of the one that was published
// with its key.
func (a *archive) add(m broker.Message) (kept broker.Message, repeated bool) {
	p := a.past(m.Channel)
	if p == nil {
		a.epoch++
		p = &past{epoch: a.epoch}
		a.pasts[m.Channel] = p
	}
	for _, r := range p.kept {
		if m.Key != "" && r.message.Key == m.Key {
			return r.message, true
		}
	}
	a.number++
	m.Position, m.Prev = broker.Position{Epoch: p.epoch, Seq: a.number}, p.newest
	p.newest = m.Position
	p.kept = append(p.kept, record{m, time.Now()})
	p.kept = p.kept[max(0, len(p.kept)-a.keep.MaxMessages):]
	m.Key = ""
	return m, false
}

// past returns what is known of a channel, without what has expired.
func (a *archive) past(channel string) *past {
	p := a.pasts[channel]
	for p != nil && len(p.kept) > 0 && time.Since(p.kept[0].at) > a.keep.MaxAge {
		p.kept = p.kept[1:]
	}
	return p
}

// page returns what q asks for.
func (p *past) page(q broker.Query) (page broker.Page) {
	if p == nil {
		return broker.Page{Complete: q.After.IsZero()}
	}
	limit := max(q.Limit, 1)
	if q.After.IsZero() {
		end := len(p.kept)
		for end > 0 && !q.Before.IsZero() && p.kept[end-1].message.Position.Compare(q.Before) >= 0 {
			end--
		}
		from := max(0, end-limit)
		return broker.Page{Messages: messages(p.kept[from:end]), Complete: true, More: from > 0}
	}
	from := 0
	page.Complete = q.After == p.newest || len(p.kept) > 0 && p.kept[0].message.Prev == q.After
	for from < len(p.kept) && p.kept[from].message.Position.Compare(q.After) <= 0 {
		page.Complete = page.Complete || p.kept[from].message.Position == q.After
		from++
	}
	end := min(len(p.kept), from+limit)
	page.Messages, page.More = messages(p.kept[from:end]), end < len(p.kept)
	return page
}

func messages(kept []record) []broker.Message {
	all := make([]broker.Message, len(kept))
	for i, r := range kept {
		all[i] = r.message
		all[i].Key = ""
	}
	return all
}

// Retention implements broker.Historian.
func (n *Node) Retention() broker.Retention {
	if n.backend.archive == nil {
		return broker.Retention{}
	}
	return n.backend.archive.keep
}

// History implements broker.Historian.
func (n *Node) History(ctx context.Context, channel string, q broker.Query) (page broker.Page, err error) {
	err = n.read(ctx, []string{channel}, func(a *archive) { page = a.past(channel).page(q) })
	return page, err
}

// Newest implements broker.Historian.
func (n *Node) Newest(ctx context.Context, channels ...string) (newest []broker.Position, err error) {
	err = n.read(ctx, channels, func(a *archive) {
		newest = make([]broker.Position, len(channels))
		for i, c := range channels {
			if p := a.past(c); p != nil {
				newest[i] = p.newest
			}
		}
	})
	return newest, err
}

// Keep implements broker.Historian. No channel expires as a whole.
func (n *Node) Keep(ctx context.Context, channels ...string) error {
	return n.read(ctx, channels, func(*archive) {})
}

// Clear implements broker.Clearer.
func (n *Node) Clear(ctx context.Context, channel string) error {
	return n.read(ctx, []string{channel}, func(a *archive) {
		if a.pasts[channel] == nil {
			return
		}
		delete(a.pasts, channel)
		for f := range n.backend.feeds {
			if f.channels[channel] {
				f.queue.Gap(broker.Cleared, channel)
			}
		}
	})
}

// read has do read the archive.
func (n *Node) read(ctx context.Context, channels []string, do func(*archive)) error {
	n.backend.mu.Lock()
	defer n.backend.mu.Unlock()
	err := check(ctx, n.closed, channels...)
	switch {
	case err == nil && n.backend.archive == nil:
		err = fmt.Errorf("none is kept: %w", errors.ErrUnsupported)
	case err == nil:
		do(n.backend.archive)
		return nil
	}
	return fmt.Errorf("loop: history: %w", err)
}

var _ interface {
	broker.Historian
	broker.Clearer
} = (*Node)(nil)

package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// historyFaults are the ways to break a correct history, as faults are of a node.
var historyFaults = []struct {
	name    string
	cases   []string
	corrupt func(*brokenHistory)
}{
	{"skips-one", []string{"HistoryOrder", "HistoryResume"}, onPage(func(_ broker.Query, p *broker.Page) {
		if len(p.Messages) > 2 {
			p.Messages = slices.Delete(p.Messages, 1, 2)
		}
	})},
	{"follows-nothing", []string{"HistoryOrder"}, onPage(func(_ broker.Query, p *broker.Page) {
		for i := range p.Messages {
			p.Messages[i].Prev = broker.Position{}
		}
	})},
	{"claims-dense", []string{"HistoryOrder", "HistoryResume"}, claimsDense},
	{"hears-follow-nothing", []string{"HistoryOrder"}, func(b *brokenHistory) {
		b.Broker = onMessage(func(m *broker.Message) { m.Prev = broker.Position{} })(b.Broker)
	}},
	{"never-knows-what-it-follows", []string{"HistoryOrder"}, onPage(func(_ broker.Query, p *broker.Page) {
		for i := range p.Messages {
			p.Messages[i].Prev = broker.PrevUnknown
		}
	})},
	{"pages-do-not-chain", []string{"HistoryOrder"}, onPage(func(q broker.Query, p *broker.Page) {
		if len(p.Messages) > 0 && !q.After.IsZero() {
			p.Messages[0].Prev = broker.PrevUnknown
		}
	})},
	{"backwards", []string{"HistoryOrder", "HistoryNewest"}, onPage(func(_ broker.Query, p *broker.Page) { slices.Reverse(p.Messages) })},
	{"begins-with-after", []string{"HistoryResume"}, func(b *brokenHistory) {
		b.query = func(q *broker.Query) { q.After.Seq = max(q.After.Seq, 1) - 1 }
	}},
	{"always-complete", []string{"HistoryWindow", "HistoryUnknown"}, onPage(func(_ broker.Query, p *broker.Page) { p.Complete = true })},
	{"never-more", []string{"HistoryResume", "HistoryUnknown"}, onPage(func(_ broker.Query, p *broker.Page) { p.More = false })},
	{"never-older", []string{"HistoryBackwards"}, onPage(func(q broker.Query, p *broker.Page) { p.More = p.More && !q.After.IsZero() })},
	{"ignores-before", []string{"HistoryBackwards"}, func(b *brokenHistory) {
		b.query = func(q *broker.Query) { q.Before = broker.Position{} }
	}},
	{"ignores-limits", []string{"HistoryResume"}, func(b *brokenHistory) { b.query = func(q *broker.Query) { q.Limit += 100 } }},
	{"goes-back", []string{"HistoryUnknown"}, func(b *brokenHistory) {
		b.query = func(q *broker.Query) {
			if q.After.Seq > 100 {
				q.After = broker.Position{Epoch: 1}
			}
		}
	}},
	{"loses-kind", []string{"HistoryPayloads"}, onPage(func(_ broker.Query, p *broker.Page) {
		for i := range p.Messages {
			p.Messages[i].Binary = false
		}
	})},
	{"ignores-keys", []string{"HistoryKeys"}, func(b *brokenHistory) {
		b.publish = func(m *broker.Message) { m.Key = "" }
	}},
	{"keys-of-all-channels", []string{"HistoryKeys"}, func(b *brokenHistory) {
		b.publish = func(m *broker.Message) {
			if m.Channel == "d" {
				m.Channel = "c"
			}
		}
	}},
	{"keys-for-100ms", []string{"HistoryKeysLast"}, func(b *brokenHistory) {
		b.publish = func(m *broker.Message) {
			if m.Key != "" {
				first, _ := keysSeen.LoadOrStore(m.Channel+m.Key, time.Now())
				m.Key += fmt.Sprint(int64(time.Since(first.(time.Time)) / (100 * time.Millisecond)))
			}
		}
	}},
	{"newest-prolongs-nothing", []string{"HistoryProlonged"}, func(b *brokenHistory) {
		b.instead = func(channels ...string) []broker.Position { return make([]broker.Position, len(channels)) }
	}},
	{"clears-nothing", []string{"HistoryClear"}, func(b *brokenHistory) {
		b.clear = func(context.Context, string) error { return nil }
	}},
	{"clears-by-hiding", []string{"HistoryClear"}, func(b *brokenHistory) {
		b.clear = func(_ context.Context, channel string) error {
			cleared.Store(channel, true)
			return nil
		}
		b.page = func(q broker.Query, p *broker.Page) {
			if _, hidden := cleared.Load(b.asked); hidden {
				p.Messages = nil
			}
		}
	}},
	{"clears-again-is-error", []string{"HistoryClear"}, func(b *brokenHistory) {
		b.clear = func(ctx context.Context, channel string) error {
			if page, err := b.kept.History(ctx, channel, broker.Query{Limit: 1}); err != nil || len(page.Messages) == 0 {
				return errors.New("there is nothing to clear")
			}
			return b.Broker.(broker.Clearer).Clear(ctx, channel)
		}
	}},
	{"clears-all-channels", []string{"HistoryClear"}, func(b *brokenHistory) {
		b.clear = func(ctx context.Context, channel string) error {
			return errors.Join(b.Broker.(broker.Clearer).Clear(ctx, channel), b.Broker.(broker.Clearer).Clear(ctx, "kept"))
		}
	}},
	{"newest-of-one", []string{"HistoryNewest"}, func(b *brokenHistory) {
		b.newest = func(p []broker.Position) { clear(p[1:]) }
	}},
}

// keysSeen are the keys of the fault keys-for-100ms, with the time of their first use.
var keysSeen sync.Map

// cleared are the channels that the fault clears-by-hiding was asked to clear.
var cleared sync.Map

// A brokenHistory is the embedded one but for the functions that are set.
type brokenHistory struct {
	broker.Broker
	kept    broker.Historian
	query   func(*broker.Query)
	page    func(broker.Query, *broker.Page)
	publish func(*broker.Message)
	newest  func([]broker.Position)
	instead func(channels ...string) []broker.Position // of Newest
	clear   func(ctx context.Context, channel string) error
	asked   string // the channel that was read last
}

func breakHistory(b broker.Broker, corrupt func(*brokenHistory)) broker.Broker {
	h, _ := broker.HistoryOf(b)
	broken := &brokenHistory{Broker: b, kept: h}
	corrupt(broken)
	return broken
}

func onPage(change func(broker.Query, *broker.Page)) func(*brokenHistory) {
	return func(b *brokenHistory) { b.page = change }
}

func (b *brokenHistory) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if b.publish != nil {
		b.publish(&m)
	}
	return b.Broker.Publish(ctx, m)
}

func (b *brokenHistory) Retention() broker.Retention { return b.kept.Retention() }

func (b *brokenHistory) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	b.asked = channel
	if b.query != nil {
		b.query(&q)
	}
	page, err := b.kept.History(ctx, channel, q)
	if b.page != nil {
		b.page(q, &page)
	}
	return page, err
}

func (b *brokenHistory) Newest(ctx context.Context, channels ...string) ([]broker.Position, error) {
	if b.instead != nil {
		return b.instead(channels...), nil
	}
	newest, err := b.kept.Newest(ctx, channels...)
	if b.newest != nil {
		b.newest(newest)
	}
	return newest, err
}

func (b *brokenHistory) Clear(ctx context.Context, channel string) error {
	if b.clear != nil {
		return b.clear(ctx, channel)
	}
	return b.Broker.(broker.Clearer).Clear(ctx, channel)
}

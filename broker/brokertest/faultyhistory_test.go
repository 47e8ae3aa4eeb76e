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
	{"skips-one", []string{"HistoryOrder", "HistoryResume", "HistoryFill"}, onPage(func(_ broker.Query, p *broker.Page) {
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
	{"always-complete", []string{"HistoryWindow", "HistoryUnknown", "HistoryRetained"}, onPage(func(_ broker.Query, p *broker.Page) { p.Complete = true })},
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
	{"keeps-no-authors", []string{"HistoryAuthors"}, onPage(func(_ broker.Query, p *broker.Page) {
		for i := range p.Messages {
			p.Messages[i].By = nil
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
	{"keep-prolongs-nothing", []string{"HistoryProlonged", "HistoryCalls"}, func(b *brokenHistory) {
		b.keep = func(context.Context, ...string) error { return nil }
	}},
	{"gaps-for-good", []string{"HistoryFill"}, func(b *brokenHistory) {
		b.Broker = onFeed(func(f *brokenFeed) {
			f.next = func() (broker.Message, error) {
				m, err := f.Feed.Next()
				if gap, ok := err.(*broker.GapError); ok {
					gap.Unfillable = true
				}
				return m, err
			}
		})(b.Broker)
	}},
	{"short-keys", []string{"HistoryKeys"}, func(b *brokenHistory) {
		b.publish = func(m *broker.Message) {
			if len(m.Key) == broker.MaxKey {
				m.Key += "!"
			}
		}
	}},
	{"probes-are-kept", []string{"HistoryProbe"}, func(b *brokenHistory) {
		b.probe = b.inner.Publish
	}},
	{"probes-are-not-heard", []string{"HistoryProbe"}, func(b *brokenHistory) {
		b.probe = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			m.Channel = "elsewhere"
			return b.inner.(broker.Prober).Probe(ctx, m)
		}
	}},
	{"probes-have-epochs", []string{"HistoryProbe"}, func(b *brokenHistory) {
		b.probe = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			r, err := b.inner.(broker.Prober).Probe(ctx, m)
			r.Position.Epoch = uint64(len(m.Data)) + uint64(time.Now().UnixNano())
			return r, err
		}
	}},
	{"marks-nothing", []string{"HistoryMarks"}, func(b *brokenHistory) {
		b.mark = func(context.Context, ...string) error { return nil }
	}},
	{"marks-follow", []string{"HistoryMarks"}, func(b *brokenHistory) { // each new message
		b.marks = func(ctx context.Context, channels ...string) ([]broker.Position, error) {
			at, err := b.inner.(broker.Marker).Marks(ctx, channels...)
			newest, _ := b.kept.Newest(ctx, channels...)
			for i, p := range at {
				if !p.IsZero() {
					at[i] = newest[i]
				}
			}
			return at, err
		}
	}},
	{"marks-once", []string{"HistoryMarks"}, func(b *brokenHistory) {
		b.mark = func(ctx context.Context, channels ...string) error {
			for _, c := range channels {
				if !markedOnce.has(c) {
					markedOnce.put(c)
					_ = b.inner.(broker.Marker).Mark(ctx, c)
				}
			}
			return nil
		}
	}},
	{"retains-nothing", []string{"HistoryRetained", "HistoryOutlasts"}, func(b *brokenHistory) {
		b.retain = func(broker.Retention, func(string) broker.Retention) {}
	}},
	{"retains-once", []string{"HistoryRetained"}, func(b *brokenHistory) {
		var once sync.Once
		b.retain = func(longest broker.Retention, of func(string) broker.Retention) {
			once.Do(func() { b.inner.(broker.Retainer).Retain(longest, of) })
		}
	}},
	{"retains-of-all-channels", []string{"HistoryRetained"}, func(b *brokenHistory) {
		b.retain = func(longest broker.Retention, of func(string) broker.Retention) {
			b.inner.(broker.Retainer).Retain(longest, func(string) broker.Retention { return of("c") })
		}
	}},
	{"retaining-clears", []string{"HistoryRetained"}, func(b *brokenHistory) {
		b.retain = func(longest broker.Retention, of func(string) broker.Retention) {
			b.inner.(broker.Retainer).Retain(longest, of)
			_ = b.Clear(context.Background(), "c")
		}
	}},
	{"retains-messages-only", []string{"HistoryOutlasts"}, func(b *brokenHistory) {
		b.retain = func(longest broker.Retention, of func(string) broker.Retention) {
			b.inner.(broker.Retainer).Retain(longest, func(channel string) broker.Retention {
				return broker.Retention{MaxMessages: of(channel).MaxMessages}
			})
		}
	}},
	{"keeps-late", []string{"HistoryFirst"}, keepsLate},
	{"keeps-keys", []string{"HistoryFirst"}, onPage(func(_ broker.Query, p *broker.Page) {
		for i := range p.Messages {
			p.Messages[i].Key = "key"
		}
	})},
	{"one-epoch", []string{"HistoryForgotten", "HistoryAges", "HistoryClear"}, oneEpoch},
	{"remembers-what-is-lost", []string{"HistoryForgotten"}, func(b *brokenHistory) {
		seen := map[string]broker.Position{}
		b.instead = func(channels ...string) []broker.Position {
			newest, _ := b.kept.Newest(context.Background(), channels...)
			for i, c := range channels {
				if newest[i].IsZero() {
					newest[i] = seen[c]
				}
				seen[c] = newest[i]
			}
			return newest
		}
		b.published = func(channel string, r broker.Receipt) { seen[channel] = r.Position }
	}},
	{"complete-where-empty", []string{"HistoryForgotten", "HistoryAges", "HistoryUnknown"}, onPage(func(_ broker.Query, p *broker.Page) {
		p.Complete = p.Complete || len(p.Messages) == 0
	})},
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

// markedOnce are the channels that the fault marks-once has marked.
var markedOnce names

// cleared are the channels that the fault clears-by-hiding was asked to clear.
var cleared sync.Map

// A brokenHistory is the embedded one but for the functions that are set.
type brokenHistory struct {
	broker.Broker
	inner   broker.Broker // that was broken, whatever Broker is since
	kept    broker.Historian
	query   func(*broker.Query)
	page    func(broker.Query, *broker.Page)
	publish func(*broker.Message)

	published func(channel string, r broker.Receipt)
	newest    func([]broker.Position)
	instead   func(channels ...string) []broker.Position // of Newest
	keep      func(ctx context.Context, channels ...string) error
	mark      func(ctx context.Context, channels ...string) error
	probe     func(context.Context, broker.Message) (broker.Receipt, error)
	marks     func(ctx context.Context, channels ...string) ([]broker.Position, error)
	clear     func(ctx context.Context, channel string) error
	retain    func(longest broker.Retention, of func(string) broker.Retention)
	asked     string // the channel that was read last
}

func breakHistory(b broker.Broker, corrupt func(*brokenHistory)) broker.Broker {
	h, _ := broker.HistoryOf(b)
	broken := &brokenHistory{Broker: b, inner: b, kept: h}
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
	r, err := b.Broker.Publish(ctx, m)
	if b.published != nil {
		b.published(m.Channel, r)
	}
	return r, err
}

func (b *brokenHistory) Probe(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if b.probe != nil {
		return b.probe(ctx, m)
	}
	return b.inner.(broker.Prober).Probe(ctx, m)
}

func (b *brokenHistory) Retain(longest broker.Retention, of func(string) broker.Retention) {
	if b.retain != nil {
		b.retain(longest, of)
		return
	}
	b.inner.(broker.Retainer).Retain(longest, of)
}

func (b *brokenHistory) Mark(ctx context.Context, channels ...string) error {
	if b.mark != nil {
		return b.mark(ctx, channels...)
	}
	return b.inner.(broker.Marker).Mark(ctx, channels...)
}

func (b *brokenHistory) Marks(ctx context.Context, channels ...string) ([]broker.Position, error) {
	if b.marks != nil {
		return b.marks(ctx, channels...)
	}
	return b.inner.(broker.Marker).Marks(ctx, channels...)
}

func (b *brokenHistory) Unwrap() broker.Broker { return b.inner }

func (b *brokenHistory) Keep(ctx context.Context, channels ...string) error {
	if b.keep != nil {
		return b.keep(ctx, channels...)
	}
	return b.kept.Keep(ctx, channels...)
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

// keptAt is when messages were published, for the fault keeps-late.
var keptAt sync.Map

// keepsLate has what was published in the history 20 ms later only.
func keepsLate(b *brokenHistory) {
	b.publish = func(m *broker.Message) { keptAt.Store(string(m.Data), time.Now()) }
	b.page = func(_ broker.Query, p *broker.Page) {
		p.Messages = slices.DeleteFunc(p.Messages, func(m broker.Message) bool {
			at, _ := keptAt.Load(string(m.Data))
			return time.Since(at.(time.Time)) < 20*time.Millisecond
		})
	}
}

// oneEpoch begins no new epoch, whatever is lost.
func oneEpoch(b *brokenHistory) {
	const epoch = 7
	flat := &flatEpochs{b.Broker, b.kept, epoch}
	b.Broker, b.kept = flat, flat
}

type flatEpochs struct {
	broker.Broker
	kept  broker.Historian
	epoch uint64
}

func (f *flatEpochs) flat(p broker.Position) broker.Position {
	if !p.IsZero() {
		p.Epoch = f.epoch
	}
	return p
}

func (f *flatEpochs) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	r, err := f.Broker.Publish(ctx, m)
	r.Position = f.flat(r.Position)
	return r, err
}

func (f *flatEpochs) Retention() broker.Retention { return f.kept.Retention() }

func (f *flatEpochs) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	if newest, err := f.kept.Newest(ctx, channel); err == nil && q.After.Epoch == f.epoch {
		q.After.Epoch = newest[0].Epoch
	}
	page, err := f.kept.History(ctx, channel, q)
	for i, m := range page.Messages {
		page.Messages[i].Position, page.Messages[i].Prev = f.flat(m.Position), f.flat(m.Prev)
	}
	return page, err
}

func (f *flatEpochs) Newest(ctx context.Context, channels ...string) ([]broker.Position, error) {
	newest, err := f.kept.Newest(ctx, channels...)
	for i, p := range newest {
		newest[i] = f.flat(p)
	}
	return newest, err
}

func (f *flatEpochs) Keep(ctx context.Context, channels ...string) error {
	return f.kept.Keep(ctx, channels...)
}

func (f *flatEpochs) Clear(ctx context.Context, channel string) error {
	return f.Broker.(broker.Clearer).Clear(ctx, channel)
}

package redis

import (
	"time"

	"github.com/pregon/pregon/broker"
)

// A witness is a message that Redis is known to have kept, and then whatever was
// kept before it. The newest ones are enough: where anything is lost at the end,
// they are missing. The zero witness is none.
type witness struct {
	stream   string
	position broker.Position
	fields   []byte
	seen     time.Time
}

// present are the witnesses of what this node has published and heard, except
// those that may have expired.
func (k *keeper) present() []witness {
	var present []witness
	for _, w := range append(k.heard(), k.accepted) {
		if !w.position.IsZero() && time.Since(w.seen) < k.opts.History.Age {
			present = append(present, w)
		}
	}
	return present
}

// heard are the witnesses of what the Feeds have heard.
func (b *Broker) heard() []witness {
	b.mu.Lock()
	defer b.mu.Unlock()
	heard := make([]witness, 0, len(b.feeds)+1)
	for f := range b.feeds {
		heard = append(heard, f.witness())
	}
	return heard
}

// witness is that of what f has heard last.
func (f *Feed) witness() witness {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.newest
	return witness{f.opts.streamKey(m.Channel), m.Position, broker.AppendFields(nil, m), f.newestAt}
}

// hear notes what is heard.
func (f *Feed) hear(m broker.Message) {
	if m.Position.IsZero() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newest, f.newestAt = m, time.Now()
}

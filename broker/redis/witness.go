package redis

import (
	"slices"
	"strings"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/script"
	"github.com/pregon/pregon/broker/redis/internal/seal"
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

// present are the witnesses of what this node has published and heard.
func (k *keeper) present() []witness {
	all := k.heard()
	if accepted := k.accepted.Load(); accepted != nil {
		all = append(all, *accepted)
	}
	return slices.DeleteFunc(all, func(w witness) bool { return w.position.IsZero() })
}

// words are the witness's among the arguments of script.Record. What is older than Age
// may have expired.
func (w witness) words(age time.Duration) []any {
	return []any{w.position.Epoch, w.position.Seq, w.fields, w.seen.UnixMicro(), bit(time.Since(w.seen) >= age)}
}

// testifies reports whether the messages of a channel may be witnesses: they are not
// those to themselves that nodes publish all the time, of which it harms nobody to
// lose one.
func testifies(channel string) bool { return !strings.HasPrefix(channel, broker.ReservedPrefix) }

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
	return f.newest
}

// hear notes what is heard. The caller holds the lock.
func (f *Feed) hear(channel string, s seal.Sealed) {
	f.keeper.note(s.Position)
	if testifies(channel) {
		f.newest = witness{script.StreamKey(f.opts.Prefix, channel), s.Position, s.Fields, time.Now()}
	}
}

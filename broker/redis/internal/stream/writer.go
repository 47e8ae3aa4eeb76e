package stream

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/pipeline"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/script"
	"github.com/pregon/pregon/broker/redis/internal/seal"
)

const (
	// maxLives is how many lives a publication meets at most. More than one is
	// that Redis was started again just now.
	maxLives = 3

	// maxKnown is how many channels a Writer remembers.
	maxKnown = 1 << 14
)

// A Writer is the history writer: it publishes messages so that Redis keeps them.
type Writer struct {
	server *Server
	out    *pipeline.Transmitter

	life   *life                   // nil until it is needed
	policy *broker.RetentionPolicy // the Server's, when something was sent last
	known  map[string]known        // by channel
}

// known is what a Writer remembers of a channel and its stream. It is forgotten with the
// life: on another server the same epoch may have been numbered differently. And it is
// forgotten with the policy: then each stream is told anew when to expire.
type known struct {
	keep    broker.Retention
	epoch   uint64
	expires time.Time // when it was last said that it does
}

// NewWriter returns a Writer to s. There is one for each Server.
func NewWriter(s *Server, out *pipeline.Transmitter) *Writer {
	return &Writer{server: s, out: out, known: map[string]known{}}
}

// Send gives the messages their outcomes; it is for [pipeline.Options], which calls it
// once at a time. Those to which Redis says that it does not know the script were not
// executed: they are sent again, to a server that was started again. Nothing else is ever
// repeated.
func (w *Writer) Send(ctx context.Context, messages []*pipeline.Message) {
	for range maxLives {
		if err := w.renew(ctx); err != nil {
			pipeline.Fail(messages, w.out.Unsent(reply.Outcome(err, false)))
			return
		}
		now := time.Now()
		w.prepare(messages, now)
		w.out.Transmit(ctx, messages)
		w.learn(ctx, messages, now)
		again := pipeline.Unexecuted(messages)
		if len(again) > 0 || slices.ContainsFunc(messages, (*pipeline.Message).MayBeElsewhere) {
			w.life = nil
		}
		if messages = again; len(messages) == 0 {
			return
		}
	}
}

// renew has the Writer know the life and the policy that count now, and asks the server where
// it may be another or its record is to say something else.
func (w *Writer) renew(ctx context.Context) error {
	if policy := w.server.policy.Load(); policy != w.policy {
		w.policy = policy
		clear(w.known)
	}
	if w.life != nil && w.life.dials == w.server.opts.Dials() && w.life.longest == w.policy.Longest() {
		return nil
	}
	l, err := w.server.acquire(ctx)
	if err != nil {
		return err
	}
	w.life = l
	clear(w.known)
	return nil
}

// channel returns what is known of a channel.
func (w *Writer) channel(name string) known {
	k, ok := w.known[name]
	if !ok {
		k.keep = w.policy.Of(name)
		w.remember(name, k)
	}
	return k
}

func (w *Writer) remember(channel string, k known) {
	if _, there := w.known[channel]; !there && len(w.known) >= maxKnown {
		clear(w.known)
	}
	w.known[channel] = k
}

// prepare makes the commands of messages, for the present life. Whether the
// stream is to be told when to expire is decided a few times within its life: it is a
// command of its own, because the script must write one thing only.
func (w *Writer) prepare(messages []*pipeline.Message, now time.Time) {
	told := map[string]bool{}
	for _, m := range messages {
		m.Err, m.Before, m.Expire = nil, nil, nil
		m.Fields = broker.AppendFields(nil, m.Message)
		kept := keptWith(m)
		k := w.channel(kept)
		life := w.policy.Life(k.keep)
		m.Main = m.Command(w.script(m, k, now)...)
		if m.Key != "" {
			marker := script.MarkerKey(w.server.opts.Prefix, m.Channel, m.Key)
			m.Before = []*pipeline.Command{
				m.Command("set", marker, "0", "px", lifetime(life), "nx"),
				m.Command("incr", marker),
				m.Command("pexpire", marker, lifetime(life)),
			}
		}
		if now.Sub(k.expires) >= life/10 && !told[kept] {
			told[kept] = true
			m.Expire = m.Command("pexpire", w.server.key(kept), lifetime(life))
		}
	}
}

// probes is the channel in whose stream all probes of all nodes are, the newest few.
const probes = broker.ReservedPrefix + "pregon.probe"

// keptWith returns the channel in whose stream m is to be.
func keptWith(m *pipeline.Message) string {
	if m.Probe {
		return probes
	}
	return m.Channel
}

// script returns the words of the command that publishes m to a channel of which k is known.
func (w *Writer) script(m *pipeline.Message, k known, now time.Time) []any {
	epoch, kept, most := w.life.epoch, keptWith(m), k.keep.MaxMessages
	if m.Probe {
		most = 1
	}
	if now.Sub(k.expires) < w.policy.Life(k.keep) { // not likely to be gone
		epoch = max(epoch, k.epoch)
	}
	words := append(make([]any, 0, 12), "evalsha", w.life.sha)
	if m.Key == "" {
		words = append(words, "2", w.server.key(kept), w.server.record)
	} else {
		words = append(words, "3", w.server.key(kept), w.server.record, script.MarkerKey(w.server.opts.Prefix, m.Channel, m.Key))
	}
	words = append(words, w.server.opts.Prefix+m.Channel, strconv.Itoa(most),
		strconv.FormatUint(epoch, 10), w.server.epochs.floor(), m.Fields)
	if m.Key != "" {
		words = append(words, m.Key)
	}
	return words
}

// learn takes the receipts, and what they say of the streams. A stream that began
// anew is told when to expire.
func (w *Writer) learn(ctx context.Context, messages []*pipeline.Message, now time.Time) {
	answered, fresh := time.Now(), map[string]uint64{}
	for _, m := range messages {
		if m.Err != nil {
			continue
		}
		if m.Receipt, m.Err = receipt(m.Main); m.Err != nil || m.Receipt.Repeated {
			continue
		}
		position := m.Receipt.Position
		w.server.Note(position)
		if seal.Testifies(m.Channel) {
			w.server.accepted.Store(&seal.Witness{Channel: m.Channel, Sealed: seal.Sealed{Position: position, Fields: m.Fields}, Seen: answered})
		}
		switch kept := keptWith(m); {
		case m.Expire != nil && m.Expire.Accepted():
			w.remember(kept, known{w.channel(kept).keep, position.Epoch, now})
			delete(fresh, kept)
		case w.channel(kept).epoch != position.Epoch:
			fresh[kept] = position.Epoch
		}
	}
	if len(fresh) > 0 {
		w.expire(ctx, fresh, now)
	}
}

// receipt is what the script returned.
func receipt(c *pipeline.Command) (broker.Receipt, error) {
	bad := fmt.Errorf("%w: %w", reply.ErrBadReply, broker.ErrUncertain)
	answer, ok := c.Cmder.(*goredis.Cmd)
	if !ok {
		return broker.Receipt{}, bad
	}
	words, err := answer.Slice()
	if err != nil || len(words) != 2 {
		return broker.Receipt{}, bad
	}
	text, _ := words[0].(string)
	repeated, ok := words[1].(int64)
	position, err := broker.ParsePosition(text)
	if err != nil || !ok {
		return broker.Receipt{}, bad
	}
	return broker.Receipt{Position: position, Repeated: repeated == 1}, nil
}

// expire says when streams expire, given by their channels with their epochs.
// What fails is said again with the next publication.
func (w *Writer) expire(ctx context.Context, fresh map[string]uint64, now time.Time) {
	var ignored error
	defer reply.Contain(&ignored)
	said := map[string]*goredis.Cmd{}
	pipe := w.server.opts.Client.Pipeline()
	for channel := range fresh {
		said[channel] = pipe.Do(ctx, "pexpire", w.server.key(channel), lifetime(w.policy.Life(w.channel(channel).keep)))
	}
	_, _ = pipe.Exec(ctx)
	for channel, epoch := range fresh {
		k := known{keep: w.channel(channel).keep}
		if n, err := said[channel].Int(); err == nil && n == 1 {
			k.epoch, k.expires = epoch, now
		}
		w.remember(channel, k)
	}
}

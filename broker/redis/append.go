package redis

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/script"
	"github.com/pregon/pregon/broker/redis/internal/seal"
)

const (
	// maxRuns is how many runs a publication meets at most. More than one is
	// that Redis was started again just now.
	maxRuns = 3

	// maxKnown is how many channels a keeper remembers.
	maxKnown = 1 << 14
)

// A keeper publishes messages so that Redis keeps them. Its methods are for send, of
// which there is one at a time, but for acquire and what reads only: links use them, too.
type keeper struct {
	opts     Options
	client   *goredis.Client
	record   string // its key
	transmit func(context.Context, []*publication)
	unsent   func(error) error // the outcome of what was not sent because of an error
	dials    func() int64      // how often a connection was made

	run   *run             // nil until it is needed
	known map[string]known // by channel

	accepted atomic.Pointer[witness] // of the newest publication
	heard    func() []witness
	seen     atomic.Uint64 // the highest epoch that this node has seen
	base     atomic.Uint64 // the epoch of the newest run
	secrets  seal.Secrets
	embedded atomic.Bool // the server is that of package miniredis
	function string      // see teach

	taught atomic.Pointer[string] // the record of the run that was taught last
}

// known is what a keeper remembers of a channel's stream. It is forgotten with the
// run: on another server the same epoch may have been numbered differently.
type known struct {
	epoch   uint64
	expires time.Time // when it was last said that it does
}

func newKeeper(b *Broker) *keeper {
	return &keeper{
		opts: b.opts, client: b.client, record: script.RecordKey(b.opts.Prefix),
		transmit: b.transmit, unsent: b.unsent, dials: b.dials.Load, heard: b.heard,
		known: map[string]known{}, secrets: seal.Secrets{Changed: b.doubt}, function: b.PublishFunction(),
	}
}

// send gives the publications their outcomes. Those to which Redis says that it
// does not know the script were not executed: they are sent again, to a server
// that was started again. Nothing else is ever repeated.
func (k *keeper) send(ctx context.Context, publications []*publication) {
	for range maxRuns {
		if k.run == nil || k.run.dials != k.dials() {
			r, err := k.acquire(ctx)
			if err != nil {
				fail(publications, k.unsent(reply.Outcome(err, false)))
				return
			}
			k.run = r
			clear(k.known)
		}
		now := time.Now()
		k.prepare(publications, now)
		k.transmit(ctx, publications)
		k.learn(ctx, publications, now)
		again := unexecuted(publications)
		if len(again) > 0 || slices.ContainsFunc(publications, (*publication).strayed) {
			k.run = nil
		}
		if publications = again; len(publications) == 0 {
			return
		}
	}
}

func fail(publications []*publication, err error) {
	for _, p := range publications {
		p.err = err
	}
}

// unexecuted returns those to which Redis said that it does not know the script.
// Where another node has taught it meanwhile, what comes later in the same job to
// the same channel may have been published: then its turn is over.
func unexecuted(publications []*publication) (again []*publication) {
	if !slices.ContainsFunc(publications, (*publication).noScript) {
		return nil
	}
	type place struct {
		job     *job
		channel string
	}
	later := map[place]bool{}
	for _, p := range slices.Backward(publications) {
		here := place{p.job, p.message.Channel}
		if p.err == nil {
			later[here] = true
		} else if p.noScript() && !later[here] {
			again = append(again, p)
		}
	}
	slices.Reverse(again)
	return again
}

// prepare makes the commands of publications, for the current run. Whether the
// stream is to be told when to expire is decided a few times within Age: it is a
// command of its own, because the script must write one thing only.
func (k *keeper) prepare(publications []*publication, now time.Time) {
	told := map[string]bool{}
	for _, p := range publications {
		m := p.message
		p.err, p.before, p.expire = nil, nil, nil
		p.fields = broker.AppendFields(nil, m)
		p.main = p.call(k.script(p, now)...)
		if m.Key != "" {
			marker, age := script.MarkerKey(k.opts.Prefix, m.Channel, m.Key), k.lifetime()
			p.before = []*call{
				p.call("set", marker, "0", "px", age, "nx"),
				p.call("incr", marker),
				p.call("pexpire", marker, age),
			}
		}
		if now.Sub(k.known[m.Channel].expires) >= k.opts.History.Age/10 && !told[m.Channel] {
			told[m.Channel] = true
			p.expire = p.call("pexpire", script.StreamKey(k.opts.Prefix, m.Channel), k.lifetime())
		}
	}
}

// script returns the words of the command that publishes p.
func (k *keeper) script(p *publication, now time.Time) []any {
	m, epoch := p.message, k.run.epoch
	if s := k.known[m.Channel]; now.Sub(s.expires) < k.opts.History.Age { // not likely to be gone
		epoch = max(epoch, s.epoch)
	}
	words := append(make([]any, 0, 12), "evalsha", k.run.sha)
	if m.Key == "" {
		words = append(words, "2", script.StreamKey(k.opts.Prefix, m.Channel), k.record)
	} else {
		words = append(words, "3", script.StreamKey(k.opts.Prefix, m.Channel), k.record, script.MarkerKey(k.opts.Prefix, m.Channel, m.Key))
	}
	words = append(words, k.opts.Prefix+m.Channel, strconv.Itoa(k.opts.History.Messages),
		strconv.FormatUint(epoch, 10), k.floor(), p.fields)
	if m.Key != "" {
		words = append(words, m.Key)
	}
	return words
}

// lifetime returns how long keys of a history live after they were last used, in
// milliseconds: no message goes before Age, however seldom that is said.
func (k *keeper) lifetime() string {
	return strconv.FormatInt((2 * k.opts.History.Age).Milliseconds(), 10)
}

// learn takes the receipts, and what they say of the streams. A stream that began
// anew is told when to expire.
func (k *keeper) learn(ctx context.Context, publications []*publication, now time.Time) {
	answered, fresh := time.Now(), map[string]uint64{}
	for _, p := range publications {
		if p.err != nil {
			continue
		}
		if p.err = p.takeReceipt(); p.err != nil || p.receipt.Repeated {
			continue
		}
		channel, epoch := p.message.Channel, p.receipt.Position.Epoch
		k.note(p.receipt.Position)
		if testifies(channel) {
			k.accepted.Store(&witness{script.StreamKey(k.opts.Prefix, channel), p.receipt.Position, p.fields, answered})
		}
		switch {
		case p.expire != nil && p.expire.accepted():
			k.learned(channel, known{epoch, now})
			delete(fresh, channel)
		case k.known[channel].epoch != epoch:
			fresh[channel] = epoch
		}
	}
	if len(fresh) > 0 {
		k.expire(ctx, fresh, now)
	}
}

// expire says when streams expire, given by their channels with their epochs.
// What fails is said again with the next publication.
func (k *keeper) expire(ctx context.Context, fresh map[string]uint64, now time.Time) {
	var ignored error
	defer reply.Contain(&ignored)
	said := map[string]*goredis.Cmd{}
	pipe := k.client.Pipeline()
	for channel := range fresh {
		said[channel] = pipe.Do(ctx, "pexpire", script.StreamKey(k.opts.Prefix, channel), k.lifetime())
	}
	_, _ = pipe.Exec(ctx)
	for channel, epoch := range fresh {
		delete(k.known, channel)
		if n, err := said[channel].Int(); err == nil && n == 1 {
			k.learned(channel, known{epoch, now})
		}
	}
}

func (k *keeper) learned(channel string, s known) {
	if len(k.known) >= maxKnown {
		clear(k.known)
	}
	k.known[channel] = s
}

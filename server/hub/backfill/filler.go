package backfill

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
)

// maxNames is how many channels the broker is asked for at once.
const maxNames = 1000

// Options are what a Filler works with.
type Options struct {
	History broker.Historian
	Marker  broker.Marker // nil where the broker has no marks
	Logger  *slog.Logger

	// Strangers reports whether other programs are known to publish in a channel beside its
	// history, whether any was heard there or not. It is asked when the feed may have lost
	// something, concurrently, and must not wait. Nil means in none.
	Strangers func(channel string) bool

	// Carried returns the channels that the feed carries now. They are compared with their
	// histories every half minute.
	Carried func() []*Channel
}

// A Filler fills the holes of a node's channels.
type Filler struct {
	*Reads
	marks   *marks // nil where there are none
	log     *slog.Logger
	carried func() []*Channel

	strangers func(channel string) bool

	outside atomic.Uint64
	fills   atomic.Uint64
	filled  atomic.Uint64

	cancel context.CancelFunc
	mu     sync.Mutex // of spawn against Close
	tasks  sync.WaitGroup
}

// New returns a Filler, which its caller closes.
func New(o Options) *Filler {
	ctx, cancel := context.WithCancel(context.Background())
	if o.Strangers == nil {
		o.Strangers = func(string) bool { return false }
	}
	f := &Filler{log: o.Logger, carried: o.Carried, strangers: o.Strangers, cancel: cancel,
		Reads: &Reads{history: o.History, ctx: ctx, turns: make(chan struct{}, maxReads)}}
	if o.Marker != nil {
		f.marks = newMarks(ctx, o.Marker, f.log)
		f.tasks.Go(f.marks.run)
	}
	f.tasks.Go(f.audit)
	return f
}

// Close ends what the Filler runs and waits for it. A fill that was under way is left as it is:
// nothing more is delivered.
func (f *Filler) Close() {
	f.mu.Lock()
	f.cancel()
	f.mu.Unlock()
	f.tasks.Wait()
}

// spawn runs task, for which Close waits, unless the Filler is closed already.
func (f *Filler) spawn(task func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() == nil {
		f.tasks.Go(task)
	}
}

// Channel returns a new Channel, which delivers to sink. It has nothing to be closed.
func (f *Filler) Channel(name string, sink Sink) *Channel {
	return &Channel{name: name, sink: sink, filler: f}
}

// Begin notes where channels end. It is called before they are subscribed: what is lost before
// the first message of a channel is seen from that. Where a channel was begun, and was not
// forgotten since, it goes on from where it was.
func (f *Filler) Begin(ctx context.Context, channels ...*Channel) error {
	if len(channels) == 0 {
		return nil
	}
	newest, err := f.prolong(ctx, names(channels)...)
	if err != nil {
		return err
	}
	for i, c := range channels {
		c.begin(newest[i])
	}
	return nil
}

// Lost says that the feed may have lost messages of channels. What is missing is read from the
// history. Reason is told where it cannot be read, and for what is in no history. Lost does not
// wait.
func (f *Filler) Lost(reason broker.GapReason, channels ...*Channel) {
	f.lost(reason, false, channels)
}

// LostForGood is Lost for messages that are known to be missing, and to be in no history: that
// is told.
func (f *Filler) LostForGood(reason broker.GapReason, channels ...*Channel) {
	f.lost(reason, true, channels)
}

func (f *Filler) lost(reason broker.GapReason, forGood bool, channels []*Channel) {
	f.fillAll(slices.DeleteFunc(slices.Clone(channels), func(c *Channel) bool { return !c.lost(reason, forGood) }), reason)
}

// Recheck compares channels with their histories, as somebody has read there what was not
// delivered here. It does not wait.
func (f *Filler) Recheck(reason broker.GapReason, channels ...*Channel) {
	f.fillAll(slices.DeleteFunc(slices.Clone(channels), func(c *Channel) bool {
		return !c.recheck()
	}), reason)
}

// Anew says that histories have begun anew since a time. Channels that were empty then are told
// of a gap: what may have been lost of them left nothing to see that by.
func (f *Filler) Anew(since time.Time) {
	for _, c := range f.carried() {
		c.beganAnew(since)
	}
}

// Outside returns how many messages beside a history were heard.
func (f *Filler) Outside() uint64 { return f.outside.Load() }

// Fills returns how many times the history of a channel was read because the feed may have lost messages
// of it.
func (f *Filler) Fills() uint64 { return f.fills.Load() }

// Filled returns how many messages were read from the history because the feed had lost them.
func (f *Filler) Filled() uint64 { return f.filled.Load() }

func (c *Channel) channel() string { return c.name }

func names[C interface{ channel() string }](channels []C) []string {
	names := make([]string, len(channels))
	for i, c := range channels {
		names[i] = c.channel()
	}
	return names
}

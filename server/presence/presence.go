package presence

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/pregon/pregon/transport"
)

// A Bus carries what the nodes of a deployment tell each other.
type Bus interface {
	// Publish hands data to all nodes of the bus, this one included, and returns when the bus
	// has taken it. What is published one after the other arrives in that order. It is called by
	// one goroutine at a time.
	Publish(ctx context.Context, data []byte) error

	// Listen has hear called for each message that any node publishes from now on, and lost
	// where some may be missing. Neither waits. It is called once, and stop when the Engine
	// closes: afterwards neither is called.
	Listen(hear func(data []byte), lost func()) (stop func())
}

// Options are what an Engine works with.
type Options struct {
	Bus    Bus
	Logger *slog.Logger // where to log; default slog.Default()

	// Config stands for this node's configuration, in at most 64 bytes. The log has it where that of
	// another node differs. Empty, as without it, stands for none, which differs from no other.
	Config func() string
}

// An Engine knows who is in which channels, of one node's clients exactly and of other nodes' as
// these tell. All methods may be called concurrently.
type Engine struct {
	options Options
	log     *slog.Logger
	inbox   inbox
	stop    func() // listening to the bus
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	once    sync.Once

	mu       sync.Mutex
	channels [buckets]map[string]*channel
	own      *node
	others   map[string]*node
	dead     graveyard
	remote   int // entries of others
	present  int // people in all channels
	local    local
	outgoing outgoing
	link     link
	watched  watched
	counts   counts
}

// A node is this one or another, under a name of its own for each run.
type node struct {
	id      string
	digests [buckets]uint64 // of its entries here
	size    int             // how many there are

	// Of others:
	last    uint64           // sequence of the newest message
	heard   time.Time        // when that came
	gone    time.Time        // when it is forgotten, as it has said that it stops; zero for never
	differs [buckets]differs // where it has something else than is known here

	differently bool // it has another configuration
}

// New returns an Engine that is one node on a bus. The caller closes it.
func New(o Options) *Engine {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Config == nil {
		o.Config = func() string { return "" }
	}
	now := time.Now()
	e := &Engine{
		options: o, log: o.Logger, inbox: newInbox(),
		own: &node{id: rand.Text()}, others: map[string]*node{},
		local: newLocal(), outgoing: newOutgoing(now), link: newLink(now), watched: newWatched(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.stop = o.Bus.Listen(e.inbox.push, e.inbox.overflow)
	e.tasks.Go(func() { e.run(ctx) })
	e.tasks.Go(func() { e.talk(ctx) })
	return e
}

// Close tells the other nodes that this one stops, whose members they forget after the time in
// which a client may come back, and waits for what the Engine has started. Closing again does
// nothing.
func (e *Engine) Close() {
	e.once.Do(func() {
		e.cancel()
		e.tasks.Wait()
		e.bye()
		e.stop()
	})
}

// Members returns a page of those who are in a channel.
func (e *Engine) Members(channel string, q transport.MembersQuery) transport.Members {
	limit := transport.MaxMembers
	if q.Limit > 0 {
		limit = min(limit, q.Limit)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	page := transport.Members{Channel: channel, Incomplete: e.isIncomplete(bucketOf(channel), time.Now())}
	c := e.channel(channel)
	if c == nil {
		return page
	}
	list := behind(c.list(), q.After)
	page.Count, page.More = len(c.people), len(list) > limit
	page.Members = membersOf(list[:min(limit, len(list))])
	return page
}

func membersOf(people []*person) []transport.Member {
	all := make([]transport.Member, len(people))
	for i, p := range people {
		all[i] = p.member()
	}
	return all
}

// channel returns the one of that name, nil where nobody is in it or observes it.
func (e *Engine) channel(name string) *channel { return e.channels[bucketOf(name)][name] }

// open returns the channel of that name, a new one if need be.
func (e *Engine) open(name string) *channel {
	if c := e.channel(name); c != nil {
		return c
	}
	c := &channel{name: name, bucket: bucketOf(name), people: map[string]*person{}}
	if e.channels[c.bucket] == nil {
		e.channels[c.bucket] = map[string]*channel{}
	}
	e.channels[c.bucket][name] = c
	return c
}

// drop forgets c where nobody is in it or observes it.
func (e *Engine) drop(c *channel) {
	if len(c.people) == 0 && c.watch == nil {
		delete(e.channels[c.bucket], c.name)
	}
}

// set makes v what n has of a member, nil for nothing. It returns what stands for the member in
// n's digest, before and after.
func (e *Engine) set(n *node, k key, v *value) (before, after uint64) {
	old := e.valueOf(n, k)
	if old == nil && v == nil {
		return 0, 0
	}
	c := e.open(k.Channel)
	before, after = hash(k, old), hash(k, v)
	n.digests[c.bucket] ^= before ^ after
	people := len(c.people)
	e.note(c, k.Subject)
	switch {
	case old == nil:
		e.count(n, 1)
	case v == nil:
		e.count(n, -1)
	}
	c.put(n, k.Subject, v)
	e.present += len(c.people) - people
	e.drop(c)
	return before, after
}

// valueOf returns what n has of a member, nil for nothing.
func (e *Engine) valueOf(n *node, k key) *value {
	if c := e.channel(k.Channel); c != nil {
		return c.people[k.Subject].of(n)
	}
	return nil
}

// count counts entries of n.
func (e *Engine) count(n *node, more int) {
	n.size += more
	if n != e.own {
		e.remote += more
	}
}

package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A talker is a client of /live that changes its channels, and comes back with its last ids where it
// is cut off.
type talker struct {
	chaos    *chaos
	cuts     bool
	rng      *rand.Rand // of the goroutine that changes
	dice     *rand.Rand // of the goroutine that reads
	hears    *attendance
	changing sync.WaitGroup
	quit     chan struct{}
	quitting sync.Once

	cutAfter int // messages; 0 is not at all
	came     int // connections
	inReplay int // times it was cut off there

	mu    sync.Mutex
	conn  *websocket.Conn // nil while it is away
	talks []*talk         // that are not over, the oldest first
	count int             // of all there were
}

// A talk is one stay in a channel, from the command that begins it to the answer to the one that
// ends it. Its number is the ref of the first, and with a minus that of the other.
type talk struct {
	number    int
	channel   string
	history   int             // how many messages it asks for
	since     broker.Position // which it asks for, if not zero
	begun     bool            // subscribed has come
	overtaken bool            // it never will
	leaving   bool
	settled   chan struct{} // closed when either is known
	owed      numbers       // what comes behind these must be heard
}

func newTalker(c *chaos, i int, cuts bool) *talker {
	return &talker{chaos: c, cuts: cuts, rng: rand.New(rand.NewPCG(uint64(i), 2)), dice: rand.New(rand.NewPCG(uint64(i), 3)),
		hears: newAttendance(), quit: make(chan struct{})}
}

// quiet ends the changes.
func (ch *talker) quiet() {
	ch.quitting.Do(func() { close(ch.quit) })
	ch.changing.Wait()
}

// change joins and leaves channels, once per interval on average.
func (ch *talker) change(interval time.Duration) {
	if ch.cuts {
		ch.replayAll(3)
	}
	for ch.wait(rand.N(2 * interval)) {
		if talks := ch.current(); ch.rng.IntN(mostAtOnce) < len(talks) {
			leaving := talks[ch.rng.IntN(len(talks))]
			ch.leave(leaving)
			if ch.rng.IntN(3) == 0 { // at once, when it may not have left yet
				ch.join(leaving.channel)
			}
			continue
		}
		var joined []*talk
		for _, channel := range ch.rng.Perm(changingChannels)[:1+ch.rng.IntN(2)] {
			if name := channelName(channel); !ch.isIn(name) {
				joined = append(joined, ch.join(name))
			}
		}
		if ch.rng.IntN(4) > 0 { // else it may leave before it has begun
			ch.await(joined)
		}
	}
}

// wait reports false where the changes are to end.
func (ch *talker) wait(d time.Duration) bool {
	select {
	case <-ch.quit:
		return false
	case <-time.After(d):
		return true
	}
}

// await returns when stays have begun, so that on a busy machine there are fewer changes.
func (ch *talker) await(talks []*talk) {
	for _, s := range talks {
		select {
		case <-s.settled:
		case <-ch.quit:
			return
		}
	}
}

// replayAll joins some channels from their first message on.
func (ch *talker) replayAll(channels int) {
	for _, channel := range ch.rng.Perm(changingChannels)[:channels] {
		name := channelName(channel)
		first := ch.chaos.load.of(channel)[0].text(0)
		since, err := transport.ParseCursor(name, ch.chaos.load.awaitCursor(ch.chaos.ctx, first))
		if err != nil {
			ch.hears.failf("the first cursor of %s: %v", name, err)
		}
		ch.begin(&talk{channel: name, since: since})
	}
}

// join begins a stay live, where the client was, or with the newest messages.
func (ch *talker) join(channel string) *talk {
	s := &talk{channel: channel}
	switch ch.rng.IntN(3) {
	case 0:
		s.history = 1 + ch.rng.IntN(20)
	case 1:
		s.since = ch.hears.last(channel)
	}
	ch.begin(s)
	return s
}

func (ch *talker) begin(s *talk) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.count++
	s.number, s.settled = ch.count, make(chan struct{})
	ch.talks = append(ch.talks, s)
	ch.subscribe(s)
}

// leave ends a stay.
func (ch *talker) leave(s *talk) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	s.leaving = true
	ch.say(fmt.Sprintf(`{"type":"unsubscribe","ref":%d,"channel":%q}`, -s.number, s.channel))
}

func (ch *talker) leaveAll() {
	for _, s := range ch.current() {
		ch.leave(s)
	}
}

// current are the stays that the client is not about to end.
func (ch *talker) current() []*talk {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ch.talks), func(s *talk) bool { return s.leaving })
}

func (ch *talker) isIn(channel string) bool {
	return slices.ContainsFunc(ch.current(), func(s *talk) bool { return s.channel == channel })
}

// isQuiet reports whether the client is in no channel and waits for no answer.
func (ch *talker) isQuiet() bool { return ch.state() == "" }

// state says which stays are not over.
func (ch *talker) state() string {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var b strings.Builder
	for _, s := range ch.talks {
		fmt.Fprintf(&b, "%d in %s has begun: %v, is ending: %v; ", s.number, s.channel, s.begun, s.leaving)
	}
	return b.String()
}

// subscribe sends the command that begins s. The caller holds the lock.
func (ch *talker) subscribe(s *talk) {
	from := ""
	switch {
	case s.since != broker.Position{}:
		from = fmt.Sprintf(`,"since":%q`, transport.Cursor(s.channel, s.since))
	case s.history > 0:
		from = fmt.Sprintf(`,"history":%d`, s.history)
	}
	ch.say(fmt.Sprintf(`{"type":"subscribe","ref":%d,"channel":%q%s}`, s.number, s.channel, from))
}

// say sends a command, unless the client is away: see come. The caller holds the lock.
func (ch *talker) say(command string) {
	if ch.conn != nil {
		_ = ch.conn.SetWriteDeadline(time.Now().Add(patience))
		_ = ch.conn.WriteMessage(websocket.TextMessage, []byte(command)) // what is wrong, the reader sees
	}
}

// stay connects again and again until ctx ends.
func (ch *talker) stay(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, rand.N(50*time.Millisecond)) {
		ch.visit(ctx)
	}
}

// visit connects and listens until it is cut off or ctx ends.
func (ch *talker) visit(ctx context.Context) {
	dialer := websocket.Dialer{NetDialContext: ch.chaos.dial}
	conn, _, err := dialer.DialContext(ctx, "ws://"+ch.chaos.address()+"/live", nil)
	if err != nil {
		ch.report(ctx, "connect", err)
		return
	}
	unhook := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer unhook()
	ch.come(conn)
	defer ch.depart()
	for more := true; more; {
		var a told
		if err := conn.ReadJSON(&a); err != nil {
			ch.report(ctx, "listen", err)
			return
		}
		more = ch.hear(a)
	}
}

func (ch *talker) report(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		ch.hears.failf("%s: %v", what, err)
	}
}

// come notes that the client is connected, and continues: in each of its channels behind the last id.
// What it was about to leave it has left.
func (ch *talker) come(conn *websocket.Conn) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.conn, ch.cutAfter = conn, 0
	ch.came++
	ch.talks = slices.DeleteFunc(ch.talks, func(s *talk) bool {
		if s.leaving && s.begun {
			ch.hears.hear(said{What: "shut", Channel: s.channel, Stay: s.number, Owed: s.owed})
		}
		return s.leaving
	})
	for _, s := range ch.talks {
		if s.begun {
			s.since, s.history = ch.hears.last(s.channel), 0
		}
		ch.subscribe(s)
	}
}

// depart notes that the client is not connected any more.
func (ch *talker) depart() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	_ = ch.conn.Close()
	ch.conn = nil
}

// begunIn returns the newest numbers that the publishers of a channel have begun to publish.
func (l *load) begunIn(channel string) numbers {
	begun := numbers{}
	for _, p := range l.publishers {
		if channelName(p.channel) == channel {
			begun[p.id] = l.begun(p.id)
		}
	}
	return begun
}

// latest is the newest number that was accepted.
func (p *publisher) latest() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest
}

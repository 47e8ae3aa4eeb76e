package node_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// hooked returns a Client of alice's on a node with hooks and a history.
func hooked(t *testing.T, hooks node.Hooks) *node.Client {
	t.Helper()
	b := withHistory()
	h, err := hub.New(context.Background(), b, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); _ = b.Close() })
	n := node.New(b, h, node.Options{MaxMessage: 8, Hooks: hooks})
	t.Cleanup(n.Close)
	return n.Client(access.NewCaller(transport.Identity{Subject: "alice"}), netip.Addr{})
}

var errNo = errors.New("no")

// shout is a hook that changes, refuses, or makes what cannot be published, as the message says.
func shout(_ context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
	switch string(m.Data) {
	case "no":
		return m, errNo
	case "unsure":
		return m, broker.ErrUncertain
	case "long":
		m.Data = make([]byte, 9)
	case "key":
		m.Key = " "
	default:
		m.Channel, m.Binary, m.Data = "elsewhere", true, append([]byte(by.Subject+" "), m.Data...)
	}
	return m, nil
}

// What OnPublish returns is published, to the channel that was asked for; what it refuses is
// not, and what it makes is checked as all else.
func TestOnPublish(t *testing.T) {
	t.Parallel()
	c := hooked(t, node.Hooks{OnPublish: shout})
	for data, want := range map[string]error{
		"hi": nil, "no": errNo, "unsure": node.ErrRefused, "long": broker.ErrTooLarge, "key": broker.ErrKey, "12345678": broker.ErrTooLarge,
	} {
		err := c.Publish(t.Context(), broker.Message{Channel: "a", Data: []byte(data)})[0].Err
		if !errors.Is(err, want) || want != nil && broker.OutcomeOf(err) != broker.NotPublished {
			t.Errorf("%s: %v", data, err)
		}
		if refused := data == "no" || data == "unsure"; errors.Is(err, node.ErrRefused) != refused {
			t.Errorf("%s: %v", data, err)
		}
	}
	page, err := c.History(t.Context(), "a", broker.Query{Limit: 10})
	if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Data) != "alice hi" || !page.Messages[0].Binary {
		t.Error(page, err)
	}
}

// A hook is not asked for what is refused anyway.
func TestHooksSeeWhatIsValid(t *testing.T) {
	t.Parallel()
	c := hooked(t, node.Hooks{OnPublish: func(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
		t.Errorf("asked for %q", m.Channel)
		return m, nil
	}})
	c.Publish(t.Context(), broker.Message{Channel: "__a"}, broker.Message{Channel: "a", Key: "\n"}, broker.Message{Channel: "b", Data: make([]byte, 9)})
}

// Of a batch that is to be published as a whole nothing is where one message is refused,
// and each of the others says so; alone, they are.
func TestAllOrNone(t *testing.T) {
	t.Parallel()
	asked := 0
	c := hooked(t, node.Hooks{OnPublish: func(ctx context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
		asked++
		return shout(ctx, by, m)
	}})
	of := func(data ...string) (ms []broker.Message) {
		for _, d := range data {
			ms = append(ms, broker.Message{Channel: "a", Data: []byte(d)})
		}
		return ms
	}
	results := c.PublishAllOrNone(t.Context(), of("1", "no", "2")...)
	if !errors.Is(results[0].Err, node.ErrHeldBack) || !errors.Is(results[1].Err, errNo) || !errors.Is(results[2].Err, node.ErrHeldBack) ||
		broker.OutcomeOf(results[0].Err) != broker.NotPublished || asked != 3 {
		t.Error(results, asked)
	}
	for _, result := range append(c.PublishAllOrNone(t.Context(), of("3", "4")...), c.PublishAllOrNone(t.Context(), of("5")...)...) {
		if result.Err != nil {
			t.Error(result)
		}
	}
	if results := c.Publish(t.Context(), of("6", "no", "7")...); results[0].Err != nil || results[1].Err == nil || results[2].Err != nil {
		t.Error(results)
	}
	if page, err := c.History(t.Context(), "a", broker.Query{Limit: 10}); err != nil || len(page.Messages) != 5 {
		t.Error(page, err)
	}
}

// OnClear may refuse, and then nothing is cleared.
func TestOnClear(t *testing.T) {
	t.Parallel()
	c := hooked(t, node.Hooks{OnClear: func(_ context.Context, by transport.Identity, channel string) error {
		if by.Subject == "alice" && channel == "kept" {
			return errNo
		}
		return nil
	}})
	for channel, left := range map[string]int{"kept": 1, "other": 0} {
		c.Publish(t.Context(), broker.Message{Channel: channel})
		if err := c.Clear(t.Context(), channel); errors.Is(err, errNo) != (left == 1) || errors.Is(err, node.ErrRefused) != (left == 1) {
			t.Errorf("%s: %v", channel, err)
		}
		if page, err := c.History(t.Context(), channel, broker.Query{Limit: 2}); err != nil || len(page.Messages) != left {
			t.Error(channel, page, err)
		}
	}
}

// A guestbook is hooks that let nobody into the channel closed, and keep who is where.
type guestbook struct {
	mu   sync.Mutex
	in   map[string]int
	came int
}

func (g *guestbook) hooks() node.Hooks {
	return node.Hooks{
		OnSubscribe: func(_ context.Context, by transport.Identity, channel string) error {
			if channel == "closed" {
				return errNo
			}
			g.note(by.Subject+" "+channel, 1)
			return nil
		},
		OnLeave: func(by transport.Identity, channel string) { g.note(by.Subject+" "+channel, -1) },
	}
}

func (g *guestbook) note(who string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in == nil {
		g.in = map[string]int{}
	}
	if g.in[who] += n; g.in[who] == 0 {
		delete(g.in, who)
	}
	g.came += max(n, 0)
}

// is fails the test unless these are in, each once.
func (g *guestbook) is(t *testing.T, want ...string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if got := slices.Sorted(maps.Keys(g.in)); !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", g.in, want)
	}
	for who, n := range g.in {
		if n != 1 {
			t.Errorf("%s is there %d times", who, n)
		}
	}
}

// A mute is an Encoding and a Control that have nothing to say.
type mute struct{}

func (mute) Message(broker.Message) []byte      { return nil }
func (mute) Gap(transport.Gap) []byte           { return nil }
func (mute) Ping() []byte                       { return nil }
func (mute) Close(transport.CloseReason) []byte { return nil }

func join(t *testing.T, c *node.Client) transport.Session {
	t.Helper()
	sockets := socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 1 << 10, WriteTimeout: time.Minute, Linger: time.Minute})
	s := sockets.New()
	t.Cleanup(func() { _ = s.Close(); sockets.Wait() })
	session, err := c.Join(t.Context(), transport.Subscriber{Socket: s, Encoding: mute{}, Control: mute{}})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// OnSubscribe is asked for each subscription and refuses single ones. OnLeave is told once
// for each that was let in: when the client unsubscribes, or leaves, or never got there.
func TestOnSubscribe(t *testing.T) {
	t.Parallel()
	var g guestbook
	c := hooked(t, g.hooks())
	s := join(t, c)
	errs := s.Subscribe(t.Context(), transport.Subscription{Channel: "a"}, transport.Subscription{Channel: "closed"},
		transport.Subscription{Channel: "b"}, transport.Subscription{Channel: "__a"}, transport.Subscription{Channel: "a"})
	for i, want := range []error{nil, errNo, nil, broker.ErrDenied, transport.ErrSubscribed} {
		if !errors.Is(errs[i], want) {
			t.Errorf("%d: %v, want %v", i, errs[i], want)
		}
	}
	if !errors.Is(errs[1], node.ErrRefused) {
		t.Error(errs[1])
	}
	g.is(t, "alice a", "alice b")
	s.Unsubscribe("a", nil)
	s.Unsubscribe("a", nil)
	s.Unsubscribe("never", nil)
	g.is(t, "alice b")
	if err := s.Subscribe(t.Context(), transport.Subscription{Channel: "a"})[0]; err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Subscribe(ended, transport.Subscription{Channel: "too late"})[0]; err == nil {
		t.Error("subscribed when there was no time")
	}
	g.is(t, "alice a", "alice b")
	s.Leave()
	s.Leave()
	g.is(t)
	if err := s.Subscribe(t.Context(), transport.Subscription{Channel: "a"})[0]; !errors.Is(err, transport.ErrLeft) {
		t.Error(err)
	}
	g.is(t)
}

// Nobody reads the past of a channel, or waits for news of it, who may not hear it; and
// whoever does leaves again.
func TestOnSubscribeGuardsThePast(t *testing.T) {
	t.Parallel()
	var g guestbook
	c := hooked(t, g.hooks())
	for channel, want := range map[string]error{"closed": node.ErrRefused, "open": nil} {
		_, history := c.History(t.Context(), channel, broker.Query{Limit: 1})
		_, newest := c.Newest(t.Context(), channel)
		_, mark := c.Mark(t.Context(), channel)
		g.is(t)
		_, stop, watch := c.Watch(t.Context(), channel)
		for what, err := range map[string]error{"history": history, "newest": newest, "mark": mark, "watch": watch} {
			if !errors.Is(err, want) {
				t.Errorf("%s of %s: %v", what, channel, err)
			}
		}
		if watch == nil {
			g.is(t, "alice open")
			stop()
		}
		g.is(t)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Watch(ended, "open"); err == nil {
		t.Error("watched when there was no time")
	}
	if g.is(t); g.came != 5 {
		t.Errorf("asked and let in %d times", g.came)
	}
}

// However sessions subscribe, unsubscribe and leave together, whoever came is told to
// have left, once.
func TestOnLeaveIsToldOnce(t *testing.T) {
	t.Parallel()
	var g guestbook
	c := hooked(t, g.hooks())
	var all sync.WaitGroup
	for range 20 {
		s := join(t, c)
		for range 3 {
			all.Go(func() {
				for range 20 {
					s.Subscribe(t.Context(), transport.Subscription{Channel: "a"}, transport.Subscription{Channel: "b"})
					s.Unsubscribe("a", nil)
				}
				s.Leave()
			})
		}
	}
	all.Wait()
	if g.is(t); g.came == 0 {
		t.Error("nobody came")
	}
}

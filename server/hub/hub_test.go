package hub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is an encoding of one line a message, which counts how often it encodes.
type lines struct{ encoded atomic.Int64 }

func (l *lines) Message(m broker.Message) []byte {
	l.encoded.Add(1)
	return fmt.Appendf(nil, "%s %s\n", m.Channel, m.Data)
}
func (l *lines) Gap(g transport.Gap) []byte { return fmt.Appendf(nil, "gap %s\n", g.Channel) }
func (l *lines) Subscribed(s transport.Subscribed) []byte {
	return fmt.Appendf(nil, "subscribed %s %v\n", s.Channel, s.Recovered)
}
func (l *lines) Ping() []byte { return []byte("ping\n") }
func (l *lines) Close(reason transport.CloseReason) []byte {
	return fmt.Appendf(nil, "end %d\n", reason)
}

// A client is one end of a pipe whose other end the hub sends to.
type client struct {
	session transport.Session
	socket  *socket.Socket
	peer    net.Conn
}

var sockets = socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 1 << 16, WriteTimeout: time.Hour, Linger: time.Hour})

func newHub(t *testing.T, b broker.Broker, o hub.Options) *hub.Hub {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	h, err := hub.New(context.Background(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func join(t *testing.T, h *hub.Hub, e answering, answers bool, channels ...string) *client {
	t.Helper()
	ours, peer := net.Pipe()
	s := sockets.New()
	s.Attach(ours)
	session, err := transport.Open(context.Background(), door{hub: h},
		transport.Subscriber{Socket: s, Encoding: e, Control: e, AnswersPings: answers}, subscriptions(e, channels))
	if err != nil {
		t.Fatal(err)
	}
	s.Uncork()
	return &client{session, s, peer}
}

// leave does what a transport does when its client has gone.
func (c *client) leave() {
	c.session.Leave()
	_ = c.socket.Close()
	_ = c.peer.Close()
}

// read returns the next n lines, and fails the test where there is another end.
func (c *client) read(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	buf := make([]byte, 1)
	for n > 0 {
		if _, err := c.peer.Read(buf); err != nil {
			t.Fatalf("read after %q: %v", b.String(), err)
		}
		b.Write(buf)
		if buf[0] == '\n' {
			n--
		}
	}
	return b.String()
}

func publish(t *testing.T, b broker.Broker, channel, text string) {
	t.Helper()
	if _, err := b.Publish(context.Background(), broker.Message{Channel: channel, Data: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

// A message is encoded once per encoding, however many hear it, in several groups of
// each worker.
func TestEncodedOnce(t *testing.T) {
	const subscribers = 1200
	b := memory.New()
	defer b.Close()
	h := newHub(t, b, hub.Options{Workers: 4})
	defer h.Close()
	one, other := &lines{}, &lines{}
	var clients []*client
	for i := range subscribers {
		e := one
		if i%2 == 1 {
			e = other
		}
		clients = append(clients, join(t, h, e, false, "c"))
	}
	publish(t, b, "c", "hola")
	for _, c := range clients {
		if got := c.read(t, 1); got != "c hola\n" {
			t.Error(got)
		}
	}
	if one.encoded.Load() != 1 || other.encoded.Load() != 1 {
		t.Errorf("encoded %d and %d times", one.encoded.Load(), other.encoded.Load())
	}
	if h.Sessions() != subscribers {
		t.Error(h.Sessions(), "sessions")
	}
	for _, c := range clients {
		c.leave()
		c.leave() // leaving again does nothing
	}
	if h.Sessions() != 0 {
		t.Error(h.Sessions(), "sessions left")
	}
	sockets.Wait()
}

// counting counts which channels a feed carries.
type counting struct {
	broker.Broker
	mu      sync.Mutex
	carried map[string]int
}

func (c *counting) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := c.Broker.Feed(ctx)
	return &countingFeed{f, c}, err
}

func (c *counting) count(channel string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.carried[channel]
}

type countingFeed struct {
	broker.Feed
	c *counting
}

func (f *countingFeed) Subscribe(ctx context.Context, channels ...string) error {
	f.c.change(1, channels)
	return f.Feed.Subscribe(ctx, channels...)
}

func (f *countingFeed) Unsubscribe(ctx context.Context, channels ...string) error {
	f.c.change(0, channels)
	return f.Feed.Unsubscribe(ctx, channels...)
}

func (c *counting) change(to int, channels []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range channels {
		c.carried[name] = to
	}
}

// A channel is added for the first who wants it, stays a while after the
// last has left, and is there again for whoever comes then.
func TestInterest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{Broker: memory.New(), carried: map[string]int{}}
		h := newHub(t, c, hub.Options{Workers: 1, UnsubscribeDelay: time.Minute})
		a, b := join(t, h, &lines{}, false, "c"), join(t, h, &lines{}, false, "c")
		if c.count("c") != 1 {
			t.Error("not carried")
		}
		a.leave()
		b.leave()
		time.Sleep(59 * time.Second)
		if c.count("c") != 1 {
			t.Error("removed before its time")
		}
		a = join(t, h, &lines{}, false, "c")
		a.leave()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if c.count("c") != 0 {
			t.Error("still carried")
		}
		a = join(t, h, &lines{}, false, "c")
		publish(t, c, "c", "again")
		if got := a.read(t, 1); got != "c again\n" || c.count("c") != 1 {
			t.Error(got, c.count("c"))
		}
		a.leave()
		h.Close()
		_ = c.Close()
	})
}

// Idle clients are pinged; one that should answer and does not is ended.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		h := newHub(t, b, hub.Options{Workers: 1, PingInterval: 20 * time.Second, PongTimeout: 50 * time.Second})
		answering, silent, stream := join(t, h, &lines{}, true, "c"), join(t, h, &lines{}, true, "c"), join(t, h, &lines{}, false, "c")
		heard := make(chan string, 3)
		for _, c := range []*client{answering, silent, stream} {
			go func() { all, _ := io.ReadAll(c.peer); heard <- string(all) }()
		}
		for range 10 {
			time.Sleep(20 * time.Second)
			answering.session.Touch()
		}
		silent.leave()
		if got := <-heard; !strings.HasPrefix(got, "ping\nping\n") || !strings.HasSuffix(got, fmt.Sprintf("end %d\n", transport.CloseIdle)) {
			t.Errorf("the silent client heard %q", got)
		}
		for _, c := range []*client{answering, stream} {
			c.leave()
			if got := <-heard; strings.Count(got, "ping\n") < 9 || strings.Contains(got, "end") {
				t.Errorf("a client heard %q", got)
			}
		}
		h.Close()
		_ = b.Close()
	})
}

// Draining refuses who comes, ends who is there, spread over the time given, and
// returns when they have left.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		h := newHub(t, b, hub.Options{Workers: 2, EndRate: 1})
		began := time.Now()
		var ended []time.Duration
		var mu sync.Mutex
		var clients sync.WaitGroup
		for range 100 {
			c := join(t, h, &lines{}, false, "c")
			clients.Go(func() {
				c.read(t, 1)
				mu.Lock()
				ended = append(ended, time.Since(began))
				mu.Unlock()
				c.leave()
			})
		}
		h.Drain(context.Background(), 10*time.Second)
		clients.Wait()
		if first, last := ended[0], ended[len(ended)-1]; last-first < 8*time.Second || last > 12*time.Second {
			t.Errorf("ended from %v to %v", first, last)
		}
		_, err := open(context.Background(), h, sockets.New(), &lines{}, []string{"c"})
		if !errors.Is(err, hub.ErrDraining) {
			t.Error("join while draining:", err)
		}
		h.Drain(context.Background(), 0) // nobody is left to wait for
		h.Close()
		_ = b.Close()
	})
}

// Few clients leave spread over the whole of the time, too, and one within it, however the
// workers share them.
func TestDrainIsEven(t *testing.T) {
	const over = 10 * time.Second
	for _, n := range []int{1, 2, 3, 7, 30} {
		synctest.Test(t, func(t *testing.T) {
			b := memory.New()
			h := newHub(t, b, hub.Options{Workers: 2})
			began := time.Now()
			var ended []time.Duration
			var mu sync.Mutex
			var clients sync.WaitGroup
			for range n {
				c := join(t, h, &lines{}, false, "c")
				clients.Go(func() {
					c.read(t, 1)
					mu.Lock()
					ended = append(ended, time.Since(began))
					mu.Unlock()
					c.leave()
				})
			}
			h.Drain(context.Background(), over)
			clients.Wait()
			for i, at := range ended {
				due := over * time.Duration(i+1) / time.Duration(n)
				if at > over+time.Second || n > 2 && max(at-due, due-at) > over*2/time.Duration(n) {
					t.Errorf("%d clients: number %d left after %v, want about %v", n, i+1, at, due)
				}
			}
			if last := ended[n-1]; last < over/2 {
				t.Errorf("%d clients: the last left after %v", n, last)
			}
			h.Close()
			_ = b.Close()
		})
	}
}

// Deaf is a broker that accepts messages and loses them.
type deaf struct{ broker.Broker }

func (deaf) Publish(context.Context, broker.Message) (broker.Receipt, error) {
	return broker.Receipt{}, nil
}

// A hub is ready while its own messages come back, and says why it is not.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		good, bad := newHub(t, b, hub.Options{}), newHub(t, deaf{b}, hub.Options{})
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(good.Check(ctx), good.Ready()); err != nil {
			t.Error(err)
		}
		if err := bad.Check(ctx); !errors.Is(err, hub.ErrUnheard) {
			t.Error("check:", err)
		}
		if err := bad.Ready(); !errors.Is(err, hub.ErrUnheard) {
			t.Error("ready:", err)
		}
		_ = b.Close() // from here on publishing fails
		time.Sleep(2 * time.Second)
		if err := good.Ready(); !errors.Is(err, broker.ErrClosed) {
			t.Error("ready on a closed broker:", err)
		}
		good.Close()
		bad.Close()
	})
}

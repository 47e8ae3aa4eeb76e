package local_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/local"
	"github.com/pregon/pregon/transport/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A capture is a Client that keeps who joins and what is subscribed.
type capture struct {
	transport.Client
	joined     chan transport.Subscriber
	subscribed []transport.Subscription
	err        error
	left       chan struct{}
}

func (c *capture) Join(_ context.Context, s transport.Subscriber) (transport.Session, error) {
	c.joined <- s
	return stay{capture: c}, nil
}

type stay struct {
	transport.Session
	*capture
}

func (s stay) Subscribe(_ context.Context, subs ...transport.Subscription) []error {
	s.capture.subscribed = subs
	errs := make([]error, len(subs))
	errs[len(errs)-1] = s.err
	return errs
}

func (s stay) Leave() {
	select {
	case s.left <- struct{}{}:
	default: // again
	}
}

// open returns a Subscription and the Subscriber that it is to the hub.
func open(t *testing.T, channels ...transport.Subscription) (*local.Subscription, transport.Subscriber, *capture) {
	t.Helper()
	sockets := socket.NewGroup(socket.Limits{Bytes: 1 << 30, Messages: 1 << 20, WriteTimeout: time.Minute, Linger: time.Minute})
	host := local.NewHost(sockets)
	c := &capture{joined: make(chan transport.Subscriber, 1), left: make(chan struct{}, 1)}
	s, err := host.Open(t.Context(), c, channels...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); host.Wait(); sockets.Wait() })
	return s, <-c.joined, c
}

func send(t *testing.T, to transport.Subscriber, frames []byte) {
	t.Helper()
	if _, err := to.Socket.Send(new(socket.Writer), socket.Batch{Frames: frames, Messages: 1}); err != nil {
		t.Fatal(err)
	}
}

// Whatever is sent comes out as it was: each message, alone or joined with others, and each
// gap.
func TestEventsSurvive(t *testing.T) {
	t.Parallel()
	s, to, _ := open(t, transport.Subscription{Channel: "a"})
	err := quick.Check(func(channel, reason string, data []byte, binary bool, from, at broker.Position, large bool) bool {
		if large {
			data = append(data, make([]byte, 200<<10)...)
		}
		m := broker.Message{Channel: channel, Data: data, Binary: binary, Position: at}
		if by := (broker.Author{Subject: reason, Session: channel}); binary && by != (broker.Author{}) {
			m.By = &by
		}
		g := transport.Gap{Channel: channel, Reason: broker.GapReason(reason), From: from, To: at}
		frames := append([]byte(nil), to.Encoding.Message(m)...)
		frames = append(frames, to.Encoding.Gap(g)...)
		send(t, to, append(frames, to.Encoding.Message(m)...))
		for _, want := range []local.Event{{Message: &m}, {Gap: &g}, {Message: &m}} {
			got, err := s.Next(t.Context())
			if len(data) == 0 && got.Message != nil {
				got.Message.Data = data // nil or empty
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Error(err)
				return false
			}
		}
		return true
	}, &quick.Config{MaxCount: 200})
	if err != nil {
		t.Error(err)
	}
}

// A message is the reader's own: what the hub shares with others does not change with it.
func TestMessagesAreTheReadersOwn(t *testing.T) {
	t.Parallel()
	s, to, _ := open(t, transport.Subscription{Channel: "a"})
	frame := to.Encoding.Message(broker.Message{Channel: "a", Data: []byte("whole")})
	send(t, to, frame)
	e, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	copy(e.Message.Data, "spoilt")
	if strings.Contains(string(frame), "spoil") {
		t.Error("the frame has changed")
	}
}

// Channels with a Start are answered by an event, whatever Answer they had; others are not.
func TestAnswersAreEvents(t *testing.T) {
	t.Parallel()
	mine := func(transport.Subscribed) ([]byte, bool) { return []byte("mine"), true }
	s, to, c := open(t, transport.Subscription{Channel: "a", Answer: mine}, transport.Subscription{Channel: "b", Answer: mine, Start: transport.Start{Since: true}})
	if c.subscribed[0].Answer != nil {
		t.Error("a live channel has an Answer")
	}
	want := transport.Subscribed{Channel: "b", Recovered: true, Position: broker.Position{Epoch: 7, Seq: 1}}
	frame, ok := c.subscribed[1].Answer(want)
	if !ok {
		t.Fatal("it cannot be told")
	}
	send(t, to, frame)
	if e, err := s.Next(t.Context()); err != nil || e.Subscribed == nil || *e.Subscribed != want {
		t.Error(e, err)
	}
}

// The server's end comes behind what was sent, with its reason, and stays; then the session
// is left. An end without a word is ErrCut, and the program's own ErrClosed.
func TestEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*local.Subscription, transport.Subscriber)
		want string
	}{
		"shutdown": {func(_ *local.Subscription, to transport.Subscriber) {
			to.Socket.CloseAfterFlush(to.Control.Close(transport.CloseShutdown))
		}, "local: the server stops"},
		"slow": {func(_ *local.Subscription, to transport.Subscriber) {
			to.Socket.CloseAfterFlush(to.Control.Close(transport.CloseSlow))
		}, "local: the program has not read fast enough"},
		"denied": {func(_ *local.Subscription, to transport.Subscriber) {
			to.Socket.CloseAfterFlush(to.Control.Close(transport.CloseDenied))
		}, "local: ended for reason 5"},
		"expired": {func(_ *local.Subscription, to transport.Subscriber) {
			to.Socket.CloseAfterFlush(to.Control.Close(transport.CloseExpired))
		}, "local: the identity has expired"},
		"forbidden": {func(_ *local.Subscription, to transport.Subscriber) {
			to.Socket.CloseAfterFlush(to.Control.Close(transport.CloseForbidden))
		}, "local: what the identity may hear has changed"},
		"cut":    {func(_ *local.Subscription, to transport.Subscriber) { _ = to.Socket.Close() }, local.ErrCut.Error()},
		"closed": {func(s *local.Subscription, _ transport.Subscriber) { s.Close() }, local.ErrClosed.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, to, capture := open(t, transport.Subscription{Channel: "a"})
			send(t, to, to.Encoding.Message(broker.Message{Channel: "a"}))
			if e, err := s.Next(t.Context()); err != nil || e.Message == nil {
				t.Fatal(e, err)
			}
			c.end(s, to)
			for range 2 {
				if _, err := s.Next(t.Context()); err == nil || err.Error() != c.want {
					t.Errorf("%v, want %s", err, c.want)
				}
			}
			<-capture.left
		})
	}
}

// Where one channel is refused, there is no Subscription, and the session is left.
func TestRefused(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	sockets := socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 1 << 10, WriteTimeout: time.Minute, Linger: time.Minute})
	host := local.NewHost(sockets)
	c := &capture{joined: make(chan transport.Subscriber, 1), left: make(chan struct{}, 1), err: refused}
	if _, err := host.Open(t.Context(), c, transport.Subscription{Channel: "a"}, transport.Subscription{Channel: "b"}); !errors.Is(err, refused) {
		t.Error(err)
	}
	<-c.left
	host.Wait()
	sockets.Wait()
}

// A ping says nothing, and does not need a reader.
func TestPings(t *testing.T) {
	t.Parallel()
	s, to, _ := open(t, transport.Subscription{Channel: "a"})
	for range 3 {
		if err := to.Socket.Control(new(socket.Writer), to.Control.Ping()); err != nil {
			t.Error(err)
		}
		if err := to.Socket.AwaitEmpty(t.Context()); err != nil {
			t.Error(err)
		}
	}
	send(t, to, to.Encoding.Message(broker.Message{Channel: "a"}))
	if e, err := s.Next(t.Context()); err != nil || e.Message == nil {
		t.Error(e, err)
	}
}

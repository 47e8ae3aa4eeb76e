package local

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// A Host has what the Subscriptions of one server share. All methods may be called
// concurrently.
type Host struct {
	sockets *socket.Group
	running sync.WaitGroup
}

// NewHost returns a Host whose Subscriptions wait within the limits of sockets.
func NewHost(sockets *socket.Group) *Host { return &Host{sockets: sockets} }

// Wait returns when the last Subscription has ended. The hub ends them.
func (h *Host) Wait() { h.running.Wait() }

// Open subscribes channels and returns once the broker has confirmed all of them, or
// with the first error: then none is subscribed. The caller closes the Subscription. What
// the channels' Answers would say is told as an Event instead, for each with a Start.
func (h *Host) Open(ctx context.Context, c transport.Client, channels ...transport.Subscription) (*Subscription, error) {
	pipe := newPipe()
	s := &Subscription{pipe: pipe, socket: h.sockets.New()}
	session, err := transport.Open(ctx, c, transport.Subscriber{Socket: s.socket, Encoding: encoding{}, Control: encoding{}}, answered(channels))
	if err != nil {
		_ = s.socket.Close() // nothing was attached
		return nil, err
	}
	s.session = session
	s.socket.Attach(pipe)
	s.socket.Uncork()
	h.running.Go(func() {
		defer session.Leave()
		defer s.socket.Close()
		<-pipe.ended
	})
	return s, nil
}

// answered returns channels with Answers that Next can read.
func answered(channels []transport.Subscription) []transport.Subscription {
	subs := make([]transport.Subscription, len(channels))
	for i, sub := range channels {
		sub.Answer = nil
		if sub.Start != (transport.Start{}) {
			sub.Answer = answer
		}
		subs[i] = sub
	}
	return subs
}

// An Event is what a Subscription hears next: exactly one of its fields is not nil.
type Event struct {
	// Message is the reader's own.
	Message *broker.Message
	// Gap says that messages may be missing here.
	Gap *transport.Gap
	// Subscribed says where a channel that does not begin live begins, ahead of its
	// messages.
	Subscribed *transport.Subscribed
}

var (
	// ErrClosed is what Next returns once Close was called.
	ErrClosed = errors.New("local: closed")
	// ErrCut is what Next returns where the server has ended the Subscription without a
	// word: the program has read nothing for the server's write timeout while something
	// waited, or the Server is closed.
	ErrCut = errors.New("local: cut off")
)

// An EndedError is what Next returns where the server has ended the Subscription.
type EndedError struct{ Reason transport.CloseReason }

// Error implements error.
func (e *EndedError) Error() string {
	switch e.Reason {
	case transport.CloseShutdown:
		return "local: the server stops"
	case transport.CloseSlow:
		return "local: the program has not read fast enough"
	case transport.CloseExpired:
		return "local: the identity has expired"
	case transport.CloseForbidden:
		return "local: what the identity may hear has changed"
	default:
		return fmt.Sprintf("local: ended for reason %d", e.Reason)
	}
}

// A Subscription is a program's stay in channels. One goroutine at a time calls Next;
// the other methods may be called concurrently with it and with each other.
type Subscription struct {
	session transport.Session
	socket  *socket.Socket
	pipe    *pipe

	// Next's own:
	came []byte // and was not read yet
	err  error  // what Next returns from now on
}

// Next returns what comes next, and waits for it until ctx ends; then nothing is lost, and
// Next may be called again. Any error but the context's is final: ErrClosed, ErrCut or an
// *EndedError. All that was received before is returned ahead of it.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for s.err == nil {
		if body, rest, ok := cutFrame(s.came); ok {
			s.came = rest
			event, err := decode(body)
			if err == nil {
				return event, nil
			}
			s.err = err
			break
		}
		more, err := s.pipe.next(ctx)
		switch {
		case err == nil:
			s.came = append(s.came, more...)
		case ctx.Err() != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrCut):
			return Event{}, err
		default:
			s.err = err
		}
	}
	return Event{}, s.err
}

// Subscribe adds channels, as [transport.Session].Subscribe does.
func (s *Subscription) Subscribe(ctx context.Context, channels ...transport.Subscription) []error {
	return s.session.Subscribe(ctx, answered(channels)...)
}

// Unsubscribe removes a channel. What was published before and has reached this node may
// still come.
func (s *Subscription) Unsubscribe(channel string) { s.session.Unsubscribe(channel, nil) }

// Close ends the Subscription. Next then returns ErrClosed. Closing again does nothing.
func (s *Subscription) Close() {
	s.pipe.close(ErrClosed)
	s.session.Leave()
}

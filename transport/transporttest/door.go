package transporttest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A door is the Client of one request. It lets everything pass and notes what the request
// did not ask for.
type door struct {
	transport.Client
	fixture *fixture
	asked   []transport.Subscription

	middleware func(http.ResponseWriter) http.ResponseWriter // may be nil

	left    chan struct{} // closed by Leave
	touched chan struct{} // gets a token when something has come from the client
	served  chan struct{} // closed when Serve has returned

	mu         sync.Mutex
	conn       *conn // nil until there is a request
	finished   bool  // Serve has returned
	err        error // what it returned
	joins      int
	subscribed int   // channels that were confirmed
	refused    error // what Subscribe said of the last one that was not
	gone       bool  // the client had gone when Serve returned
	subscriber transport.Subscriber
	notes      []string
}

// note keeps what is wrong.
func (d *door) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// begin notes the request, which is to be the only one.
func (d *door) begin(c *conn) {
	d.mu.Lock()
	again := d.conn != nil
	d.conn = c
	d.mu.Unlock()
	if again {
		d.note("Dial has sent a second request")
	}
}

// end notes what Serve has returned, and whether the client had gone by then.
func (d *door) end(err error, gone bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.finished {
		d.finished, d.err, d.gone = true, err, gone
		close(d.served)
	}
}

// enter notes a call that comes too late, or is about a channel that nobody asked for.
func (d *door) enter(call string, channels ...string) {
	d.mu.Lock()
	over := d.conn.closed.Load() || d.finished && (d.err != nil || !d.conn.hijacked.Load())
	d.mu.Unlock()
	if over {
		d.note("%s was called after the connection", call)
	}
	for _, channel := range channels {
		if d.of(channel) == nil {
			d.note("%s was called for a channel that nobody asked for", call)
		}
	}
}

// of returns what was asked of a channel, or nil.
func (d *door) of(channel string) *transport.Subscription {
	i := slices.IndexFunc(d.asked, func(s transport.Subscription) bool { return s.Channel == channel })
	if i < 0 {
		return nil
	}
	return &d.asked[i]
}

// Join implements transport.Client.
func (d *door) Join(ctx context.Context, s transport.Subscriber) (transport.Session, error) {
	d.enter("Join")
	session, err := d.Client.Join(ctx, s)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.joins++
	again := d.joins > 1
	d.subscriber = s
	d.mu.Unlock()
	if again {
		d.note("Join was called for a second time")
		return session, nil
	}
	return &stay{Session: session, door: d, leave: sync.OnceFunc(func() { close(d.left) })}, nil
}

// Publish implements transport.Client. No client of the suite publishes.
func (d *door) Publish(ctx context.Context, ms ...broker.Message) []broker.Result {
	d.note("Publish was called, which no client has asked for")
	return d.Client.Publish(ctx, ms...)
}

// History implements transport.Client.
func (d *door) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	d.enter("History", channel)
	return d.Client.History(ctx, channel, q)
}

// Clear implements transport.Client. No client of the suite asks for it.
func (d *door) Clear(ctx context.Context, channel string) error {
	d.note("Clear was called, which no client has asked for")
	return d.Client.Clear(ctx, channel)
}

// Newest implements transport.Client.
func (d *door) Newest(ctx context.Context, channel string) (broker.Position, error) {
	d.enter("Newest", channel)
	return d.Client.Newest(ctx, channel)
}

// Mark implements transport.Client.
func (d *door) Mark(ctx context.Context, channel string) (broker.Position, error) {
	d.enter("Mark", channel)
	return d.Client.Mark(ctx, channel)
}

// Watch implements transport.Client.
func (d *door) Watch(ctx context.Context, channel string) (news <-chan struct{}, stop func(), err error) {
	d.enter("Watch", channel)
	return d.Client.Watch(ctx, channel)
}

// A stay is the Session of a door.
type stay struct {
	transport.Session
	door  *door
	leave func()
}

// Subscribe implements transport.Session.
func (s *stay) Subscribe(ctx context.Context, channels ...transport.Subscription) []error {
	for _, c := range channels {
		s.door.enter("Subscribe", c.Channel)
		if asked := s.door.of(c.Channel); asked != nil && asked.Start != c.Start {
			s.door.note("Subscribe was called with another start than was asked for")
		}
	}
	errs := s.Session.Subscribe(ctx, channels...)
	s.door.mu.Lock()
	for _, err := range errs {
		if err == nil {
			s.door.subscribed++
		} else {
			s.door.refused = err
		}
	}
	s.door.mu.Unlock()
	if s.door.fixture.confirmed != nil {
		s.door.fixture.confirmed()
	}
	return errs
}

// Unsubscribe implements transport.Session.
func (s *stay) Unsubscribe(channel string, last func() []byte) {
	s.door.enter("Unsubscribe", channel)
	s.Session.Unsubscribe(channel, last)
}

// Touch implements transport.Session.
func (s *stay) Touch() {
	s.Session.Touch()
	select {
	case s.door.touched <- struct{}{}:
	default: // one is there already
	}
}

// Leave implements transport.Session.
func (s *stay) Leave() {
	s.Session.Leave()
	s.leave()
}

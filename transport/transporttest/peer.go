package transporttest

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

// A peer is a client of the suite.
type peer struct {
	*door
	f    *fixture
	conn Conn
}

// live asks for channels from now on.
func live(channels ...string) []transport.Subscription {
	asked := make([]transport.Subscription, len(channels))
	for i, channel := range channels {
		asked[i].Channel = channel
	}
	return asked
}

// from asks for a channel from a start.
func from(channel string, start transport.Start) []transport.Subscription {
	return []transport.Subscription{{Channel: channel, Start: start}}
}

// ask makes the door of a request, and the URL that leads to it.
func (f *fixture) ask(asked []transport.Subscription, middleware func(http.ResponseWriter) http.ResponseWriter) (d *door, url string) {
	d = &door{Client: f.node.Client(access.Stranger, netip.Addr{}), fixture: f, asked: asked, middleware: middleware,
		left: make(chan struct{}), touched: make(chan struct{}, 1), served: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doors = append(f.doors, d)
	return d, "http://" + f.listener.Addr().String() + "/" + strconv.Itoa(len(f.doors)-1)
}

// A dialled is what became of a Dial.
type dialled struct {
	peer *peer // nil where it was refused
	err  error
}

// begin dials, and returns what comes of it later.
func (f *fixture) begin(ctx context.Context, asked []transport.Subscription) (*door, <-chan dialled) {
	return f.beginBehind(ctx, asked, nil)
}

// beginBehind is begin for a client whose request goes through a middleware.
func (f *fixture) beginBehind(ctx context.Context, asked []transport.Subscription, middleware func(http.ResponseWriter) http.ResponseWriter) (*door, <-chan dialled) {
	d, url := f.ask(asked, middleware)
	done := make(chan dialled, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, guard)
		defer cancel()
		c, err := f.protocol.Dial(ctx, url, f.format)
		if err != nil {
			done <- dialled{err: err}
			return
		}
		p := &peer{door: d, f: f, conn: c}
		f.mu.Lock()
		f.peers = append(f.peers, p)
		f.mu.Unlock()
		done <- dialled{peer: p}
	}()
	return d, done
}

// dial connects a client, and fails the test where it is refused.
func (f *fixture) dial(asked []transport.Subscription) *peer {
	f.Helper()
	d, done := f.begin(f.Context(), asked)
	result := <-done
	if result.err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		f.Fatalf("a client was not connected: %v; Serve returned: %v", result.err, d.err)
	}
	return result.peer
}

// next returns what comes next. The error is that of the connection's end.
func (p *peer) next() (Event, error) {
	p.f.Helper()
	var late atomic.Bool
	timer := time.AfterFunc(guard, func() {
		late.Store(true)
		_ = p.conn.Close()
	})
	defer timer.Stop()
	e, err := p.conn.Next()
	if late.Load() {
		p.f.Fatalf("nothing came for %v", guard)
	}
	return e, err
}

// event is next for a connection that must not have ended. It passes over what tells a
// client of a channel that is subscribed where the client did not ask for a verdict.
func (p *peer) event() Event {
	p.f.Helper()
	for {
		e, err := p.next()
		if err != nil {
			p.f.Fatalf("the connection has ended: %v", err)
		}
		p.check(e)
		if asked := p.of(e.Channel); e.Kind != Subscribed || asked != nil && asked.Since {
			return e
		}
	}
}

// check checks what holds for every Event.
func (p *peer) check(e Event) {
	p.f.Helper()
	switch {
	case e.Kind < Message || e.Kind > Subscribed:
		p.f.Fatalf("Next returned an Event of no kind")
	case e.Channel != "" && p.of(e.Channel) == nil:
		p.f.Errorf("heard of channel %q, which the client did not ask for", e.Channel)
	case e.Kind == Gap && e.Reason == "":
		p.f.Error("a gap has no reason")
	case e.ID == "":
	case !p.f.history:
		p.f.Errorf("heard of cursor %q where no history is kept", e.ID)
	case e.Channel != "":
		if _, err := transport.ParseCursor(e.Channel, e.ID); err != nil {
			p.f.Errorf("a cursor of %q: %v", e.Channel, err)
		}
	}
}

// hears reads the messages of a channel that must come next.
func (p *peer) hears(channel string, texts ...string) {
	p.f.Helper()
	for _, text := range texts {
		e := p.event()
		p.is(e, channel, text)
	}
}

// is checks that e is a certain message.
func (p *peer) is(e Event, channel, text string) {
	p.f.Helper()
	p.f.mu.Lock()
	cursor := p.f.cursors[channel+" "+text]
	p.f.mu.Unlock()
	switch {
	case e.Kind != Message:
		p.f.Fatalf("heard %s, not the message %.40q", e, text)
	case string(e.Data) != text:
		p.f.Fatalf("heard %s, not the message %.40q of %q", e, text, channel)
	case e.Channel != "" && e.Channel != channel:
		p.f.Errorf("heard %s of channel %q, not of %q", e, e.Channel, channel)
	case e.ID != "" && e.ID != cursor:
		p.f.Errorf("heard %s with the cursor of another message", e)
	}
}

// String says what an Event is, for the suite's own words.
func (e Event) String() string {
	switch e.Kind {
	case Message:
		return "the message " + strconv.Quote(string(e.Data[:min(len(e.Data), 40)]))
	case Gap:
		return "a gap, reason " + strconv.Quote(e.Reason)
	case Subscribed:
		return "that the channel is subscribed, recovered: " + strconv.FormatBool(e.Recovered)
	}
	return "nothing"
}

// ends reads the end of the connection, which must come next and have that reason.
func (p *peer) ends(reason transport.CloseReason) {
	p.f.Helper()
	e, err := p.next()
	if err == nil {
		p.f.Fatalf("heard %s, not the end of the connection", e)
	}
	p.ended(err, reason)
}

// ended checks that err is the end of the connection for that reason.
func (p *peer) ended(err error, reason transport.CloseReason) {
	p.f.Helper()
	want, told := p.f.protocol.Closes[reason]
	var end *End
	switch {
	case !told:
	case !errors.As(err, &end):
		p.f.Errorf("the connection has ended with %v, not with code %s", err, want)
	case end.Code != want:
		p.f.Errorf("the connection has ended with code %s, not with %s", end.Code, want)
	}
}

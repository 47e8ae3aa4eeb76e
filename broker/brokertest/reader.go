package brokertest

import (
	"errors"
	"time"

	"github.com/pregon/pregon/broker"
)

// said is a text message that was published, or heard.
type said struct{ channel, text string }

// An event is what Next returned.
type event struct {
	m   broker.Message
	err error
}

// A reader calls Next of one Feed on a goroutine of its own, so that the test
// can give up waiting.
type reader struct {
	f      *fixture
	events chan event // closed when Next has returned a final error
}

// read starts a reader of feed. It ends with the test at the latest, and then
// the Feed is closed and Next must return.
func (f *fixture) read(feed broker.Feed) *reader {
	r := &reader{f: f, events: make(chan event, 256)}
	quit := make(chan struct{})
	go r.run(feed, quit)
	f.Cleanup(func() {
		close(quit)
		f.closes("Feed.Close", feed.Close)
		late := time.After(guard)
		for {
			select {
			case _, more := <-r.events:
				if !more {
					return
				}
			case <-late:
				f.Errorf("Next did not return within %v of Feed.Close", guard)
				return
			}
		}
	})
	return r
}

func (r *reader) run(feed broker.Feed, quit <-chan struct{}) {
	defer close(r.events)
	for {
		m, err := feed.Next()
		select {
		case r.events <- event{m, err}:
		case <-quit:
		}
		if gap := (*broker.GapError)(nil); err != nil && !errors.As(err, &gap) {
			return
		}
	}
}

// next returns what Next returned.
func (r *reader) next() event {
	r.f.Helper()
	select {
	case e, ok := <-r.events:
		if !ok {
			r.f.Fatalf("the Feed has ended")
		}
		return e
	case <-time.After(guard):
		r.f.Fatalf("Next returned nothing within %v", guard)
	}
	panic("unreachable")
}

// message returns the next message; a gap or an error fails the test.
func (r *reader) message() broker.Message {
	r.f.Helper()
	e := r.next()
	if e.err != nil {
		r.f.Fatalf("Next: %v", e.err)
	}
	return e.m
}

// hear reads until it has heard all of want, in any order. Whatever else comes,
// and whatever comes twice, fails the test.
func (r *reader) hear(want ...said) {
	r.f.Helper()
	missing := make(map[said]bool, len(want))
	for _, w := range want {
		missing[w] = true
	}
	for len(missing) > 0 {
		m := r.message()
		got := said{m.Channel, string(m.Data)}
		if !missing[got] {
			r.f.Fatalf("heard %q in %q, which it must not, or not again; still waiting for %d others",
				got.text, got.channel, len(missing))
		}
		delete(missing, got)
	}
}

// ended reads the end of the Feed.
func (r *reader) ended() {
	r.f.Helper()
	if e := r.next(); !errors.Is(e.err, broker.ErrClosed) {
		r.f.Fatalf("Next of a closed Feed returned %q, %v; want ErrClosed", e.m.Data, e.err)
	}
}

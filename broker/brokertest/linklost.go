package brokertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// Two streams are published for as long as the link is away, whether that
// succeeds or not. What was accepted is either heard or in a gap.
func testLinkLost(f *fixture) {
	node, other := f.node(), f.node()
	channels := []string{"left", "right"}
	r := f.read(f.feed(node, channels...))
	r.hear(f.say(other, "left", "before"), f.say(other, "right", "before"))
	for round := range 3 {
		names := []string{fmt.Sprintf("left-%d", round), fmt.Sprintf("right-%d", round)}
		streams := f.stream(other, channels, names)
		f.cut(node)
		heard := r.untilMended(channels)
		unsure, ends := streams.stop(f)
		heard = r.untilEnds(heard, ends)
		t := newTally()
		t.unsure = unsure
		for _, e := range heard {
			if err := t.event(e); err != nil {
				f.Fatalf("round %d: %v", round, err)
			}
		}
		f.checkLink(node, uint64(round+1))
	}
}

// checkLink checks that a node which says how its link is says that it stands again, and has been
// lost at least so many times.
func (f *fixture) checkLink(node broker.Broker, lost uint64) {
	f.Helper()
	linked, ok := node.(broker.Linked)
	if !ok {
		return
	}
	for start := time.Now(); ; {
		now := linked.Link()
		switch {
		case now.Up && now.Restored >= lost:
			return
		case time.Since(start) > guard:
			f.Fatalf("the link was lost and restored %d times, but Link says %+v", lost, now)
		}
		runtime.Gosched()
	}
}

// untilMended reads until a gap was reported for each of channels, and a message
// heard in each after its gap.
func (r *reader) untilMended(channels []string) []event {
	r.f.Helper()
	var all []event
	told, mended := map[string]bool{}, map[string]bool{}
	for start := time.Now(); len(mended) < len(channels); {
		e := r.next()
		all = append(all, e)
		if e.err == nil {
			if told[e.m.Channel] {
				mended[e.m.Channel] = true
			}
		} else if g, err := asGap(e.err); err != nil {
			r.f.Fatalf("after the link was cut: %v", err)
		} else {
			for _, c := range g.Channels {
				told[c] = true
			}
		}
		if time.Since(start) > guard {
			r.f.Fatalf("the link was cut, but within %v a gap was reported for %d of %d channels", guard, len(told), len(channels))
		}
	}
	return all
}

// untilEnds reads on until all of ends were heard, counting those in heard.
func (r *reader) untilEnds(heard []event, ends []said) []event {
	r.f.Helper()
	missing := map[said]bool{}
	for _, end := range ends {
		missing[end] = true
	}
	for _, e := range heard {
		delete(missing, said{e.m.Channel, string(e.m.Data)})
	}
	for len(missing) > 0 {
		e := r.next()
		heard = append(heard, e)
		delete(missing, said{e.m.Channel, string(e.m.Data)})
	}
	return heard
}

// streams is one goroutine that publishes numbered messages until it is stopped.
type streams struct {
	node     broker.Broker
	channels []string
	names    []string // of the streams, one a channel
	quit     chan struct{}
	finished func()
	count    int             // messages a stream; for the goroutine, then for stop
	unsure   map[string]bool // texts that Publish returned an error for
}

func (f *fixture) stream(node broker.Broker, channels, names []string) *streams {
	s := &streams{node: node, channels: channels, names: names, quit: make(chan struct{}), unsure: map[string]bool{}}
	var once sync.Once
	wait := f.begin(1, func(int) error { return s.run(f.Context()) })
	s.finished = func() { once.Do(func() { close(s.quit) }); wait() }
	f.Cleanup(s.finished)
	return s
}

func (s *streams) run(ctx context.Context) error {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-s.quit:
			return nil
		case <-pace.C:
			s.count++
			if _, err := s.publish(ctx); err != nil {
				return err
			}
		}
	}
}

// publish publishes the newest number of each stream and returns what was
// accepted. That the backend is away is no error.
func (s *streams) publish(ctx context.Context) (accepted []said, err error) {
	for i, channel := range s.channels {
		text := numbered(s.names[i], s.count)
		switch err := publish(ctx, s.node, channel, text); {
		case err == nil:
			accepted = append(accepted, said{channel, text})
		case errors.Is(err, broker.ErrUnavailable), errors.Is(err, broker.ErrUncertain):
			s.unsure[text] = true
		default:
			return nil, fmt.Errorf("while the link is away: %w", err)
		}
	}
	return accepted, nil
}

// stop ends the streams with a number that was accepted in each.
func (s *streams) stop(f *fixture) (unsure map[string]bool, ends []said) {
	f.Helper()
	s.finished()
	for start := time.Now(); time.Since(start) < guard; {
		s.count++
		ends, err := s.publish(f.Context())
		if err != nil {
			f.Fatalf("%v", err)
		}
		if len(ends) == len(s.channels) {
			return s.unsure, ends
		}
	}
	f.Fatalf("the link is back, but no publication was accepted within %v", guard)
	return nil, nil
}

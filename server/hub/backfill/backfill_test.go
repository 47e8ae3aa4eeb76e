package backfill_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

// What the feed brings is delivered in order and once, whatever it has lost, repeated or made
// up; what cannot be had any more is a gap in its place.
func TestInItsPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		feed func(s *stage)
		want string
	}{
		{"nothing lost", func(s *stage) { s.say(true); s.say(true) }, "1, 2"},
		{"a hole ahead of a message", func(s *stage) { s.say(true); s.say(false); s.say(true) }, "1, 2, 3"},
		{"the first is lost", func(s *stage) { s.say(false); s.say(true) }, "1, 2"},
		{"the link was lost", func(s *stage) { s.say(false); s.filler.Lost(broker.LinkLost, s.channel); s.say(true) }, "1, 2"},
		{"the link was lost for nothing", func(s *stage) { s.say(true); s.filler.Lost(broker.LinkLost, s.channel); s.say(true) }, "1, 2"},
		{"a repeat", func(s *stage) { m := s.say(true); s.say(true); s.channel.Hear(m) }, "1, 2"},
		{"not kept for long enough", func(s *stage) { s.say(false); s.say(false); s.trim("c", 1); s.say(true) }, "gap not-retained, 2, 3"},
		{"begun anew", func(s *stage) { s.say(true); s.say(false); s.renew(); s.say(true) }, "1, gap new-epoch, 3"},
		{"deleted", func(s *stage) { s.say(true); s.renew(); s.filler.Lost(broker.LinkLost, s.channel) }, "1, gap not-retained"},
		{"a hole in the history", func(s *stage) { s.say(true); s.skip(); s.say(true) }, "1, gap not-retained, 2"},
		{"a made-up position", func(s *stage) {
			s.channel.Hear(broker.Message{Channel: "c", Data: []byte("!"), Position: broker.Position{Epoch: 100, Seq: 9}})
			synctest.Wait()
			s.say(true)
		}, "gap missing, 1"},
		{"what waited is gone when the history is there again", func(s *stage) {
			s.fail(broker.ErrUnavailable)
			s.say(false)
			s.say(true)
			synctest.Wait()
			s.renew()
			s.say(false)
			s.fail(nil)
			s.say(true)
		}, "gap missing, 2, gap new-epoch, 3, 4"},
		{"what came while the end of an epoch was read is not its end", func(s *stage) {
			gate := s.archive.hold()
			s.say(false)
			s.say(true)
			synctest.Wait()
			gate <- struct{}{} // how far the history goes
			synctest.Wait()
			s.say(true)
			s.say(false) // is nowhere
			s.renew()
			gate <- struct{}{}
			synctest.Wait()
			s.say(true)
			close(gate)
		}, "gap not-retained, gap missing, 3, gap new-epoch, 5"},
		{"no permission", func(s *stage) {
			s.fail(broker.ErrDenied)
			s.say(false)
			s.say(true)
			synctest.Wait()
			s.say(true)
		}, "gap missing, 2, 3"},
		{"ahead of Begin", func(s *stage) { s.channel.Forget(); s.say(true); s.filler.Lost(broker.LinkLost, s.channel) }, ""},
		{"forgotten and begun again", func(s *stage) {
			s.channel.Forget()
			s.say(false)
			_ = s.filler.Begin(context.Background(), s.channel)
			s.say(true)
		}, "2"},
		{"others beside the history", func(s *stage) {
			s.channel.Hear(outsider(1))
			s.say(true)
			s.channel.Hear(outsider(2))
		}, "outsider 1, 1, outsider 2"},
		{"a link lost with others beside the history", func(s *stage) {
			s.channel.Hear(outsider(1))
			s.filler.Lost(broker.LinkLost, s.channel)
			s.channel.Hear(outsider(2))
		}, "outsider 1, gap link-lost, outsider 2"},
		{"a link lost where another node has heard others", func(s *stage) {
			_ = s.Mark(context.Background(), "c")
			s.filler.Lost(broker.LinkLost, s.channel)
			s.say(true)
		}, "gap link-lost, 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, newArchive())
				c.feed(s)
				time.Sleep(time.Second)
				if got := s.take(); got != c.want {
					t.Errorf("heard %q, want %q", got, c.want)
				}
			})
		})
	}
}

// A history that cannot be read for a while is waited for; after a minute a gap is told, and what
// comes is trusted. What is lost while that is told, by a Sink that takes its time, is not forgotten.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newArchive())
		s.fail(broker.ErrUnavailable)
		s.say(false)
		s.say(true)
		time.Sleep(30 * time.Second)
		if got := s.take(); got != "" {
			t.Fatalf("heard %q within the patience", got)
		}
		s.fail(nil)
		time.Sleep(time.Second)
		if got := s.take(); got != "1, 2" {
			t.Fatalf("heard %q", got)
		}
		s.fail(broker.ErrUnavailable)
		s.say(false)
		s.say(true)
		s.say(true)
		gate := s.ear.hold()
		time.Sleep(2 * time.Minute) // it tells the gap
		s.say(false)
		s.fail(nil)
		s.filler.Lost(broker.Overrun, s.channel)
		close(gate)
		synctest.Wait()
		if got := s.take(); got != "gap missing, 3, 4, 5, 6" {
			t.Errorf("heard %q", got)
		}
	})
}

// What waits behind a hole is bounded; what does not fit is read again. What other programs
// publish cannot be: it is told.
func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newArchive())
		s.fail(broker.ErrUnavailable)
		s.say(false)
		for range 5000 {
			s.say(true)
		}
		s.channel.Hear(outsider(1))
		s.channel.Hear(outsider(2))
		s.say(true)
		s.fail(nil)
		time.Sleep(time.Second)
		heard := strings.Split(s.take(), ", ")
		if n := len(heard); n != 5003 || heard[4096] != "4097" || heard[5001] != "5002" || heard[5002] != "gap overrun" {
			t.Errorf("%d were heard, the last of them %q", n, heard[n-3:])
		}
	})
}

// What does not fit while the Sink takes its time over the last that was read is read again.
func TestWhatDoesNotFitWhileDelivering(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newArchive())
		gate := s.ear.hold()
		s.say(false)
		s.say(true)
		synctest.Wait()
		for range 5000 {
			s.say(true)
		}
		close(gate)
		time.Sleep(time.Second)
		if heard := strings.Split(s.take(), ", "); len(heard) != 5002 || heard[5001] != "5002" {
			t.Errorf("%d were heard, the last of them %q", len(heard), heard[len(heard)-1])
		}
	})
}

// A client that begins to read the history while the message of another program's waits, or is
// just being delivered, has that to come: what it reads is marked.
func TestOvertake(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		begin  func(s *stage) (release func())
		marked bool
	}{
		{"before it comes", func(s *stage) func() { s.channel.Hear(outsider(1)); return func() {} }, false},
		{"while it waits", func(s *stage) func() {
			s.fail(broker.ErrUnavailable)
			s.say(false)
			s.say(true)
			s.channel.Hear(outsider(1))
			synctest.Wait()
			return func() { s.fail(nil) }
		}, true},
		{"while it is delivered", func(s *stage) func() {
			gate := s.ear.hold()
			go s.channel.Hear(outsider(1))
			synctest.Wait()
			return func() { close(gate) }
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, newArchive())
				release := c.begin(s)
				seen := s.channel.Outsiders()
				release()
				time.Sleep(time.Second) // it is marked where it was heard
				last := s.say(true).Position
				for range 2 { // the second time there is nothing new
					var err error
					if seen, err = s.channel.Overtake(seen); err != nil {
						t.Fatal(err)
					}
					if marked := s.mark() == last; marked != c.marked {
						t.Errorf("marked behind what is read: %v", marked)
					}
				}
			})
		})
	}
}

// A loss at the end of a channel, where no later message shows it, is found.
func TestAudit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newArchive())
		s.say(false)
		time.Sleep(31 * time.Second)
		if got := s.take(); got != "1" {
			t.Errorf("heard %q", got)
		}
	})
}

// A Sink that takes its time holds up neither those who ask where the channel ends nor what
// waits behind it, and a fill that begins meanwhile does not overtake it.
func TestSlowSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newArchive())
		gate := s.ear.hold()
		m := s.say(false)
		go s.channel.Hear(m)
		synctest.Wait()
		if end := s.channel.Enter(func() {}); !end.Known || !end.Moving || end.At != m.Position {
			t.Errorf("the channel ends at %+v", end)
		}
		s.say(false)
		s.filler.Lost(broker.LinkLost, s.channel)
		synctest.Wait()
		if got := s.take(); got != "1" {
			t.Errorf("heard %q while the first was being delivered", got)
		}
		close(gate)
		synctest.Wait()
		if got := s.take(); got != "2" {
			t.Errorf("heard %q", got)
		}
		if end := s.channel.Enter(func() {}); end.Moving {
			t.Error("something is on its way still")
		}
	})
}

// However many channels have holes, a bounded number of histories is read at a time.
func TestReadings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newArchive())
		channels := make([]*backfill.Channel, 100)
		for i := range channels {
			channels[i] = s.filler.Channel("c", &ear{})
		}
		if err := s.filler.Begin(t.Context(), channels...); err != nil {
			t.Fatal(err)
		}
		s.say(false)
		s.renew() // so that none is where its history ends
		gate := s.archive.hold()
		s.filler.Lost(broker.LinkLost, channels...)
		time.Sleep(time.Second)
		gate <- struct{}{} // Newest
		synctest.Wait()
		s.archive.mu.Lock()
		if s.reading != 16 {
			t.Errorf("%d readings at a time", s.reading)
		}
		s.archive.mu.Unlock()
		close(gate)
	})
}

// An empty channel is told that histories have begun anew, also where it is just being filled.
func TestBegunAnew(t *testing.T) {
	t.Parallel()
	for name, filled := range map[string]bool{"at rest": false, "while it is filled": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, newArchive())
				s.renew()
				s.channel.Forget()
				if err := s.filler.Begin(t.Context(), s.channel); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				since := time.Now()
				time.Sleep(time.Second)
				var gate chan struct{}
				if filled {
					gate = s.archive.hold()
					s.filler.Lost(broker.LinkLost, s.channel)
					synctest.Wait()
				}
				s.filler.Anew(since)
				if filled {
					close(gate)
				}
				synctest.Wait()
				if got := s.take(); got != "gap "+string(transport.NewEpoch) {
					t.Errorf("heard %q", got)
				}
			})
		})
	}
}

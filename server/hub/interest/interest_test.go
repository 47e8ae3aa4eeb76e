package interest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/interest"
)

// A channel is prepared and carried for the first who wants it, stays a while after the last,
// and is then left and gone.
func TestCarriedWhileWanted(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, s *stage) {
		w, err := s.want(t, "c")
		if err != nil || !s.carries("c") {
			t.Fatal("not carried:", err)
		}
		s.Acquire(w)
		s.Release(w)
		s.Release(w)
		time.Sleep(linger / 2)
		s.Acquire(w) // again, before it is gone
		s.Release(w)
		time.Sleep(linger - time.Millisecond)
		if !s.carries("c") || !slices.Equal(s.Carried(), []string{"c"}) {
			t.Error("it did not stay")
		}
		time.Sleep(2 * time.Millisecond)
		if s.carries("c") || len(s.Carried()) > 0 || s.IsWanted(w) {
			t.Error("it stays for ever")
		}
		for what, got := range map[string][]string{"prepared": s.heard(&s.said.prepared), "left": s.heard(&s.said.left), "gone": s.heard(&s.said.gone)} {
			if !slices.Equal(got, []string{"c"}) {
				t.Errorf("%s: %q", what, got)
			}
		}
	})
}

// A session that comes while a channel is being removed waits until it is carried again.
func TestWantedWhileRemoved(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, s *stage) {
		w, err := s.want(t, "c")
		if err != nil {
			t.Fatal(err)
		}
		removing, goOn := make(chan struct{}), make(chan struct{})
		s.backend.removing(func() { close(removing); <-goOn })
		s.Release(w)
		<-removing
		s.backend.removing(nil)
		s.Acquire(w)
		confirmed := make(chan error, 1)
		go func() { confirmed <- s.Confirm(t.Context(), w)[0] }()
		synctest.Wait()
		select {
		case err := <-confirmed:
			t.Fatal("confirmed while it is being removed:", err)
		default:
		}
		close(goOn)
		if err := <-confirmed; err != nil || !s.carries("c") {
			t.Error("not carried:", err)
		}
	})
}

// A channel that the broker refuses keeps no other waiting. One that asks just after a refusal is
// told of it at once; one that wants the channel anew has the broker asked anew; and it is asked for
// now and then while somebody wants it.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		refusal error
		retried time.Duration
	}{{broker.ErrDenied, 30 * time.Second}, {errors.New("not a subject"), time.Second}} {
		play(t, func(t *testing.T, s *stage) {
			s.failing(refusing(c.refusal, "bad"))
			began := time.Now()
			wants := make([]*interest.Want, 20)
			for i := range wants {
				wants[i] = s.Channel(fmt.Sprint(i))
			}
			bad := s.Channel("bad")
			wants[7] = bad
			for _, w := range wants {
				s.Acquire(w)
			}
			synctest.Wait()
			for i, err := range s.Confirm(t.Context(), wants...) {
				if (i == 7) != errors.Is(err, c.refusal) || (i == 7) != errors.Is(err, interest.ErrNotConfirmed) {
					t.Errorf("channel %d: %v", i, err)
				}
			}
			if err := s.Confirm(t.Context(), bad)[0]; !errors.Is(err, c.refusal) {
				t.Error("just after the refusal:", err)
			}
			s.Acquire(bad)
			if err := s.Confirm(t.Context(), bad)[0]; !errors.Is(err, c.refusal) {
				t.Error("the next who wants it:", err)
			}
			s.failing(nil)
			time.Sleep(c.retried + time.Millisecond)
			if !s.carries("bad") {
				t.Error("it is not carried though it is not refused any more")
			}
			s.failing(refusing(c.refusal, "other"))
			other, _ := s.want(t, "other")
			s.failing(nil)
			s.Acquire(other)
			if err := s.Confirm(t.Context(), other)[0]; err != nil {
				t.Error("the next who wants it, and it is not refused any more:", err)
			}
			if took := time.Since(began); took > c.retried+time.Millisecond {
				t.Error("it took", took)
			}
		})
	}
}

// While the backend is away everybody waits, and what fails is heard. Waiting ends with the
// caller's patience.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, s *stage) {
		s.failing(func([]string) error { return broker.ErrUnavailable })
		w := s.Channel("c")
		s.Acquire(w)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Confirm(ctx, w)[0]; !errors.Is(err, interest.ErrNotConfirmed) {
			t.Error(err)
		}
		s.said.Lock()
		if !errors.Is(s.said.failed, broker.ErrUnavailable) {
			t.Error("failed with", s.said.failed)
		}
		s.said.Unlock()
		s.failing(nil)
		if err := s.Confirm(t.Context(), w)[0]; err != nil {
			t.Error(err)
		}
		s.failing(func([]string) error { return broker.ErrUnavailable }) // the link is lost
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Confirm(ctx, w)[0]; !errors.Is(err, broker.ErrUnavailable) {
			t.Error("confirmed over a link that does not stand:", err)
		}
	})
}

// A vital channel that is refused is asked for until it is not.
func TestVital(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, s *stage) {
		s.failing(refusing(broker.ErrDenied, "vital"))
		w := s.Vital("vital")
		s.Acquire(w)
		time.Sleep(time.Minute)
		s.failing(nil)
		if err := s.Await(t.Context(), w); err != nil {
			t.Error(err)
		}
	})
}

// What a feed carried that ends by itself is lost from then on until the next feed carries it,
// which is told both times.
func TestFeedEnds(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, s *stage) {
		w, err := s.want(t, "c")
		if err != nil {
			t.Fatal(err)
		}
		s.failing(func([]string) error { return broker.ErrUnavailable })
		s.endFeed()
		synctest.Wait()
		if got := s.heard(&s.said.lost); !slices.Equal(got, []string{"c"}) {
			t.Errorf("lost at the end: %q", got)
		}
		s.failing(nil)
		if err := s.Confirm(t.Context(), w)[0]; err != nil || !s.carries("c") {
			t.Error("not carried by the next feed:", err)
		}
		synctest.Wait()
		if got := s.heard(&s.said.lost); !slices.Equal(got, []string{"c"}) {
			t.Errorf("lost until it is carried: %q", got)
		}
	})
}

// A channel that the feed has dropped is asked for again, and one that cannot be removed is
// removed later, also if nobody wants it any more.
func TestDroppedAndStale(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, s *stage) {
		w, err := s.want(t, "c")
		if err != nil {
			t.Fatal(err)
		}
		s.failing(refusing(broker.ErrDenied, "c"))
		s.forget("c")
		s.Dropped(w)
		if err := s.Confirm(t.Context(), w)[0]; !errors.Is(err, broker.ErrDenied) {
			t.Error("dropped, and then:", err)
		}
		s.failing(nil)
		time.Sleep(31 * time.Second)
		s.failing(refusing(broker.ErrUnavailable, "c"))
		s.Release(w)
		time.Sleep(time.Minute)
		if got := s.heard(&s.said.gone); len(got) > 0 {
			t.Errorf("gone while the broker may send it: %q", got)
		}
		s.failing(nil)
		time.Sleep(time.Minute)
		if got := s.heard(&s.said.gone); s.carries("c") || !slices.Equal(got, []string{"c"}) {
			t.Errorf("carried: %v; gone: %q", s.carries("c"), got)
		}
	})
}

// After Run has ended nobody waits any more, and what failed because of its end is not heard.
func TestClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		w := s.Channel("c")
		s.Acquire(w)
		waiting := make(chan error)
		go func() { waiting <- s.Confirm(context.Background(), w)[0] }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.failing(func([]string) error { return broker.ErrClosed })
		s.Run(ctx)
		if err := <-waiting; !errors.Is(err, interest.ErrClosed) {
			t.Error(err)
		}
		if s.said.failed != nil {
			t.Error("failed with", s.said.failed)
		}
	})
}

package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// A channel that the broker does not allow any more ends alone: those who listen
// to it are told, and ended where they have no other channel or no words for it.
// It is refused to those who come, until it is allowed again.
func TestChannelDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deny atomic.Bool
		b := script()
		b.add = func(channels []string) error {
			if deny.Load() && slices.Contains(channels, "secret") {
				return fmt.Errorf("test: %w", broker.ErrDenied)
			}
			return nil
		}
		h := newHub(t, b, hub.Options{Workers: 1})
		alone, both := join(t, h, &lines{}, false, "secret"), join(t, h, &lines{}, false, "secret", "open")
		untold, other := join(t, h, &mute{}, false, "secret", "open"), join(t, h, &lines{}, false, "open")
		deny.Store(true)
		b.end <- &broker.GapError{Channels: []string{"secret", "unknown"}, Reason: broker.Denied}
		ended := fmt.Sprintf("end %d\n", transport.CloseDenied)
		for _, c := range []struct {
			name string
			c    *client
			want string
		}{{"alone", alone, "gap secret\n" + ended}, {"without words", untold, ended}, {"with another channel", both, "gap secret\n"}} {
			if got := c.c.read(t, strings.Count(c.want, "\n")); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		}
		alone.leave()
		untold.leave()
		_, err := open(context.Background(), h, sockets.New(), &lines{}, []string{"secret"})
		if !errors.Is(err, broker.ErrDenied) {
			t.Errorf("joining a denied channel: error %v, want one that matches ErrDenied", err)
		}
		publish(t, b, "open", "1")
		for _, c := range []*client{both, other} {
			if got := c.read(t, 1); got != "open 1\n" {
				t.Error(got)
			}
		}
		deny.Store(false)
		again := join(t, h, &lines{}, false, "secret")
		publish(t, b, "secret", "2")
		for _, c := range []*client{both, again} {
			if got := c.read(t, 1); got != "secret 2\n" {
				t.Error(got)
			}
			c.leave()
		}
		other.leave()
		h.Close()
		_ = b.Close()
	})
}

package node_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/limit"
	"github.com/pregon/pregon/server/node"
)

// limited returns a node with limits, where anyone may publish to two rules' channels.
func limited(t *testing.T, limits node.Limits, keys ...access.Key) (*node.Node, *access.Policy) {
	t.Helper()
	policy, err := access.New(access.Config{Keys: keys, Rules: []access.Rule{
		{Channels: []string{"slow.*"}, Subscribe: access.Anyone, Publish: access.Anyone, Rate: access.Rate{Events: 2, Per: time.Hour}},
		{Channels: []string{"**"}, Subscribe: access.Anyone, Publish: access.Anyone},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := memory.New()
	h, err := hub.New(context.Background(), b, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); _ = b.Close() })
	n := node.New(b, h, node.Options{Access: policy, Limits: limits})
	t.Cleanup(n.Close)
	return n, policy
}

var (
	home     = netip.MustParseAddr("2001:db8::1")
	sameHome = netip.MustParseAddr("2001:db8::2:1")
	away     = netip.MustParseAddr("192.0.2.1")
)

// refused counts the results that are too fast, and fails the test where one has another
// error or may have been published all the same.
func refused(t *testing.T, results []broker.Result) (n int) {
	t.Helper()
	for _, r := range results {
		switch {
		case errors.Is(r.Err, limit.ErrTooFast) && broker.OutcomeOf(r.Err) == broker.NotPublished, errors.Is(r.Err, node.ErrHeldBack):
			n++
		case r.Err != nil:
			t.Error(r.Err)
		}
	}
	return n
}

func messages(n int, channel string) []broker.Message {
	ms := make([]broker.Message, n)
	for i := range ms {
		ms[i].Channel = channel
	}
	return ms
}

// A subject, or a network where there is none, publishes as fast as all and its rule allow;
// what others do does not count, nor what the broker's own programs do.
func TestPublishRates(t *testing.T) {
	t.Parallel()
	n, _ := limited(t, node.Limits{PublishRate: access.Rate{Events: 5, Per: time.Hour}})
	for _, c := range []struct {
		caller  *access.Caller
		from    netip.Addr
		count   int
		channel string
		refused int
	}{
		{user("ana"), home, 1, "a", 0}, {user("ana"), away, 4, "a", 0}, {user("ana"), away, 1, "a", 1}, // whatever the address
		{user("bob"), home, 2, "slow.1", 0}, {user("bob"), home, 1, "slow.2", 1}, {user("bob"), home, 3, "a", 0}, {user("bob"), home, 1, "a", 1},
		{access.Stranger, home, 5, "a", 0}, {access.Stranger, sameHome, 1, "a", 1}, {user(""), sameHome, 1, "a", 1}, {access.Stranger, away, 1, "a", 0},
		{access.Stranger, away, 5, "b", 1}, // of more than is left as many as there are
		{access.Program, netip.Addr{}, 100, "slow.1", 0},
	} {
		if got := refused(t, n.Client(c.caller, c.from).Publish(t.Context(), messages(c.count, c.channel)...)); got != c.refused {
			t.Errorf("%v: %d refused", c, got)
		}
	}
	if publications, _ := n.Limited(); publications == 0 {
		t.Error("nothing was counted")
	}
	n.SetLimits(node.Limits{})
	if got := refused(t, n.Client(user("ana"), home).Publish(t.Context(), messages(100, "a")...)); got != 0 {
		t.Error("limits that are gone count")
	}
}

// Of a batch that is published as a whole nothing is where a part of it is too fast. Where it is
// not, each message passes by itself, as those do that a client sends one after the other, and one
// that does not is told when to come again.
func TestBatchesThatAreTooFast(t *testing.T) {
	t.Parallel()
	n, _ := limited(t, node.Limits{})
	batch := append(messages(3, "slow.1"), messages(2, "a")...)
	if got := refused(t, n.Client(user("ana"), home).PublishAllOrNone(t.Context(), batch...)); got != 5 {
		t.Errorf("%d of 5 refused", got)
	}
	if got := refused(t, n.Client(user("ana"), home).Publish(t.Context(), batch...)); got != 1 {
		t.Errorf("%d refused", got)
	}
	var fast *limit.TooFastError
	if err := n.Client(user("eva"), home).Publish(t.Context(), batch...)[2].Err; !errors.As(err, &fast) || fast.RetryAfter == 0 {
		t.Error("one that may come again is not told when:", err)
	}
	if err := n.Client(user("bob"), home).PublishAllOrNone(t.Context(), messages(3, "slow.1")...)[0].Err; !errors.As(err, &fast) || fast.RetryAfter != 0 {
		t.Error("more than may ever be published together is told to come again", err)
	}
}

// A key has a rate of its own, and no other.
func TestKeyRates(t *testing.T) {
	t.Parallel()
	digest, err := access.DigestOf("abcdefghijklmnopqrst")
	if err != nil {
		t.Fatal(err)
	}
	n, policy := limited(t, node.Limits{PublishRate: access.Rate{Events: 1, Per: time.Hour}}, access.Key{Name: "app", Digest: digest, Rate: access.Rate{Events: 3, Per: time.Hour}})
	caller, err := policy.Authenticate(t.Context(), "abcdefghijklmnopqrst", true)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 0, 0, 1} {
		if got := refused(t, n.Client(caller, home).Publish(t.Context(), messages(1, "slow.1")...)); got != want {
			t.Errorf("%d: %d refused", i, got)
		}
	}
}

package limit_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/limit"
)

func bucket(name, use string, events int) limit.Bucket {
	return limit.Bucket{Of: limit.Caller{Name: name}, For: use, Rate: access.Rate{Events: events, Per: time.Second}}
}

// A caller gets as many as its rate has, at once and over time, whatever others do; and what
// is refused says when it would be taken.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r limit.Rates
		take := func(n int, want bool, b ...limit.Bucket) (wait time.Duration) {
			t.Helper()
			err := r.Take(n, b...)
			var fast *limit.TooFastError
			if (err == nil) != want || err != nil && (!errors.Is(err, limit.ErrTooFast) || !errors.As(err, &fast)) {
				t.Errorf("%d of %v: %v", n, b, err)
			}
			if fast != nil {
				return fast.RetryAfter
			}
			return 0
		}
		ana := bucket("ana", "", 5)
		for range 5 {
			take(1, true, ana)
		}
		if wait := take(1, false, ana); wait != 200*time.Millisecond {
			t.Error(wait)
		}
		take(1, true, bucket("bob", "", 5))
		take(1, true, bucket("ana", "a rule", 5))
		time.Sleep(200 * time.Millisecond)
		take(1, true, ana)
		take(1, false, ana)

		// What one bucket refuses the other is not charged for.
		narrow := bucket("ana", "narrow", 1)
		take(1, true, narrow)
		time.Sleep(200 * time.Millisecond)
		take(1, false, ana, narrow)
		take(1, true, ana)

		// More than there can be at once is never taken, and costs nothing.
		time.Sleep(time.Second)
		if wait := take(6, false, ana); wait != 0 {
			t.Error(wait)
		}
		take(5, true, ana)

		// A rate that was reloaded counts at once.
		time.Sleep(10 * time.Second)
		take(5, true, ana)
		time.Sleep(time.Second)
		take(2, true, bucket("ana", "", 2))
		take(1, false, bucket("ana", "", 2))
	})
}

// However many callers come, memory is bounded, and one that goes on is not forgotten.
func TestRatesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r limit.Rates
		busy, taken := bucket("busy", "", 3), 0
		for i := range 250_000 {
			if r.Take(1, bucket(fmt.Sprint(i), "", 1)) != nil {
				t.Fatal("a caller was not known apart from others")
			}
			if i%10_000 == 0 && r.Take(1, busy) == nil {
				taken++
			}
		}
		if taken != 3 {
			t.Errorf("a caller that goes on was let through %d times", taken)
		}
	})
}

// Nobody has more than the most, and what is given back counts again.
func TestCounts(t *testing.T) {
	var c limit.Counts
	a, b := limit.Network(netip.MustParseAddr("192.0.2.1")), limit.Network(netip.MustParseAddr("192.0.2.2"))
	var all sync.WaitGroup
	got := make(chan bool, 100)
	for range 100 {
		all.Go(func() { got <- c.Acquire(a, 10) })
	}
	all.Wait()
	close(got)
	n := 0
	for ok := range got {
		if ok {
			n++
		}
	}
	if n != 10 || c.Of(a) != 10 || c.Of(b) != 0 || !c.Acquire(b, 10) {
		t.Error(n, c.Of(a))
	}
	c.Release(a)
	if !c.Acquire(a, 10) || c.Acquire(a, 10) || !c.Acquire(a, 0) || !c.Acquire(limit.Prefix{}, 1) || !c.Acquire(limit.Prefix{}, 1) {
		t.Error("acquired", c.Of(a))
	}
	for range 11 {
		c.Release(a)
	}
	if c.Release(limit.Prefix{}); c.Of(a) != 0 {
		t.Error(c.Of(a))
	}
}

// An address is the peer's, and behind trusted proxies the last one that none of them has
// written.
func TestAddressOf(t *testing.T) {
	trusted := []limit.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:99", nil, "192.0.2.1"},
		{"192.0.2.1:99", []string{"198.51.100.1"}, "192.0.2.1"},
		{"10.0.0.1:99", nil, "10.0.0.1"},
		{"10.0.0.1:99", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:99", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:99", []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:99", []string{"198.51.100.1, 10.1.1.1,10.2.2.2"}, "198.51.100.1"},
		{"10.0.0.1:99", []string{"10.9.9.9"}, "10.9.9.9"},
		{"10.0.0.1:99", []string{"198.51.100.1, nonsense"}, "10.0.0.1"},
		{"10.0.0.1:99", []string{"nonsense, 10.3.3.3"}, "10.3.3.3"},
		{"10.0.0.1:99", []string{""}, "10.0.0.1"},
		{"10.0.0.1:99", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"10.0.0.1:99", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"10.0.0.1:99", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"10.0.0.1:99", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"[::ffff:10.0.0.1]:99", []string{"198.51.100.1"}, "198.51.100.1"},
		{"[fd00::1%eth0]:99", []string{"2001:db8::2"}, "2001:db8::2"},
		{"@", []string{"198.51.100.1"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := limit.AddressOf(r, trusted); got.String() != c.want {
			t.Errorf("%v: %v", c, got)
		}
	}
	many := http.Header{}
	for range 1000 {
		many.Add("X-Forwarded-For", "10.7.7.7")
	}
	if got := limit.AddressOf(&http.Request{RemoteAddr: "10.0.0.1:1", Header: many}, trusted); got.String() != "10.7.7.7" {
		t.Error(got)
	}
}

// All addresses that one customer has are one.
func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := limit.Network(netip.MustParseAddr(address)); got.String() != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	if limit.Network(netip.Addr{}).IsValid() {
		t.Error("no address has a network")
	}
}

func BenchmarkTake(b *testing.B) {
	var r limit.Rates
	ana := bucket("ana", "", 1_000_000)
	for b.Loop() {
		_ = r.Take(1, ana)
	}
}

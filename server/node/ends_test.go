package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// lines is a protocol of one line for each message, gap and end.
type lines struct{}

func (lines) Message(m broker.Message) []byte { return fmt.Appendf(nil, "%s\n", m.Data) }
func (lines) Gap(transport.Gap) []byte        { return []byte("gap\n") }
func (lines) Ping() []byte                    { return nil }
func (lines) Close(r transport.CloseReason) []byte {
	return fmt.Appendf(nil, "end %d\n", r)
}

func end(reason transport.CloseReason) string { return fmt.Sprintf("end %d", reason) }

// A listener is a connection that takes all that it is sent, and notes when it was ended.
type listener struct {
	net.Conn // nil: nothing else of it is used
	session  transport.Session

	over chan struct{} // closed when the last message, or the end, was heard

	mu    sync.Mutex
	heard []string
	at    time.Time // of the last
}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		line = strings.TrimSpace(line)
		l.heard, l.at = append(l.heard, line), time.Now()
		if line == "last" || strings.HasPrefix(line, "end ") {
			close(l.over)
		}
	}
	return len(p), nil
}

// last returns what it has heard last, and when.
func (l *listener) last() (string, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.heard) == 0 {
		return "", l.at
	}
	return l.heard[len(l.heard)-1], l.at
}

func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

func (l *listener) CloseWrite() error               { return nil }
func (l *listener) Close() error                    { return nil }
func (l *listener) SetReadDeadline(time.Time) error { return nil }

// A house is a node with listeners, on a broker in memory.
type house struct {
	*node.Node
	t       testing.TB
	sockets *socket.Group
	open    []func()
}

func newHouse(t testing.TB, b broker.Broker, p *access.Policy) *house {
	t.Helper()
	return newHouseWith(t, b, node.Options{Access: p})
}

func newHouseWith(t testing.TB, b broker.Broker, o node.Options) *house {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	o.Logger = quiet
	h, err := hub.New(context.Background(), b, hub.Options{Logger: quiet, PingInterval: 100 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	limits := socket.Limits{Bytes: 1 << 30, Messages: 1 << 20, WriteTimeout: time.Hour, Linger: time.Hour}
	house := &house{Node: node.New(b, h, o), t: t, sockets: socket.NewGroup(limits)}
	house.open = append(house.open, func() { house.Node.Close(); h.Close(); _ = b.Close(); house.sockets.Wait() })
	return house
}

// close ends all that the house has, in the test's own time.
func (h *house) close() {
	for i := len(h.open) - 1; i >= 0; i-- {
		h.open[i]()
	}
}

func (h *house) listen(by *access.Caller, channels ...string) *listener {
	h.t.Helper()
	l, s := &listener{over: make(chan struct{})}, h.sockets.New()
	s.Attach(l)
	subs := make([]transport.Subscription, len(channels))
	for i := range channels {
		subs[i].Channel = channels[i]
	}
	session, err := transport.Open(h.t.Context(), h.Client(by, netip.Addr{}), transport.Subscriber{Socket: s, Encoding: lines{}, Control: lines{}}, subs)
	if err != nil {
		h.t.Fatal(err)
	}
	s.Uncork()
	l.session = session
	h.open = append(h.open, func() { session.Leave(); _ = s.Close() })
	return l
}

func (h *house) publish(channel, text string) {
	h.t.Helper()
	if err := h.Client(access.Program, netip.Addr{}).Publish(h.t.Context(), broker.Message{Channel: channel, Data: []byte(text)})[0].Err; err != nil {
		h.t.Error(err)
	}
}

func expiring(at time.Time) *access.Caller {
	return access.NewCaller(transport.Identity{Kind: transport.User, Subject: "ana", Expires: at})
}

// 10,000 credentials that expire together end their connections after that and within six
// seconds, not all at once, and somebody else hears every message meanwhile. They hear on
// until then, and may do nothing new.
func TestTenThousandExpireTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 10_000
		h := newHouse(t, memory.New(), policy(t, access.Rule{Channels: []string{"**"}, Subscribe: access.Token}))
		defer h.close()
		expires := time.Now().Add(time.Minute)
		var crowd []*listener
		for i := range many {
			crowd = append(crowd, h.listen(expiring(expires), fmt.Sprint("c", i%100)))
		}
		bystander := h.listen(user("bob"), "c0")
		time.Sleep(time.Minute - time.Second)
		const messages = 800
		for i := range messages { // from a second before to seven after
			h.publish("c0", fmt.Sprint(i))
			time.Sleep(10 * time.Millisecond)
		}
		perTenth := map[time.Duration]int{}
		for i, l := range crowd {
			last, at := l.last()
			after := at.Sub(expires)
			if last != end(transport.CloseExpired) || after <= 0 || after >= 6*time.Second {
				t.Fatalf("%q %v after it has expired", last, after)
			}
			if heard := l.all(); i%100 == 0 && len(heard) < 400 {
				t.Errorf("it heard %d messages, and not on until its end", len(heard))
			}
			perTenth[after/(100*time.Millisecond)]++
		}
		for tenth, n := range perTenth {
			if n > many/5 {
				t.Errorf("%d were closed in the tenth of a second from %v", n, tenth*100*time.Millisecond)
			}
		}
		for i, heard := range bystander.all() {
			if heard != fmt.Sprint(i) {
				t.Fatalf("the bystander heard %q as message %d", heard, i)
			}
		}
		if n := len(bystander.all()); n != messages {
			t.Errorf("the bystander heard %d of %d messages", n, messages)
		}
		_, _, err := h.Client(expiring(expires), netip.Addr{}).Watch(t.Context(), "c0")
		if !errors.Is(err, access.ErrUnauthorized) {
			t.Errorf("an expired caller may do something new: %v", err)
		}
	})
}

// A reload ends whose rights are taken away, within a second, and nobody else: whether a rule
// was changed, a key is gone or has fewer patterns, or what was open has rules now.
func TestReload(t *testing.T) {
	t.Parallel()
	const secret = "app-app-app-app-app-app"
	digest, err := access.DigestOf(secret)
	if err != nil {
		t.Fatal(err)
	}
	made := func(key []access.Key, rules ...access.Rule) *access.Policy {
		p, err := access.New(access.Config{Keys: key, Rules: rules})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	key := func(patterns ...string) []access.Key {
		return []access.Key{{Name: "app", Digest: digest, Subscribe: patterns}}
	}
	anyone := access.Rule{Channels: []string{"a", "b"}, Subscribe: access.Anyone}
	token := access.Rule{Channels: []string{"a", "b"}, Subscribe: access.Token}
	onlyA := access.Rule{Channels: []string{"a"}, Subscribe: access.Anyone}
	granted := access.Rule{Channels: []string{"a", "b"}, Subscribe: access.Grant}
	for name, c := range map[string]struct {
		before, after *access.Policy
		ended         string // of stranger, user, grant, key, program
	}{
		"the same":               {made(key("a", "b"), anyone), made(key("a", "b"), anyone), ""},
		"more for some":          {made(key("a", "b"), anyone), made(key(), anyone, token), ""},
		"a token is asked for":   {made(key("a", "b"), anyone), made(key("a", "b"), token), "stranger"},
		"a grant is asked for":   {made(key("a", "b"), anyone), made(key("a", "b"), granted), "stranger user"},
		"one of two channels":    {made(key("a", "b"), anyone), made(key("a", "b"), onlyA), "stranger user grant"},
		"a key's pattern":        {made(key("a", "b"), anyone), made(key("a"), anyone), "key"},
		"a key":                  {made(key("a", "b"), anyone), made(nil, anyone), "key"},
		"what was open":          {access.Open(), made(key("a", "b"), token), "stranger"},
		"what is open from then": {made(key("a", "b"), anyone), access.Open(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, memory.New(), c.before)
				defer h.close()
				withKey, err := made(key("a", "b"), anyone).Authenticate(t.Context(), secret, true)
				if err != nil {
					t.Fatal(err)
				}
				all := map[string]*listener{}
				for who, by := range map[string]*access.Caller{
					"stranger": access.Stranger, "user": user("ana"), "grant": user("bob", "a", "b"), "key": withKey, "program": access.Program,
				} {
					all[who] = h.listen(by, "a", "b")
				}
				h.publish("a", "before")
				synctest.Wait()
				h.SetPolicy(c.after)
				time.Sleep(time.Second)
				h.publish("b", "after")
				synctest.Wait()
				for who, l := range all {
					want := "before after"
					if strings.Contains(c.ended, who) {
						want = "before " + end(transport.CloseForbidden)
					}
					if got := strings.Join(l.all(), " "); got != want {
						t.Errorf("%s heard %q, want %q", who, got, want)
					}
				}
			})
		})
	}
}

// A reload while somebody subscribes is no way in: who is let in by the rules of before is
// asked once more.
func TestSubscribingWhileReloading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &waiting{Broker: memory.New(), confirm: make(chan struct{})}
		h := newHouse(t, b, policy(t, access.Rule{Channels: []string{"a"}, Subscribe: access.Anyone}))
		defer h.close()
		c := h.Client(access.Stranger, netip.Addr{})
		subscribed, watched := make(chan error, 1), make(chan error, 1)
		go func() { subscribed <- subscribe(t.Context(), c, "a") }()
		go func() { _, _, err := c.Watch(t.Context(), "a"); watched <- err }()
		synctest.Wait()
		h.SetPolicy(policy(t, access.Rule{Channels: []string{"a"}, Subscribe: access.Token}))
		close(b.confirm)
		for what, result := range map[string]chan error{"subscribe": subscribed, "watch": watched} {
			if err := <-result; !errors.Is(err, access.ErrUnauthorized) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// A waiting broker does not confirm channel a before it may.
type waiting struct {
	broker.Broker
	confirm chan struct{}
}

type waitingFeed struct {
	broker.Feed
	*waiting
}

func (w *waiting) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := w.Broker.Feed(ctx)
	return waitingFeed{f, w}, err
}

func (f waitingFeed) Close() error { return f.Feed.Close() }

func (f waitingFeed) Subscribe(ctx context.Context, channels ...string) error {
	if channels[0] == "a" {
		<-f.confirm
	}
	return f.Feed.Subscribe(ctx, channels...)
}

// A caller that waits for news is woken when it may not read them any more, by a reload or by
// its end, and its next look tells it so; others wait on.
func TestWatchesAreWoken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		anyone := policy(t, access.Rule{Channels: []string{"a"}, Subscribe: access.Anyone})
		h := newHouse(t, withHistory(), anyone)
		defer h.close()
		expires := time.Now().Add(time.Minute)
		woken := map[string]<-chan struct{}{}
		callers := map[string]*access.Caller{"stranger": access.Stranger, "user": user("ana"), "expiring": expiring(expires)}
		for who, by := range callers {
			news, stop, err := h.Client(by, netip.Addr{}).Watch(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			woken[who] = news
		}
		is := func(want string) {
			t.Helper()
			synctest.Wait()
			for who, news := range woken {
				select {
				case <-news:
					_, err := h.Client(callers[who], netip.Addr{}).History(t.Context(), "a", broker.Query{Limit: 1})
					if who != want || !errors.Is(err, access.ErrUnauthorized) {
						t.Errorf("%s was woken: %v", who, err)
					}
				default:
					if who == want {
						t.Errorf("%s was not woken", who)
					}
				}
			}
		}
		h.SetPolicy(anyone)
		is("")
		h.SetPolicy(policy(t, access.Rule{Channels: []string{"a"}, Subscribe: access.Token}))
		is("stranger")
		time.Sleep(time.Minute + 4*time.Second)
		is("")
		time.Sleep(2 * time.Second)
		is("expiring")
	})
}

// A hundred reloads under load that concern nobody end nothing and lose nothing, while others
// come and go.
func TestReloadsThatConcernNobody(t *testing.T) {
	t.Parallel()
	const channels, listeners, reloads, between = 8, 64, 100, 10
	rule := func(patterns ...string) access.Rule {
		return access.Rule{Channels: patterns, Subscribe: access.Token}
	}
	policies := []*access.Policy{policy(t, rule("c.*")), policy(t, rule("other"), rule("**"))}
	h := newHouse(t, memory.New(), policies[0])
	defer h.close()
	var all []*listener
	for i := range listeners {
		all = append(all, h.listen(user("ana"), fmt.Sprint("c.", i%channels)))
	}
	over, reload := make(chan struct{}), make(chan struct{})
	var guests, load sync.WaitGroup
	guests.Go(func() {
		for c := h.Client(user("bob"), netip.Addr{}); ; {
			select {
			case <-over:
				return
			default:
				if err := subscribe(t.Context(), c, "c.0"); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range channels {
		load.Go(func() {
			for n := range reloads * between {
				if h.publish(fmt.Sprint("c.", i), fmt.Sprint(n)); i == 0 && n%between == 0 {
					reload <- struct{}{}
				}
			}
			h.publish(fmt.Sprint("c.", i), "last")
		})
	}
	for i := range reloads {
		<-reload
		h.SetPolicy(policies[(i+1)%2])
	}
	load.Wait()
	close(over)
	guests.Wait()
	for _, l := range all {
		<-l.over
		for n, text := range l.all() {
			if want := fmt.Sprint(n); text != want && (text != "last" || n != reloads*between) {
				t.Fatalf("%q is message %d", text, n)
			}
		}
	}
}

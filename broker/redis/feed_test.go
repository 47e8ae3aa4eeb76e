package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// Ten thousand channels are asked for in commands of at most a thousand names,
// both at first and after the link was lost, and then each is told of its gap.
func TestManyChannels(t *testing.T) {
	server := redistest.StartFake(t, redistest.Confirm)
	channels := make([]string, 10_000)
	for i := range channels {
		channels[i] = fmt.Sprintf("channel-%d", i)
	}
	f := newFeed(t, newBroker(t, options(server.Addr())), channels...)
	server.Cut()
	hearGap(t, f, channels...)

	names := 0
	for _, args := range server.Commands("subscribe") {
		n := len(args) - 1
		if n > 1000 {
			t.Errorf("a command has %d names", n)
		}
		names += n
	}
	if want := 2 * len(channels); names != want {
		t.Errorf("%d names were sent, want %d: each twice", names, want)
	}
}

// What was added is there again after Redis has closed the connection, with one
// gap and nothing twice; other channels have no gap.
func TestClientKill(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := newBroker(t, options(server.Addr()))
	f := newFeed(t, b, "a", "b", "removed")
	if err := f.Unsubscribe(guard(t), "removed"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		server.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
		hearGap(t, f, "a", "b")
		publish(t, b, "removed", "nobody hears it")
		publish(t, b, "b", "after")
		hear(t, f, "b", "after")
	}
}

// A confirmation that nobody waits for means that something has subscribed again
// behind the driver's back: the link does not count any more.
func TestUnexpectedConfirmation(t *testing.T) {
	server := redistest.StartFake(t, redistest.Confirm)
	f := newFeed(t, newBroker(t, options(server.Addr())), "chat")
	server.Say(redistest.Confirm([]string{"subscribe", "chat"}))
	hearGap(t, f, "chat")
	if n := len(server.Commands("subscribe")); n != 2 {
		t.Errorf("SUBSCRIBE was sent %d times, want twice", n)
	}
}

// A connection that goes silent without being closed is found out and replaced;
// a Subscribe that waits on it fails and does not hang.
func TestHalfOpen(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr())
	b := newBroker(t, options(server.Addr()))
	f := newFeed(t, newBroker(t, impatient(proxy.Addr())), "chat")
	for range 3 {
		proxy.Silence()
		if err := f.Subscribe(guard(t), "new"); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("Subscribe on a silent link: error %v, want one that matches ErrUnavailable", err)
		}
		proxy.Restore()
		hearGap(t, f, "chat")
		publish(t, b, "chat", "after")
		hear(t, f, "chat", "after")
	}
}

// A link on which nothing happens is asked for a sign of life again and again, and
// is kept.
func TestIdle(t *testing.T) {
	server := redistest.StartFake(t, redistest.Confirm)
	o := options(server.Addr())
	o.Heartbeat = 200 * time.Millisecond
	f := newFeed(t, newBroker(t, o), "chat")
	for range 6 {
		await(t, server.Pinged)
	}
	server.Say(redistest.Published("chat", "hello"))
	hear(t, f, "chat", "hello")
	if n := len(server.Commands("subscribe")); n != 1 {
		t.Errorf("SUBSCRIBE was sent %d times, want once", n)
	}
}

// A Redis that is stopped and goes on later is as good as one that was restarted.
func TestPause(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, impatient(server.Addr()))
	f := newFeed(t, b, "chat")
	server.Pause()
	if err := f.Subscribe(guard(t), "new"); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("Subscribe while Redis is stopped: error %v, want one that matches ErrUnavailable", err)
	}
	server.Resume()
	hearGap(t, f, "chat")
	publish(t, b, "chat", "after")
	hear(t, f, "chat", "after")
}

// A Redis that is back and still loads its data is not back yet: nothing is sent
// to it, and the channels are restored when it is ready.
func TestLoading(t *testing.T) {
	t.Parallel()
	server := redistest.StartFake(t, redistest.Confirm)
	b := newBroker(t, options(server.Addr()))
	f := newFeed(t, b, "chat")
	server.AnswerPing("-LOADING Redis is loading the dataset in memory\r\n")
	server.Cut()
	for range 3 {
		if err := f.Subscribe(guard(t), "new"); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("Subscribe: error %v, want one that matches ErrUnavailable", err)
		}
		_, err := b.Publish(guard(t), broker.Message{Channel: "chat"})
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("Publish: error %v, want one that matches ErrUnavailable", err)
		}
	}
	if n := len(server.Commands("publish")); n != 0 {
		t.Errorf("PUBLISH was sent %d times to a server that loads", n)
	}
	server.AnswerPing("+PONG\r\n")
	hearGap(t, f, "chat")
}

// While the link is down, Subscribe says so, Unsubscribe forgets, and neither comes back
// with the link: no gap and no message.
func TestChangesWhileDown(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, options(server.Addr()))
	f := newFeed(t, b, "stays", "goes")
	server.Kill()
	if err := f.Subscribe(guard(t), "new", "stays"); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("Subscribe: error %v, want one that matches ErrUnavailable", err)
	}
	if err := f.Unsubscribe(guard(t), "goes"); err != nil {
		t.Errorf("Unsubscribe: %v", err)
	}
	server.Restart()
	hearGap(t, f, "stays")
	publish(t, b, "new", "nobody hears it")
	publish(t, b, "goes", "nobody hears it")
	publish(t, b, "stays", "after")
	hear(t, f, "stays", "after")
}

// Concurrent Adds of one channel return only once Redis has confirmed it, and it
// is asked for once.
func TestConcurrentAdds(t *testing.T) {
	asked, release := make(chan struct{}, 16), make(chan struct{})
	server := redistest.StartFake(t, func(args []string) string {
		asked <- struct{}{}
		<-release
		return redistest.Confirm(args)
	})
	f := newFeed(t, newBroker(t, options(server.Addr())))
	var adds sync.WaitGroup
	for range 16 {
		adds.Go(func() {
			if err := f.Subscribe(guard(t), "chat"); err != nil {
				t.Error(err)
			}
			select {
			case <-release:
			default:
				t.Error("Subscribe returned before the confirmation")
			}
		})
	}
	<-asked
	close(release)
	adds.Wait()
	if n := len(server.Commands("subscribe")); n != 1 {
		t.Errorf("SUBSCRIBE was sent %d times, want once", n)
	}
}

// Redis has no subscriber left once all channels are removed, whatever came
// before.
func TestNothingLeft(t *testing.T) {
	server := redistest.Start(t)
	f := newFeed(t, newBroker(t, options(server.Addr())))
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			own, shared := fmt.Sprintf("own-%d", i), "shared"
			for range 50 {
				if err := f.Subscribe(guard(t), own, shared); err != nil {
					t.Error(err)
				}
				if err := f.Unsubscribe(guard(t), shared, own); err != nil {
					t.Error(err)
				}
			}
		})
	}
	users.Wait()
	if left := server.MustDo("PUBSUB", "CHANNELS"); left != "" {
		t.Errorf("Redis still has subscribers of %q", strings.Split(left, "\n"))
	}
}

// The prefix is on Redis and nowhere else.
func TestPrefix(t *testing.T) {
	server := redistest.Start(t)
	b := open(t, server.URL()+"?prefix=app:")
	f := newFeed(t, b, "chat")
	server.MustDo("PUBLISH", "chat", "to somebody else")
	server.MustDo("PUBLISH", "app:chat", "from somebody else")
	publish(t, b, "chat", "own")
	hear(t, f, "chat", "from somebody else")
	hear(t, f, "chat", "own")
	server.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
	hearGap(t, f, "chat")
}

// Replies that come in pieces are put together, wherever they were torn.
func TestTornReplies(t *testing.T) {
	server := redistest.StartFake(t, redistest.Confirm)
	f := newFeed(t, newBroker(t, options(server.Addr())), "chat")
	for _, text := range []string{"", "a", "\r\n", "$1\r\n", "*3\r\n", strings.Repeat("x", 300)} {
		for _, b := range []byte(redistest.Published("chat", text)) {
			server.Say(string([]byte{b}))
		}
		hear(t, f, "chat", text)
	}
}

// A Subscribe whose context has ended fails, whatever Redis could have answered meanwhile, and adds nothing.
func TestSubscribeWithAnEndedContext(t *testing.T) {
	b := newBroker(t, options(redistest.Start(t).Addr()))
	f := newFeed(t, b, "carried")
	ended, end := context.WithCancel(t.Context())
	end()
	for _, channel := range []string{"carried", "new"} {
		if err := f.Subscribe(ended, channel); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", channel, err)
		}
	}
	publish(t, b, "new", "never")
	publish(t, b, "carried", "once")
	hear(t, f, "carried", "once")
}

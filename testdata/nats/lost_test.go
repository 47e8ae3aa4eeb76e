package nats_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/nats"
	"github.com/pregon/pregon/broker/redis/redistest"
	natstest "github.com/pregon/pregon/testdata/nats"
)

var fiveMinutes = broker.Retention{MaxMessages: 100, MaxAge: 5 * time.Minute}

// node opens a node with a history.
func node(t *testing.T, o nats.Options, server *natstest.Server) broker.Broker {
	t.Helper()
	o.Servers = []string{server.Addr()}
	if o.History.IsZero() {
		o.History = fiveMinutes
	}
	b := opened(t, o)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// say publishes, again where the server is not ready yet, and returns where the message is.
func say(t *testing.T, b broker.Broker, channel, text string) broker.Position {
	t.Helper()
	for began := time.Now(); ; {
		receipt, err := b.Publish(t.Context(), broker.Message{Channel: channel, Data: []byte(text)})
		switch {
		case err == nil:
			return receipt.Position
		case !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrUncertain), time.Since(began) > 30*time.Second:
			t.Fatal(err)
		}
	}
}

// behind reads what is kept of a channel behind a position.
func behind(t *testing.T, b broker.Broker, channel string, after broker.Position) broker.Page {
	t.Helper()
	h, _ := broker.HistoryOf(b)
	page, err := h.History(t.Context(), channel, broker.Query{After: after, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// What a server has in its files it has after it was killed: a node that was there knows that nothing is lost, so
// its channels go on in their epoch.
func TestKilledServerLosesNothing(t *testing.T) {
	server := natstest.Start(t, keeping(t))
	b := node(t, nats.Options{}, server)
	first := say(t, b, "c", "1")
	for i := range 3 {
		server.Kill()
		server.Restart()
		say(t, b, "c", fmt.Sprint(i+2))
	}
	page := behind(t, b, "c", first)
	last := first
	for _, m := range page.Messages {
		if !m.Follows(last) {
			t.Errorf("%v follows %v, and comes behind %v", m.Position, m.Prev, last)
		}
		last = m.Position
	}
	if len(page.Messages) != 3 || !page.Complete {
		t.Errorf("behind the first of four: %+v", page)
	}
	// Another node, which was not there, hears of it.
	if other := node(t, nats.Options{}, server); behind(t, other, "c", first).Messages[2].Position != last {
		t.Error("a second node reads other positions")
	}
}

// Where a server was started again and no node was there, nobody can say that it has lost nothing: an epoch
// begins, and nobody has recovered.
func TestUnseenRestartBeginsAnEpoch(t *testing.T) {
	server := natstest.Start(t, keeping(t))
	b := node(t, nats.Options{}, server)
	last := say(t, b, "c", "1")
	_ = b.Close()
	server.Kill()
	server.Restart()
	b = node(t, nats.Options{}, server)
	next := say(t, b, "c", "2")
	if next.Epoch <= last.Epoch {
		t.Errorf("after %v comes %v", last, next)
	}
	if page := behind(t, b, "c", last); len(page.Messages) != 1 || page.Messages[0].Follows(last) || page.Messages[0].Position != next {
		t.Errorf("behind %v: %+v", last, page)
	}
}

// A server that comes back without what it had acknowledged, as after a power cut, is found out: an epoch begins.
func TestLostEndBeginsAnEpoch(t *testing.T) {
	for name, outsider := range map[string]bool{"shorter": false, "with other messages": true} {
		t.Run(name, func(t *testing.T) {
			dir, before := t.TempDir(), t.TempDir()
			server := natstest.Start(t, keepingIn(dir))
			proxy := redistest.StartProxy(t, server.Addr())
			b := opened(t, nats.Options{Servers: []string{proxy.Addr()}, History: fiveMinutes, DialTimeout: 200 * time.Millisecond})
			defer b.Close()
			f := listen(t, b, "c")
			kept := say(t, b, "c", "1")
			server.Kill()
			if err := os.CopyFS(filepath.Join(before, "copy"), os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			server.Restart()
			for _, err := f.Next(); !isGap(err); _, err = f.Next() {
				if err != nil {
					t.Fatal(err)
				}
			}
			lost := say(t, b, "c", "2")
			if m, err := f.Next(); err != nil || m.Position != lost {
				t.Fatalf("heard %+v, %v", m, err)
			}
			server.Kill()
			if err := errors.Join(os.RemoveAll(filepath.Join(dir, "jetstream")), os.CopyFS(dir, os.DirFS(filepath.Join(before, "copy")))); err != nil {
				t.Fatal(err)
			}
			proxy.Silence()
			server.Restart()
			if outsider {
				speak(t, server, "c", "stranger", 5)
			}
			proxy.Restore()
			next := say(t, b, "c", "3")
			if next.Epoch <= lost.Epoch {
				t.Errorf("after %v, which is lost, comes %v", lost, next)
			}
			if page := behind(t, b, "c", kept); page.Messages[len(page.Messages)-1].Position != next {
				t.Errorf("behind what is kept: %+v", page)
			}
		})
	}
}

// What is kept in a server's memory is gone with it, and nobody is told otherwise.
func TestMemoryStorage(t *testing.T) {
	server := natstest.Start(t, keeping(t))
	b := node(t, nats.Options{InMemory: true}, server)
	last := say(t, b, "c", "1")
	server.Kill()
	server.Restart()
	next := say(t, b, "c", "2")
	if page := behind(t, b, "c", last); next.Epoch <= last.Epoch || page.Complete || len(page.Messages) != 1 {
		t.Errorf("after %v comes %v; behind it %+v", last, next, page)
	}
}

// A stream that is not what the URL asks for is left alone, and the error names what differs.
func TestOtherStream(t *testing.T) {
	server := natstest.Start(t, keeping(t))
	say(t, node(t, nats.Options{}, server), "c", "1")
	other := node(t, nats.Options{History: broker.Retention{MaxMessages: 7, MaxAge: time.Hour}}, server)
	_, err := other.Publish(t.Context(), broker.Message{Channel: "c"})
	if !errors.Is(err, broker.ErrDenied) {
		t.Fatal(err)
	}
	for _, what := range []string{"PREGON", "max_age is 6m15s and not 1h15m0s", "max_msgs_per_subject is 100 and not 7", "duplicate_window"} {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("the error does not say %q: %v", what, err)
		}
	}
}

// A server without JetStream keeps no history, and says so.
func TestNoJetStream(t *testing.T) {
	b := node(t, nats.Options{}, natstest.Start(t))
	if _, err := b.Publish(t.Context(), broker.Message{Channel: "c"}); !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), "JetStream") {
		t.Error(err)
	}
}

// What other programs publish on the subject of a channel is in its history as everything is, and heard with its
// position; with a prefix, and with subjects of several tokens, too.
func TestOtherProgramsAreKept(t *testing.T) {
	for name, c := range map[string]struct {
		o                nats.Options
		channel, subject string
	}{
		"one token":                        {nats.Options{}, "chat", "chat"},
		"a slash":                          {nats.Options{}, "a/b", "a/b"},
		"a dot, not among the subjects":    {nats.Options{}, "room.1", "room%2E1"},
		"a dot, among the subjects":        {nats.Options{Subjects: []string{"room.>"}}, "room.1", "room.1"},
		"a dot, and a prefix":              {nats.Options{Prefix: "rt."}, "room.1", "rt.room.1"},
		"names of ours that are encoded":   {nats.Options{}, "%epoch", "%25epoch"},
		"a prefix that has tokens, itself": {nats.Options{Prefix: "my.rt."}, "chat", "my.rt.chat"},
	} {
		t.Run(name, func(t *testing.T) {
			server := natstest.Start(t, keeping(t))
			b := node(t, c.o, server)
			f := listen(t, b, c.channel)
			first := say(t, b, c.channel, "ours")
			speak(t, server, c.subject, "hola", 1)
			for _, text := range []string{"ours", "hola"} {
				if m, err := f.Next(); err != nil || string(m.Data) != text || m.Position.IsZero() {
					t.Errorf("heard %+v, %v; want %q", m, err, text)
				}
			}
			if page := behind(t, b, c.channel, first); len(page.Messages) != 1 || string(page.Messages[0].Data) != "hola" || !page.Complete {
				t.Errorf("behind ours is %+v", page)
			}
		})
	}
}

// What a program publishes where servers send what is stored, without a place in the stream, is no message.
func TestStrangersHaveNoPlace(t *testing.T) {
	server := natstest.Start(t, keeping(t))
	b := node(t, nats.Options{}, server)
	f := listen(t, b, "c")
	speak(t, server, "_PREGON.PREGON.c", "forged", 1)
	say(t, b, "c", "ours")
	if m, err := f.Next(); err != nil || string(m.Data) != "ours" {
		t.Errorf("heard %+v, %v", m, err)
	}
}

// speak publishes as another program, and returns when the server has it.
func speak(t *testing.T, server *natstest.Server, subject, text string, times int) {
	t.Helper()
	nc, err := natsgo.Connect("nats://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range times {
		if err := nc.Publish(subject, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func isGap(err error) bool {
	var gap *broker.GapError
	return errors.As(err, &gap)
}

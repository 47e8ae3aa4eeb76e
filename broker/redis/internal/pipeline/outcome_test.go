package pipeline_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/pipeline"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// A desk is a Pipeline to a server that answers what the test says.
type desk struct {
	*pipeline.Pipeline
	*pipeline.Transmitter
	server  *redistest.Fake
	demoted int
	held    chan struct{} // where not nil, no connection is made until it is closed
}

// at runs a test with a desk, in a bubble. send may be nil.
func at(t *testing.T, answer func(args []string) string, send func(*desk, []*pipeline.Message), test func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		closing, end := context.WithCancel(context.Background())
		d := &desk{server: redistest.NewFake(answer)}
		settings := wire.Settings{Network: "tcp", DialTimeout: time.Second, Timeout: time.Second}
		client := goredis.NewClient(settings.Client(func(context.Context, string, string) (net.Conn, error) {
			if d.held != nil {
				<-d.held
			}
			return d.server.Pipe(), nil
		}))
		d.Transmitter = pipeline.NewTransmitter(client, closing)
		o := pipeline.Options{Transmitter: d.Transmitter, Timeout: timeout, Prefix: "app:", Demoted: func() { d.demoted++ }}
		if send != nil {
			o.Send = func(_ context.Context, messages []*pipeline.Message) { send(d, messages) }
		}
		d.Pipeline = pipeline.New(o)
		test(t, d)
		end()
		client.Close()
		d.Pipeline.Close()
		d.server.Stop()
	})
}

// mood answers a publication by its channel.
func mood(args []string) string {
	switch {
	case len(args) != 3:
		return "-ERR wrong number of arguments\r\n"
	case strings.HasSuffix(args[1], "forbidden"):
		return "-NOPERM No permissions to access a channel\r\n"
	case strings.HasSuffix(args[1], "full"):
		return "-OOM command not allowed\r\n"
	case strings.HasSuffix(args[1], "replica"):
		return "-READONLY You can't write against a read only replica.\r\n"
	case strings.HasSuffix(args[1], "odd"):
		return "-ERR upstream failure\r\n"
	case strings.HasSuffix(args[1], "gone"):
		return redistest.HangUp
	}
	return ":1\r\n"
}

// Each message has the outcome that Redis gave it. One that failed for a reason of its own
// does not keep those behind it from being sent.
func TestOutcomes(t *testing.T) {
	at(t, mood, nil, func(t *testing.T, d *desk) {
		var batch []broker.Message
		for _, c := range []string{"a", "forbidden", "", "full", "odd", "b"} {
			batch = append(batch, broker.Message{Channel: c, Data: []byte(c)})
		}
		batch = append(batch, broker.Message{Channel: "key", Key: strings.Repeat("k", broker.MaxKey+1)})
		before := []broker.Result{{}}
		results, aborted := d.Publish(t.Context(), before, batch)
		wants := []error{nil, nil, broker.ErrDenied, reply.ErrNoName, broker.ErrUnavailable, broker.ErrUncertain, nil, broker.ErrKey}
		if len(results) != len(wants) || !aborted {
			t.Fatalf("%d results, aborted %v", len(results), aborted)
		}
		for i, want := range wants {
			if !errors.Is(results[i].Err, want) {
				t.Errorf("result %d is %v, want %v", i, results[i].Err, want)
			}
		}
		var topics []string
		for _, args := range d.server.Commands("publish") {
			topics = append(topics, args[1])
		}
		if !slices.Equal(topics, []string{"app:a", "app:forbidden", "app:full", "app:odd", "app:b"}) {
			t.Errorf("the server was sent %q", topics)
		}
	})
}

// What is wrong with one message aborts nothing.
func TestOwnFaults(t *testing.T) {
	at(t, mood, nil, func(t *testing.T, d *desk) {
		results, aborted := d.Publish(t.Context(), nil, []broker.Message{{Channel: "forbidden"}, {}, {Channel: "a"}})
		if aborted || results[2].Err != nil {
			t.Errorf("aborted %v, %v", aborted, results[2].Err)
		}
	})
}

// Where one pipeline of a batch fails the next is not tried: nothing is published behind
// what was not.
func TestAborted(t *testing.T) {
	at(t, mood, nil, func(t *testing.T, d *desk) {
		batch := make([]broker.Message, 600)
		for i := range batch {
			batch[i].Channel = "a"
		}
		batch[100].Channel = "full"
		results, aborted := d.Publish(t.Context(), nil, batch)
		if !aborted || len(results) != len(batch) {
			t.Fatalf("aborted %v, %d results", aborted, len(results))
		}
		for i, r := range results {
			failed := i == 100 || i >= 512
			if failed != errors.Is(r.Err, broker.ErrUnavailable) || !failed && r.Err != nil {
				t.Fatalf("result %d is %v", i, r.Err)
			}
		}
		if n := len(d.server.Commands("publish")); n != 512 {
			t.Errorf("the server was sent %d messages", n)
		}
	})
}

// Without an answer the outcome of all that was sent is unknown.
func TestUnanswered(t *testing.T) {
	at(t, mood, nil, func(t *testing.T, d *desk) {
		results, aborted := d.Publish(t.Context(), nil, []broker.Message{{Channel: "gone"}, {Channel: "a"}})
		for i, r := range results {
			if !aborted || !errors.Is(r.Err, broker.ErrUncertain) {
				t.Errorf("aborted %v, result %d is %v", aborted, i, r.Err)
			}
		}
	})
}

// A server that says that it is a replica is reported, and before anything else is sent.
func TestDemoted(t *testing.T) {
	at(t, mood, nil, func(t *testing.T, d *desk) {
		for _, c := range []string{"a", "full", "replica", "a"} {
			d.Publish(t.Context(), nil, []broker.Message{{Channel: c}})
		}
		if d.demoted != 1 {
			t.Errorf("it was reported %d times", d.demoted)
		}
	})
}

// A message whose caller gave up before there was a connection is never written.
func TestGivenUp(t *testing.T) {
	at(t, mood, nil, func(t *testing.T, d *desk) {
		d.held = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		results, _ := d.Publish(ctx, nil, []broker.Message{{Channel: "a", Data: []byte("late")}})
		if err := results[0].Err; !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, broker.ErrUncertain) {
			t.Errorf("it returned %v", err)
		}
		close(d.held)
		d.Publish(t.Context(), nil, []broker.Message{{Channel: "a", Data: []byte("next")}})
		if sent := d.server.Commands("publish"); len(sent) != 1 || !strings.Contains(sent[0][2], "next") {
			t.Errorf("the server was sent %q", sent)
		}
	})
}

// Of messages that wait for a connection together, one whose caller gives up meanwhile is
// not written: in its place stands its command's name, which Redis refuses.
func TestGivenUpAmongOthers(t *testing.T) {
	at(t, mood, nil, func(t *testing.T, d *desk) {
		d.held = make(chan struct{})
		outcomes := map[string]chan error{}
		for _, caller := range []struct {
			text  string
			limit time.Duration
		}{{"first", time.Second / 4}, {"given up", time.Second}, {"kept", time.Minute}} {
			outcome := make(chan error, 1)
			outcomes[caller.text] = outcome
			ctx, cancel := context.WithTimeout(t.Context(), caller.limit)
			defer cancel()
			go func() {
				results, _ := d.Publish(ctx, nil, []broker.Message{{Channel: "a", Data: []byte(caller.text)}})
				outcome <- results[0].Err
			}()
			synctest.Wait()
		}
		for _, text := range []string{"first", "given up"} {
			if err := <-outcomes[text]; !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, broker.ErrUncertain) {
				t.Errorf("%s: %v", text, err)
			}
		}
		close(d.held)
		if err := <-outcomes["kept"]; err != nil {
			t.Errorf("kept: %v", err)
		}
		sent := d.server.Commands("publish")
		if len(sent) != 2 || len(sent[0]) != 1 || !strings.Contains(sent[1][2], "kept") {
			t.Errorf("the server was sent %q", sent)
		}
	})
}

// Of messages that Redis does not know the script of, those are to be sent again behind
// which nothing of the same caller was published in the same channel.
func TestUnexecuted(t *testing.T) {
	for _, test := range []struct{ batch, again string }{
		{"a:1 a:2", ""},
		{"a:! a:!", "a:! a:!"},
		{"a:! b:1", "a:!"},
		{"a:! a:1", ""},
		{"a:! b:! a:1 b:!", "b:! b:!"},
		{"a:1 a:!", "a:!"},
	} {
		t.Run(test.batch, func(t *testing.T) {
			var again []string
			answer := func(args []string) string {
				if args[2] == "!" {
					return "-NOSCRIPT No matching script\r\n"
				}
				return ":1\r\n"
			}
			send := func(d *desk, messages []*pipeline.Message) {
				for _, m := range messages {
					m.Main = m.Command("evalsha", m.Channel, string(m.Data))
				}
				d.Transmit(context.Background(), messages)
				for _, m := range pipeline.Unexecuted(messages) {
					again = append(again, m.Channel+":"+string(m.Data))
				}
			}
			at(t, answer, send, func(t *testing.T, d *desk) {
				var batch []broker.Message
				for _, word := range strings.Fields(test.batch) {
					channel, text, _ := strings.Cut(word, ":")
					batch = append(batch, broker.Message{Channel: channel, Data: []byte(text)})
				}
				d.Publish(t.Context(), nil, batch)
				if got := strings.Join(again, " "); got != test.again {
					t.Errorf("again: %q, want %q", got, test.again)
				}
			})
		})
	}
}

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// moods are channels of a fake, each with the answer to a publication there and
// what that means.
var moods = []struct {
	channel, answer string
	want            error
}{
	{"accepted", ":1\r\n", nil},
	{"forbidden", "-NOPERM no permission for a channel\r\n", broker.ErrDenied},
	{"full", "-OOM command not allowed\r\n", broker.ErrUnavailable},
	{"odd", "-ERR upstream failure\r\n", broker.ErrUncertain},
}

func moody(args []string) string {
	for _, m := range moods {
		if len(args) == 3 && args[1] == m.channel {
			return m.answer
		}
	}
	return "-ERR wrong number of arguments\r\n"
}

// However many callers share a pipeline, each gets the answer to its own message,
// and each message is sent once.
func TestPublishNeighbours(t *testing.T) {
	const callers, each = 64, 50
	server := redistest.StartFake(t, moody)
	b := newBroker(t, options(server.Addr()))
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			for k := range each {
				m := moods[(i+k)%len(moods)]
				_, err := b.Publish(guard(t), broker.Message{Channel: m.channel, Data: fmt.Appendf(nil, "%d/%d", i, k)})
				if !errors.Is(err, m.want) {
					t.Errorf("%s: error %v, want %v", m.channel, err, m.want)
				}
			}
		})
	}
	running.Wait()
	b.Close()
	server.Stop()
	seenOnce(t, server, callers*each)
}

// seenOnce fails the test unless the server was sent n messages, none twice.
func seenOnce(t *testing.T, server *redistest.Fake, n int) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for _, args := range server.Commands("publish") {
		if len(args) < 3 {
			continue // given up
		}
		if seen[args[2]] {
			t.Errorf("%q was sent twice", args[2])
		}
		seen[args[2]] = true
	}
	if n >= 0 && len(seen) != n {
		t.Errorf("%d messages were sent, want %d", len(seen), n)
	}
	return seen
}

func batchOf(channels ...string) (batch []broker.Message) {
	for i, c := range channels {
		batch = append(batch, broker.Message{Channel: c, Data: fmt.Append(nil, i)})
	}
	return batch
}

// In a batch, what is wrong with one message is no other's fault.
func TestBatchOutcomes(t *testing.T) {
	server := redistest.StartFake(t, moody)
	b := newBroker(t, options(server.Addr()))
	results := b.PublishBatch(guard(t), batchOf("accepted", "forbidden", "", "full", "accepted"))
	for i, want := range []error{nil, broker.ErrDenied, nil, broker.ErrUnavailable, nil} {
		if err := results[i].Err; i == 2 && err == nil || i != 2 && !errors.Is(err, want) {
			t.Errorf("message %d: error %v, want %v", i, err, want)
		}
	}
	b.Close()
	server.Stop()
	seenOnce(t, server, 4)
}

// After an answer that makes no sense, or none at all, nothing that comes later is
// taken for the answer to a message of the same pipeline.
func TestBatchGarbage(t *testing.T) {
	t.Parallel()
	for _, garbage := range []string{"*0\r\n", "+OK\r\n", "*1\r\n:1\r\n", "!\r\n", redistest.HangUp, redistest.Silent} {
		server := redistest.StartFake(t, func(args []string) string {
			if args[1] == "garbage" {
				return garbage
			}
			return ":1\r\n"
		})
		b := newBroker(t, impatient(server.Addr()))
		results := b.PublishBatch(guard(t), batchOf("a", "garbage", "b", "c"))
		// What is no RESP, or a reset, may take the answer before it along.
		doubtful := garbage == redistest.HangUp || garbage == "!\r\n"
		if err := results[0].Err; err != nil && (!doubtful || !errors.Is(err, broker.ErrUncertain)) {
			t.Errorf("%q: before it: %v", garbage, err)
		}
		last := results[len(results)-1].Err
		if err := results[1].Err; garbage != redistest.Silent && !errors.Is(err, broker.ErrUncertain) || !errors.Is(last, broker.ErrUncertain) {
			t.Errorf("%q: errors %v and, at the end, %v", garbage, err, last)
		}
		if garbage != redistest.HangUp && garbage != redistest.Silent {
			publish(t, b, "next", "on a new connection")
		}
		b.Close()
		server.Stop()
		seenOnce(t, server, -1)
	}
}

// A batch of more than one pipeline is published in its order, with a result for
// each message, and where Redis is lost in the middle those behind are not tried.
func TestLongBatch(t *testing.T) {
	const n, lost = 5000, 3000
	var count atomic.Int32
	server := redistest.StartFake(t, func([]string) string {
		if count.Add(1) == n+lost {
			return redistest.HangUp
		}
		return ":1\r\n"
	})
	b := newBroker(t, options(server.Addr()))
	batch := make([]broker.Message, n)
	for i := range batch {
		batch[i] = broker.Message{Channel: "chat", Data: fmt.Append(nil, i)}
	}
	for i, r := range b.PublishBatch(guard(t), batch) {
		if r.Err != nil {
			t.Fatalf("message %d: %v", i, r.Err)
		}
	}
	for i, args := range server.Commands("publish") {
		if args[2] != fmt.Sprint(i) {
			t.Fatalf("%s was sent in place %d", args[2], i)
		}
	}
	results := b.PublishBatch(guard(t), batch)
	b.Close()
	server.Stop()
	for i, r := range results {
		switch pipeline := i / 512; {
		case pipeline < lost/512 && r.Err != nil:
			t.Fatalf("message %d, in a pipeline before: %v", i, r.Err)
		case pipeline == lost/512 && i >= lost-1 && !errors.Is(r.Err, broker.ErrUncertain):
			t.Fatalf("message %d, which was not answered: error %v, want one that matches ErrUncertain", i, r.Err)
		case pipeline > lost/512 && !errors.Is(r.Err, broker.ErrUnavailable):
			t.Fatalf("message %d, in a pipeline behind: error %v, want one that matches ErrUnavailable", i, r.Err)
		}
	}
	if sent := len(server.Commands("publish")) - n; sent > (lost/512+1)*512 {
		t.Errorf("%d messages were sent, beyond the pipeline that was lost", sent)
	}
}

// holding starts a fake that does not answer the first publication, "held", until
// the test calls release, and has said so on the channel.
func holding(t *testing.T) (server *redistest.Fake, arrived chan struct{}, release func()) {
	arrived, free := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(free) })
	server = redistest.StartFake(t, func(args []string) string {
		if len(args) == 3 && args[2] == "held" {
			close(arrived)
			<-free
		}
		return ":1\r\n"
	})
	t.Cleanup(release)
	return server, arrived, release
}

// hold publishes what the fake holds, and returns when that is under way.
func hold(t *testing.T, b *redis.Broker, arrived chan struct{}) (outcome chan error) {
	outcome = make(chan error, 1)
	go func() {
		_, err := b.Publish(guard(t), broker.Message{Channel: "chat", Data: []byte("held")})
		outcome <- err
	}()
	await(t, arrived)
	return outcome
}

// A caller that gives up before its message was sent is told so, and the message
// is not sent later.
func TestPublishGivenUp(t *testing.T) {
	server, arrived, release := holding(t)
	b := newBroker(t, options(server.Addr()))
	outcome := hold(t, b, arrived)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := b.Publish(short, broker.Message{Channel: "chat", Data: []byte("late")})
	if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUncertain) {
		t.Errorf("after the deadline: error %v, want one that matches ErrUnavailable", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	stop := time.AfterFunc(20*time.Millisecond, cancel)
	defer stop.Stop()
	_, err = b.Publish(cancelled, broker.Message{Channel: "chat", Data: []byte("late too")})
	if !errors.Is(err, context.Canceled) || errors.Is(err, broker.ErrUncertain) {
		t.Errorf("after the cancellation: error %v, want one that matches Canceled", err)
	}
	release()
	if err := <-outcome; err != nil {
		t.Errorf("the one under way: %v", err)
	}
	publish(t, b, "chat", "after")
	b.Close()
	server.Stop()
	if seen := seenOnce(t, server, 2); !seen["after"] {
		t.Errorf("sent were %v", seen)
	}
}

// A caller that gives up while its pipeline waits for a connection is told that
// nothing was sent, and its neighbours in the pipeline are.
func TestPublishGivenUpWithoutConnection(t *testing.T) {
	server := redistest.StartFake(t, func(args []string) string {
		if len(args) != 3 {
			return "-ERR wrong number of arguments for 'publish' command\r\n"
		}
		return ":1\r\n"
	})
	server.AnswerPing(redistest.Silent) // so that no connection is ready
	b := newBroker(t, options(server.Addr()))
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+10*(i%5))*time.Millisecond)
			defer cancel()
			_, err := b.Publish(ctx, broker.Message{Channel: "chat", Data: []byte("given up")})
			if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUncertain) {
				t.Errorf("error %v, want one that matches ErrUnavailable", err)
			}
		})
	}
	var patient sync.WaitGroup
	for i := range 5 {
		patient.Go(func() { publish(t, b, "chat", fmt.Sprint(i)) })
	}
	callers.Wait()
	server.AnswerPing("+PONG\r\n")
	server.Say("+PONG\r\n")
	patient.Wait()
	b.Close()
	server.Stop()
	seenOnce(t, server, 5)
}

// Closing ends what is under way, whose outcome is unknown, and what waits, which
// is not published.
func TestCloseWhilePublishing(t *testing.T) {
	server, arrived, release := holding(t)
	b := newBroker(t, options(server.Addr()))
	outcome := hold(t, b, arrived)
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			for _, r := range b.PublishBatch(guard(t), batchOf("chat", "chat")) {
				if !errors.Is(r.Err, broker.ErrClosed) {
					t.Errorf("waiting: error %v, want one that matches ErrClosed", r.Err)
				}
			}
		})
	}
	b.Close()
	if err := <-outcome; !errors.Is(err, broker.ErrUncertain) {
		t.Errorf("under way: error %v, want one that matches ErrUncertain", err)
	}
	waiting.Wait()
	release()
	server.Stop()
	seenOnce(t, server, 1)
}

// More callers than the queue has places for wait, and are served.
func TestPublishCrowd(t *testing.T) {
	const callers = 5000
	server, arrived, release := holding(t)
	b := newBroker(t, options(server.Addr()))
	outcome := hold(t, b, arrived)
	var crowd, there sync.WaitGroup
	there.Add(callers)
	for i := range callers {
		crowd.Go(func() { there.Done(); publish(t, b, "chat", fmt.Sprint(i)) })
	}
	there.Wait()
	release()
	crowd.Wait()
	if err := <-outcome; err != nil {
		t.Error(err)
	}
	b.Close()
	server.Stop()
	seenOnce(t, server, callers+1)
}

// Whatever happens to callers in a hurry on a link that breaks now and then: what
// was accepted was sent, what was not published was not, and nothing was sent
// twice.
func TestPublishUnderStress(t *testing.T) {
	const callers, each = 32, 60
	var count atomic.Int32
	server := redistest.StartFake(t, func(args []string) string {
		if count.Add(1)%97 == 0 {
			return redistest.HangUp
		}
		return ":1\r\n"
	})
	b := newBroker(t, options(server.Addr()))
	var mu sync.Mutex
	outcomes := map[string]error{}
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			for k := range each {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(i+k)%7)*time.Millisecond)
				text := fmt.Sprintf("%d/%d", i, k)
				_, err := b.Publish(ctx, broker.Message{Channel: "chat", Data: []byte(text)})
				cancel()
				mu.Lock()
				outcomes[text] = err
				mu.Unlock()
			}
		})
	}
	running.Wait()
	b.Close()
	server.Stop()
	seen := seenOnce(t, server, -1)
	for text, err := range outcomes {
		switch {
		case err == nil && !seen[text]:
			t.Errorf("%s was accepted and not sent", text)
		case err != nil && !errors.Is(err, broker.ErrUncertain) && seen[text]:
			t.Errorf("%s was sent: %v", text, err)
		}
	}
}

// The real Redis refuses a publication that has been given up, and goes on.
func TestVoidedPublication(t *testing.T) {
	server := redistest.Start(t)
	if reply, err := server.Do("PUBLISH"); err == nil || !strings.HasPrefix(err.Error(), "ERR wrong number of arguments") {
		t.Errorf("PUBLISH was answered %v, %v", reply, err)
	}
}

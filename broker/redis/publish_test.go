package redis_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// Each answer to a publication has its outcome, and whatever that is, the command
// is sent once.
func TestPublishOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, answer string
		want         error
	}{
		{"accepted", ":1\r\n", nil},
		{"loading", "-LOADING Redis is loading the dataset in memory\r\n", broker.ErrUnavailable},
		{"out of memory", "-OOM command not allowed when used memory > 'maxmemory'.\r\n", broker.ErrUnavailable},
		{"cannot save", "-MISCONF Redis is configured to save RDB snapshots\r\n", broker.ErrUnavailable},
		{"read-only", "-READONLY You can't write against a read only replica.\r\n", broker.ErrUnavailable},
		{"cluster down", "-CLUSTERDOWN The cluster is down\r\n", broker.ErrUnavailable},
		{"busy", "-BUSY Redis is busy running a script.\r\n", broker.ErrUnavailable},
		{"try again", "-TRYAGAIN Multiple keys request during rehashing of slot\r\n", broker.ErrUnavailable},
		{"master down", "-MASTERDOWN Link with MASTER is down\r\n", broker.ErrUnavailable},
		{"too many clients", "-ERR max number of clients reached\r\n", broker.ErrUnavailable},
		{"no password", "-NOAUTH Authentication required.\r\n", broker.ErrDenied},
		{"wrong password", "-WRONGPASS invalid username-password pair\r\n", broker.ErrDenied},
		{"no permission", "-NOPERM this user has no permissions to run the 'publish' command\r\n", broker.ErrDenied},
		{"some other error", "-ERR upstream failure\r\n", broker.ErrUncertain},
		{"cut after the command", redistest.HangUp, broker.ErrUncertain},
		{"cut in the answer", ":", broker.ErrUncertain},
		{"no answer", redistest.Silent, broker.ErrUncertain},
		{"nonsense", "HTTP/1.1 400 Bad Request\r\n\r\n", broker.ErrUncertain},
		{"an answer of the wrong kind", "*0\r\n", broker.ErrUncertain},
		{"nil", "$-1\r\n", broker.ErrUncertain},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.StartFake(t, func([]string) string { return c.answer })
			b := newBroker(t, impatient(server.Addr()))
			ctx := guard(t)
			_, err := b.Publish(ctx, broker.Message{Channel: "chat", Data: []byte("hello")})
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if ctx.Err() != nil {
				t.Error("it took until the context ended")
			}
			b.Close()
			server.Stop()
			if n := len(server.Commands("publish")); n != 1 {
				t.Errorf("the command was sent %d times, want once", n)
			}
		})
	}
}

// A deadline of the caller counts, and an answer that did not come by then leaves
// the outcome unknown.
func TestPublishDeadline(t *testing.T) {
	server := redistest.StartFake(t, func([]string) string { return redistest.Silent })
	o := options(server.Addr())
	o.Timeout = time.Hour
	b := newBroker(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := b.Publish(ctx, broker.Message{Channel: "chat"})
	if !errors.Is(err, broker.ErrUncertain) {
		t.Errorf("error %v, want one that matches ErrUncertain", err)
	}
}

// A publication that cannot be sent is not in doubt: nobody listens, or Redis is
// not ready on the new connection.
func TestPublishUnsent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	b := newBroker(t, options(l.Addr().String()))
	for range 200 { // far more than the pool has connections
		_, err := b.Publish(guard(t), broker.Message{Channel: "chat"})
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Fatalf("error %v, want one that matches ErrUnavailable", err)
		}
	}
}

// A server that has no room for another client closes the connection before it
// has read anything, which is no doubt either.
func TestPublishTooManyClients(t *testing.T) {
	server := redistest.Start(t, "--maxclients", "1")
	taken, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := taken.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := taken.Read(make([]byte, len("+PONG\r\n"))); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, options(server.Addr()))
	_, err = b.Publish(guard(t), broker.Message{Channel: "chat"})
	if !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("error %v, want one that matches ErrUnavailable", err)
	}
}

// However many publications failed while Redis was away, the first one after it
// is back succeeds.
func TestPublishResumes(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, options(server.Addr()))
	publish(t, b, "chat", "before")
	server.Kill()
	for range 200 {
		_, err := b.Publish(guard(t), broker.Message{Channel: "chat"})
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Fatalf("while Redis is away: error %v, want one that matches ErrUnavailable", err)
		}
	}
	server.Restart()
	publish(t, b, "chat", "after")
}

package redis_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// secret is a password with all the characters that mean something in a URL.
const secret = "s@e:c/r?e#t%41"

// weak makes a user who may do what the driver needs on the channels allowed and
// shared.
func weak(t *testing.T) (*redistest.Server, redis.Options) {
	server := redistest.Start(t)
	server.MustDo("ACL", "SETUSER", "weak", "on", ">"+secret, "resetchannels", "&allowed", "&shared",
		"+publish", "+subscribe", "+unsubscribe", "+ping")
	o := options(server.Addr())
	o.Username, o.Password = "weak", secret
	return server, o
}

// Without permission for a channel, publishing and adding are denied, and the
// channels that the Feed has are not disturbed.
func TestNoPermission(t *testing.T) {
	_, o := weak(t)
	b := newBroker(t, o)
	f := newFeed(t, b, "allowed")
	if err := f.Subscribe(guard(t), "shared", "forbidden"); !errors.Is(err, broker.ErrDenied) {
		t.Errorf("Subscribe: error %v, want one that matches ErrDenied", err)
	}
	_, err := b.Publish(guard(t), broker.Message{Channel: "forbidden"})
	if !errors.Is(err, broker.ErrDenied) {
		t.Errorf("Publish: error %v, want one that matches ErrDenied", err)
	}
	publish(t, b, "shared", "nobody hears it")
	publish(t, b, "allowed", "after")
	hear(t, f, "allowed", "after")
}

// A user who may do no more than the package comment says can use history.
func TestHistoryPermissions(t *testing.T) {
	server, o := weak(t)
	server.MustDo("ACL", "SETUSER", "weak", "~__pregon:*", "+evalsha", "+eval", "+script|load", "+info", "+xadd",
		"+xrange", "+xrevrange", "+xinfo|stream", "+get", "+set", "+incr", "+pexpire", "+time")
	o.History = retention
	b := newBroker(t, o)
	first, err := b.Publish(guard(t), broker.Message{Channel: "allowed", Data: []byte("1"), Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	server.MustDo("SCRIPT", "FLUSH")
	if again, err := b.Publish(guard(t), broker.Message{Channel: "allowed", Key: "k"}); err != nil || again.Position != first.Position {
		t.Errorf("again: %+v, %v", again, err)
	}
	if p := keep(t, newBroker(t, o), "allowed", "2"); !first.Position.Next(p) {
		t.Errorf("after %v comes %v", first.Position, p)
	}
	if page := history(t, b, "allowed", first.Position, 10); len(page.Messages) != 1 || !page.Complete {
		t.Errorf("page %+v", page)
	}
}

// That another Subscribe is denied does not fail one that shares a channel with it: the
// server refuses both channels of the first when it has both Adds.
func TestDeniedNeighbour(t *testing.T) {
	first := make(chan struct{})
	server := redistest.StartFake(t, func(args []string) string {
		switch {
		case slices.Contains(args, "forbidden"):
			close(first)
			return redistest.Silent
		case slices.Equal(args, []string{"subscribe", "second"}):
			return "-NOPERM no permission for a channel\r\n" + redistest.Confirm(args)
		default:
			return redistest.Confirm(args)
		}
	})
	f := newFeed(t, newBroker(t, options(server.Addr())))
	var adds sync.WaitGroup
	adds.Go(func() {
		if err := f.Subscribe(guard(t), "shared", "forbidden"); !errors.Is(err, broker.ErrDenied) {
			t.Errorf("the first: error %v, want one that matches ErrDenied", err)
		}
	})
	<-first
	if err := f.Subscribe(guard(t), "shared", "second"); err != nil {
		t.Errorf("the second: %v", err)
	}
	adds.Wait()
	server.Say(redistest.Published("forbidden", "1") + redistest.Published("shared", "2"))
	hear(t, f, "shared", "2")
}

// A channel that is not allowed any more ends, with its reason, and the others are
// restored. When the permission is given back the channel can be added again.
func TestPermissionTakenAway(t *testing.T) {
	server, o := weak(t)
	var log lines
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	b := newBroker(t, o)
	f := newFeed(t, b, "allowed", "shared")
	server.MustDo("ACL", "SETUSER", "weak", "resetchannels", "&allowed") // cuts the connection too
	for refused := 0; refused < 5; {
		err := f.Subscribe(guard(t), "shared")
		switch { // nil until the cut is noticed
		case errors.Is(err, broker.ErrDenied):
			refused++
		case err != nil && !errors.Is(err, broker.ErrUnavailable):
			t.Fatal(err)
		}
	}
	server.MustDo("ACL", "SETUSER", "weak", "&shared")
	if err := f.Subscribe(guard(t), "shared"); err != nil {
		t.Fatal(err)
	}
	hearGaps(t, f, map[string]broker.GapReason{"allowed": broker.LinkLost, "shared": broker.Denied})
	publish(t, b, "shared", "after")
	hear(t, f, "shared", "after")
	publish(t, b, "allowed", "after")
	hear(t, f, "allowed", "after")
	f.Close()
	if n := log.count("level=ERROR"); n != 0 {
		t.Errorf("%d lines of level ERROR, want none:\n%s", n, log.String())
	}
	if n := log.count("restored"); n != 1 {
		t.Errorf("%d lines say that the link is restored, want one:\n%s", n, log.String())
	}
}

// Of many channels, in several commands, those that are not allowed any more end.
func TestManyPermissionsTakenAway(t *testing.T) {
	t.Parallel()
	server, o := weak(t)
	server.MustDo("ACL", "SETUSER", "weak", "&room-*")
	want := map[string]broker.GapReason{"allowed": broker.LinkLost}
	for i := range 2500 {
		want[fmt.Sprint("room-", i)] = broker.LinkLost
	}
	b := newBroker(t, o)
	f := newFeed(t, b, slices.Collect(maps.Keys(want))...)
	rules := []string{"ACL", "SETUSER", "weak", "resetchannels", "&allowed", "&room-*9"}
	for c := range want {
		if c != "allowed" && !strings.HasSuffix(c, "9") {
			want[c] = broker.Denied
		}
	}
	server.MustDo(rules...)
	hearGaps(t, f, want)
	publish(t, b, "room-2499", "after")
	hear(t, f, "room-2499", "after")
}

// Where the whole command is not allowed any more no channel ends: the Feed tries
// until it is.
func TestCommandTakenAway(t *testing.T) {
	t.Parallel()
	server, o := weak(t)
	b := newBroker(t, o)
	f := newFeed(t, b, "allowed", "shared")
	server.MustDo("ACL", "SETUSER", "weak", "-subscribe")
	server.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
	for refused := 0; refused < 2; {
		if err := f.Subscribe(guard(t), "shared"); errors.Is(err, broker.ErrDenied) {
			refused++
		}
	}
	server.MustDo("ACL", "SETUSER", "weak", "+subscribe")
	hearGap(t, f, "allowed", "shared")
	publish(t, b, "shared", "after")
	hear(t, f, "shared", "after")
}

// A wrong password is an error that says so and a single loud line, however often
// the Feed tries. Neither contains it.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "another")
	for _, password := range []string{"", secret} {
		var log lines
		o := options(server.Addr())
		o.Password = password
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		b := newBroker(t, o)
		_, err := b.Publish(guard(t), broker.Message{Channel: "chat"})
		denied(t, "Publish", err)
		f, err := b.Feed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 5 { // each waits for one more attempt
			denied(t, "Subscribe", f.Subscribe(guard(t), "chat"))
		}
		f.Close()
		if n := log.count("level=ERROR"); n != 1 || log.count("level=") != 1 {
			t.Errorf("%d lines of level ERROR, want that and no other:\n%s", n, log.String())
		}
		if strings.Contains(log.String(), secret) {
			t.Error("the log has the password")
		}
	}
}

func denied(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, broker.ErrDenied) {
		t.Errorf("%s: error %v, want one that matches ErrDenied", what, err)
	} else if strings.Contains(err.Error(), secret) {
		t.Errorf("%s: the error has the password", what)
	}
}

// A server that repeats what it was sent does not bring the password into an
// error.
func TestEchoingServer(t *testing.T) {
	for _, form := range []string{"-ERR unknown command with args: %s\r\n", "+%s\r\n", "%s\r\n"} {
		server := redistest.StartFake(t, func(args []string) string {
			return strings.ReplaceAll(form, "%s", strings.Join(args, " "))
		})
		o := options(server.Addr())
		o.Username, o.Password = "me", secret
		b := newBroker(t, o)
		_, err := b.Publish(guard(t), broker.Message{Channel: "chat"})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Publish: error %v, want one without the password", err)
		}
		f, err := b.Feed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Subscribe(guard(t), "chat"); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Subscribe: error %v, want one without the password", err)
		}
	}
}

// A password that is percent-encoded in the URL is the one that Redis gets.
func TestPasswordInURL(t *testing.T) {
	server, _ := weak(t)
	u := url.URL{Scheme: "redis", User: url.UserPassword("weak", secret), Host: server.Addr()}
	b := open(t, strings.ReplaceAll(u.String(), ":c", "%3Ac"))
	publish(t, b, "allowed", "hello")
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) count(what string) int { return strings.Count(l.String(), what) }

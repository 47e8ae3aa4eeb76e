package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
)

// What a fake's answer may be besides the bytes to write.
const (
	silent = ""
	hangUp = "hang up"
)

// A fake is a server that answers what the test says and notes what it is sent.
type fake struct {
	listener net.Listener
	answer   func(args []string) string
	hasRole  bool          // it knows the command ROLE
	pinged   chan struct{} // has a token after a PING
	running  sync.WaitGroup

	mu    sync.Mutex
	ended bool
	pong  string // the answer to PING
	conns []net.Conn
	seen  [][]string
}

// startFake starts a fake whose answer to each command is that of answer, except
// to the handshake: that goes as with an old Redis without a password.
func startFake(t testing.TB, answer func(args []string) string) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{listener: l, answer: answer, pinged: make(chan struct{}, 1), pong: "+PONG\r\n"}
	f.running.Go(f.accept)
	t.Cleanup(f.stop)
	return f
}

func (f *fake) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		if f.ended {
			c.Close()
		}
		f.conns = append(f.conns, c)
		f.mu.Unlock()
		f.running.Go(func() { f.serve(c) })
	}
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.seen = append(f.seen, args)
		f.mu.Unlock()
		answer := f.reply(args)
		if answer == hangUp {
			return
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func (f *fake) reply(args []string) string {
	switch args[0] {
	case "hello":
		return "-ERR unknown command 'HELLO'\r\n"
	case "role":
		if f.hasRole {
			return f.answer(args)
		}
		return "-ERR unknown command 'ROLE'\r\n"
	case "ping":
		signal(f.pinged)
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.pong
	default:
		return f.answer(args)
	}
}

// answerPing sets the answer to PING.
func (f *fake) answerPing(pong string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pong = pong
}

// say writes to all connections.
func (f *fake) say(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		io.WriteString(c, text)
	}
}

// cut closes all connections.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
	f.conns = nil
}

// stop ends the fake. What it was sent is then complete.
func (f *fake) stop() {
	f.listener.Close()
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.cut()
	f.running.Wait()
}

// commands returns those of one name that have come.
func (f *fake) commands(name string) [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.seen), func(args []string) bool { return args[0] != name })
}

func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		data := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, err
		}
		args[i] = string(data[:size])
	}
	args[0] = strings.ToLower(args[0])
	return args, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("not a command")
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// confirm is Redis' answer to SUBSCRIBE and UNSUBSCRIBE.
func confirm(args []string) string {
	var b strings.Builder
	for i, channel := range args[1:] {
		fmt.Fprintf(&b, "*3\r\n%s%s:%d\r\n", bulk(args[0]), bulk(channel), i+1)
	}
	return b.String()
}

// message is what Redis sends to a subscriber.
func message(channel, data string) string {
	return "*3\r\n" + bulk("message") + bulk(channel) + bulk(data)
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// options are for servers that answer: nothing in them gets in the way of a busy
// machine.
func options(addr string) redis.Options {
	return redis.Options{
		Addr:        addr,
		DialTimeout: 10 * time.Second,
		Timeout:     10 * time.Second,
		Heartbeat:   10 * time.Second,
		Logger:      slog.New(slog.DiscardHandler),
	}
}

// impatient options are for tests in which something does not answer.
func impatient(addr string) redis.Options {
	o := options(addr)
	o.DialTimeout, o.Timeout, o.Heartbeat = time.Second, time.Second, 500*time.Millisecond
	return o
}

func newBroker(t testing.TB, o redis.Options) *redis.Broker {
	t.Helper()
	b, err := redis.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func newFeed(t testing.TB, b broker.Broker, channels ...string) broker.Feed {
	t.Helper()
	f, err := b.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Add(guard(t), channels...); err != nil {
		t.Fatal(err)
	}
	return f
}

// guard bounds what should never take long, so that a failure is not a hang.
func guard(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func publish(t testing.TB, b broker.Broker, channel, text string) {
	t.Helper()
	if _, err := b.Publish(guard(t), broker.Message{Channel: channel, Data: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

// next is f.Next with a guard: the Feed is closed where nothing comes.
func next(t testing.TB, f broker.Feed) (broker.Message, error) {
	t.Helper()
	stop := context.AfterFunc(guard(t), func() { f.Close() })
	defer stop()
	return f.Next()
}

// hear fails the test unless the next of f is text in channel.
func hear(t testing.TB, f broker.Feed, channel, text string) {
	t.Helper()
	m, err := next(t, f)
	if err != nil || m.Channel != channel || string(m.Data) != text {
		t.Fatalf("Next returned %q in %q, %v; want %q in %q", m.Data, m.Channel, err, text, channel)
	}
}

// hearGap fails the test unless the next of f are gaps, for a lost link, of
// exactly these channels.
func hearGap(t testing.TB, f broker.Feed, channels ...string) {
	t.Helper()
	missing := map[string]broker.GapReason{}
	for _, c := range channels {
		missing[c] = broker.LinkLost
	}
	hearGaps(t, f, missing)
}

// hearGaps wants one gap of each channel, with its reason, and nothing else.
func hearGaps(t testing.TB, f broker.Feed, missing map[string]broker.GapReason) {
	t.Helper()
	for len(missing) > 0 {
		m, err := next(t, f)
		gap, ok := err.(*broker.GapError)
		if !ok {
			t.Fatalf("Next returned %q, %v; want a gap, of %d more channels", m.Data, err, len(missing))
		}
		for _, c := range gap.Channels {
			if missing[c] != gap.Reason {
				t.Fatalf("there is a gap %s of %q, want %q", gap.Reason, c, missing[c])
			}
			delete(missing, c)
		}
	}
}

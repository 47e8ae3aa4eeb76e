package reply_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// says is an error reply of Redis.
type says string

func (s says) Error() string { return string(s) }
func (says) RedisError()     {}

var _ goredis.Error = says("")

const secret = "hunter2"

// What Redis answers means the same whether the command was a publication or not, except
// what is in no table: that may be a proxy that has lost track of a publication.
func TestOutcomeOfReplies(t *testing.T) {
	for _, test := range []struct {
		text         string
		sent, unsent error
	}{
		{"LOADING Redis is loading", broker.ErrUnavailable, broker.ErrUnavailable},
		{"OOM command not allowed", broker.ErrUnavailable, broker.ErrUnavailable},
		{"READONLY You can't write", broker.ErrUnavailable, broker.ErrUnavailable},
		{"NOSCRIPT No matching script", broker.ErrUnavailable, broker.ErrUnavailable},
		{"ERR max number of clients reached", broker.ErrUnavailable, broker.ErrUnavailable},
		{"WRONGPASS invalid", broker.ErrDenied, broker.ErrDenied},
		{"NOPERM No permissions to access a channel", broker.ErrDenied, broker.ErrDenied},
		{"MOVED 1 127.0.0.1:1", broker.ErrDenied, broker.ErrDenied},
		{"ERR Protocol error: invalid bulk length", broker.ErrTooLarge, broker.ErrTooLarge},
		{"ERR upstream failure", broker.ErrUncertain, broker.ErrDenied},
		{"", broker.ErrUncertain, broker.ErrDenied},
	} {
		for sent, want := range map[bool]error{true: test.sent, false: test.unsent} {
			err := reply.Outcome(fmt.Errorf("go-redis: %w", says(test.text+" "+secret)), sent)
			if !errors.Is(err, want) {
				t.Errorf("%q, sent %v: %v, want %v", test.text, sent, err, want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q is repeated: %v", test.text, err)
			}
		}
	}
}

// Without an answer the outcome of what was sent is unknown, whatever happened. What was
// not sent was not published.
func TestOutcomeWithoutReply(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, test := range []struct {
		name string
		err  error
		want error // where it was not sent
		says string
	}{
		{"refused", refused, broker.ErrUnavailable, "refused"},
		{"hung up", io.EOF, broker.ErrUnavailable, reply.ErrHungUp.Error()},
		{"too late", context.DeadlineExceeded, broker.ErrUnavailable, "deadline"},
		{"given up", context.Canceled, context.Canceled, "canceled"},
		{"silent", reply.ErrSilent, broker.ErrUnavailable, reply.ErrSilent.Error()},
		{"not Redis", reply.ErrNotRedis, broker.ErrDenied, reply.ErrNotRedis.Error()},
		{"no TLS", tls.RecordHeaderError{Msg: "bad"}, broker.ErrDenied, "tls"},
		{"no master", fmt.Errorf("ask: %w", reply.ErrNoMaster), broker.ErrDenied, "ask"},
		{"unknown", errors.New(secret), broker.ErrUnavailable, reply.ErrBadReply.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := reply.Outcome(test.err, false); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("not sent: %v; want %v, and %q in it", err, test.want, test.says)
			}
			if err := reply.Outcome(test.err, true); !errors.Is(err, broker.ErrUncertain) {
				t.Errorf("sent: %v; want %v", err, broker.ErrUncertain)
			}
			for _, sent := range []bool{true, false} {
				if err := reply.Outcome(test.err, sent); strings.Contains(err.Error(), secret) {
					t.Errorf("it repeats what it was given: %v", err)
				}
			}
		})
	}
}

// A Redis too old for a history is denied, and its version named.
func TestTooOld(t *testing.T) {
	for _, sent := range []bool{true, false} {
		err := reply.Outcome(reply.TooOld(6), sent)
		if !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), "this is 6") {
			t.Errorf("sent %v: %v", sent, err)
		}
	}
}

// A refusal is of a channel only where Redis speaks of access to one.
func TestOfChannel(t *testing.T) {
	for text, want := range map[string]bool{
		"NOPERM No permissions to access a channel":                             true,
		"NOPERM User default has no permissions to access the 'a' channel":      true,
		"NOPERM User channel has no permissions to run the 'subscribe' command": false,
		"NOPERM No permissions to access one of the keys used":                  false,
		"ERR no permission to access a channel":                                 false,
	} {
		if got := reply.OfChannel(says(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if reply.OfChannel(errors.New("NOPERM No permissions to access a channel")) {
		t.Error("an error that is no reply of Redis is taken for one")
	}
}

// A panic of go-redis becomes an error, and no panic leaves err as it is.
func TestContain(t *testing.T) {
	call := func(panics bool) (err error) {
		defer reply.Contain(&err)
		if panics {
			panic("interface conversion")
		}
		return io.EOF
	}
	if err := call(true); !errors.Is(err, reply.ErrBadReply) {
		t.Errorf("after a panic: %v", err)
	}
	if err := call(false); err != io.EOF {
		t.Errorf("without one: %v", err)
	}
}

func TestField(t *testing.T) {
	const info = "# Server\r\nrun_id:abc\r\nredis_version: 7.0 \r\nxrun_id:no\r\n"
	for name, want := range map[string]string{"run_id": "abc", "redis_version": "7.0", "role": "", "id": ""} {
		if got := reply.Field(info, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestIsEmbedded(t *testing.T) {
	for err, want := range map[error]bool{
		says("section (server) is not supported"): true, says("ERR unknown command"): false, io.EOF: false, nil: false,
	} {
		if reply.IsEmbedded(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

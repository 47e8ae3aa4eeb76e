// Package reply says what an error of go-redis or an error reply of Redis means.
//
// An error of either can repeat what was sent or received. [Outcome] turns it into one that
// repeats none of it and matches one of the sentinels of package broker. It keeps nothing
// and may be called concurrently.
package reply

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/acl"
)

// Errors of the driver. An error of go-redis or of Redis can repeat what was sent or
// received, so only these sentences leave the driver.
var (
	ErrNoName     = errors.New("the channel name is empty")
	ErrNotRedis   = errors.New("the server does not speak the Redis protocol")
	ErrBadReply   = errors.New("the server's answer makes no sense")
	ErrHungUp     = errors.New("the server closed the connection")
	ErrSilent     = errors.New("the connection went silent")
	ErrReconnect  = errors.New("the connection belongs to one link")
	ErrUnexpected = errors.New("the server confirmed what was not asked for")
	ErrNotMaster  = errors.New("the server is not the master")
	ErrMoved      = errors.New("the Sentinels name another master")
	ErrDisagree   = errors.New("the Sentinels do not agree on the master")
	ErrNoMaster   = fmt.Errorf("it knows no master of that name: %w", broker.ErrDenied)
)

// replies says what Redis' error replies mean, by how they begin. In all of them
// the command was not executed.
var replies = []struct {
	prefix string
	means  string
	class  error
}{
	{"LOADING", "it is loading its data", broker.ErrUnavailable},
	{"OOM", "it is out of memory", broker.ErrUnavailable},
	{"MISCONF", "it cannot save its data", broker.ErrUnavailable},
	{"READONLY", "it is a read-only replica", broker.ErrUnavailable},
	{"CLUSTERDOWN", "its cluster is down", broker.ErrUnavailable},
	{"BUSY", "it is busy with a script", broker.ErrUnavailable},
	{"TRYAGAIN", "it asks to try again", broker.ErrUnavailable},
	{"CROSSSLOT", "it is a cluster", broker.ErrDenied},
	{"MOVED", "it is a cluster", broker.ErrDenied},
	{"ASK", "it is a cluster", broker.ErrDenied},
	{"MASTERDOWN", "its link to the master is down", broker.ErrUnavailable},
	{"ERR Protocol error: invalid bulk length", "the message is longer than its proto-max-bulk-len", broker.ErrTooLarge},
	{"NOREPLICAS", "it has too few replicas", broker.ErrUnavailable},
	{"ERR max number of clients", "it has too many clients", broker.ErrUnavailable},
	{"NOSCRIPT", "it was started again", broker.ErrUnavailable},
	{"NOTKEPT", "the stream of the history takes no more", broker.ErrUnavailable},
	{"WRONGTYPE", "a key of the history is in other use", broker.ErrDenied},
	{"NOAUTH", "it needs a password", broker.ErrDenied},
	{"WRONGPASS", "the user or the password is wrong", broker.ErrDenied},
	{"NOPERM", acl.NoPermission, broker.ErrDenied},
	{"DENIED", "it is in protected mode", broker.ErrDenied},
	{"ERR DB index", "it has no such database", broker.ErrDenied},
	{"ERR The user executing the script", acl.NoPermission, broker.ErrDenied},
	{"ERR ACL failure in script", acl.NoPermission, broker.ErrDenied},
	{"ERR unknown command", "it does not know a command", broker.ErrDenied},
}

// Outcome turns an error of go-redis into one of ours: what happened, and one of
// the broker's sentinels. sent says whether a publication may have been written;
// in doubt its outcome is unknown.
func Outcome(err error, sent bool) error {
	var reply goredis.Error
	switch {
	case errors.As(err, new(TooOld)):
		return err
	case errors.As(err, &reply):
		return replyOutcome(reply.Error(), sent)
	case sent:
		return fmt.Errorf("%w: %w", cause(err), broker.ErrUncertain)
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, broker.ErrDenied), errors.Is(err, broker.ErrUnavailable):
		return err // what became of asking a Sentinel
	case errors.Is(err, ErrNotRedis), isTLS(err):
		return fmt.Errorf("%w: %w", cause(err), broker.ErrDenied)
	default:
		return fmt.Errorf("%w: %w", cause(err), broker.ErrUnavailable)
	}
}

// replyOutcome is Outcome for an error reply. One that is not in the table was
// answered to a handshake or a subscription: then it is a refusal. Answered to a
// publication it may be a proxy's word for having lost track of it.
func replyOutcome(text string, sent bool) error {
	for _, r := range replies {
		if strings.HasPrefix(text, r.prefix) {
			means := r.means
			if means == acl.NoPermission {
				means = acl.Lacking(text)
			}
			return fmt.Errorf("the server says %s: %s: %w", code(text), means, r.class)
		}
	}
	if sent {
		return fmt.Errorf("the server says %s: %w", code(text), broker.ErrUncertain)
	}
	return fmt.Errorf("the server says %s: %w", code(text), broker.ErrDenied)
}

// OfChannel reports whether err is Redis' word for a channel that the user may not
// use. A command that the user may not run is another matter, and so is a user
// whose name has that word: names have no spaces.
func OfChannel(err error) bool {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return false
	}
	_, what, found := strings.Cut(reply.Error(), " to access ")
	return found && strings.HasPrefix(reply.Error(), "NOPERM") && strings.Contains(what, "channel")
}

// code returns the word in capitals that begins an error reply, and nothing of
// what follows it.
func code(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if word == "" || len(word) > 20 || strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "an error"
	}
	return word
}

// cause keeps errors of the network and of contexts, which are about addresses
// and time, and replaces all others.
func cause(err error) error {
	var (
		network net.Error
		errno   syscall.Errno
	)
	switch {
	case errors.Is(err, ErrNotRedis):
		return ErrNotRedis
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrHungUp
	case isTLS(err), errors.As(err, &network), errors.As(err, &errno),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, net.ErrClosed), errors.Is(err, goredis.ErrPoolTimeout),
		errors.Is(err, ErrSilent), errors.Is(err, ErrUnexpected),
		errors.Is(err, ErrNotMaster), errors.Is(err, ErrMoved), errors.Is(err, ErrDisagree):
		return err
	default:
		return ErrBadReply
	}
}

// isTLS reports whether the peer was reached and is not the one, or not the kind,
// that TLS needs.
func isTLS(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
	)
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert)
}

// IsReply reports whether err is an error reply of Redis.
func IsReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply)
}

// IsEmbedded reports whether err is the answer to INFO of the embedded server of package
// miniredis, which does not know the question.
func IsEmbedded(err error) bool {
	return err != nil && IsReply(err) && strings.HasPrefix(err.Error(), "section (")
}

// Field returns the value of a line "name:value" of what INFO says, or nothing.
func Field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Contain, deferred, turns a panic of go-redis, which trusts the types of replies, into
// [ErrBadReply].
func Contain(err *error) {
	if recover() != nil {
		*err = ErrBadReply
	}
}

// LeastMajor is the first version of Redis that a history works with: before it
// XADD does not number within an epoch.
const LeastMajor = 7

// A TooOld is the major version of a Redis that is too old for a history.
type TooOld int

func (e TooOld) Error() string {
	return fmt.Sprintf("history needs Redis %d or newer, this is %d", LeastMajor, int(e))
}

// Unwrap returns [broker.ErrDenied].
func (TooOld) Unwrap() error { return broker.ErrDenied }

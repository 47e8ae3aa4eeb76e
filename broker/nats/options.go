package nats

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

// Options are the settings of a Broker. Zero values mean the defaults, but for Servers.
type Options struct {
	Servers []string // "host:port" of each server, of which one that answers is used

	Username, Password string
	Credentials        natsgo.Option // from a file, in place of a user; nil for none
	TLS                *tls.Config   // nil for plain text; not to be changed after New

	// Prefix stands before every subject, and is a beginning of one without wildcards: at most 128 bytes of UTF-8, of
	// printable characters but the space, * and >, with no empty token, and not of the subjects that are NATS' own or
	// that this driver makes ($…, _INBOX…, _PREGON…). With a History it ends with a dot.
	Prefix string

	// History says how much of each channel JetStream keeps; zero keeps nothing. InMemory keeps it in
	// the server's memory, and not in its files. Replicas is on how many servers it is kept; default 1.
	// Subjects are what the stream stores without a Prefix, beside subjects of one token, as in room.> and news.*; see
	// the package's documentation. No two of them have a subject in common.
	History  broker.Retention
	InMemory bool
	Replicas int
	Subjects []string

	// Lossy lets servers be a cluster without a History, though that loses messages without a word: see
	// Broker.NotPromised. It is refused with a History.
	Lossy bool

	// DialTimeout bounds one attempt to connect; default 5 s. Timeout bounds the wait for the answer
	// to what was published; default 3 s.
	DialTimeout, Timeout time.Duration

	// Heartbeat is how long a connection may be silent before the server is asked whether it is
	// there; as long again without an answer, and it is lost. Default 2 s.
	Heartbeat time.Duration

	Logger *slog.Logger // default slog.Default(), asked when something is logged

	names names
	loses *atomic.Bool // a server was one of a cluster, and Lossy lets it be
}

func (o Options) withDefaults() Options {
	o.DialTimeout = orDefault(o.DialTimeout, 5*time.Second)
	o.Timeout = orDefault(o.Timeout, 3*time.Second)
	o.Heartbeat = orDefault(o.Heartbeat, 2*time.Second)
	o.Replicas = max(o.Replicas, 1)
	o.names, o.loses = newNames(o), new(atomic.Bool)
	return o
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func (o Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// maxReplicas is the most servers that JetStream keeps a stream on.
const maxReplicas = 5

// check says what of o no Broker can work with.
func (o Options) check() error {
	kept := !o.History.IsZero()
	switch {
	case len(o.Servers) == 0:
		return errors.New("nats: no server")
	case kept && o.Lossy:
		return errors.New("nats: with a history nothing is lossy")
	case o.Replicas < 0 || o.Replicas > maxReplicas:
		return errors.New("nats: Options.Replicas is not a number from 1 to 5")
	}
	if why := badPrefix(o.Prefix, kept); why != "" {
		return errors.New("nats: Options.Prefix " + why)
	}
	if why := badPatterns(o.Subjects, o.Prefix); why != "" {
		return errors.New("nats: Options.Subjects " + why)
	}
	return nil
}

// maxPrefix is the longest prefix and pattern, in bytes. So the longest subject with a prefix and a channel, behind
// the name of the stream, which has the prefix too, is well below the 4 KiB that a server takes as a line.
const maxPrefix = 128

// badPrefix says why a prefix is no beginning of a subject, behind its name. Empty means that it is one.
func badPrefix(prefix string, kept bool) string {
	switch {
	case prefix == "":
		return ""
	case len(prefix) > maxPrefix:
		return "is longer than 128 bytes"
	case !isLiteral(strings.TrimSuffix(prefix, ".")):
		return "is no beginning of a subject: it is words with dots between them, such as app. or app.live., without white space, control characters, * and >"
	case isOurs(prefix):
		return "is one of the subjects that are NATS' own or pregon's: $…, _INBOX…, _PREGON…"
	case kept && !strings.HasSuffix(prefix, "."):
		return "is not one that ends with a dot, as it has to with a history"
	}
	return ""
}

// badPatterns says why a stream cannot store subjects beside those of one token, behind their name.
func badPatterns(patterns []string, prefix string) string {
	if len(patterns) > 0 && prefix != "" {
		return "has no effect with a prefix: all subjects behind it are kept"
	}
	for i, pattern := range patterns {
		first, rest, more := strings.Cut(strings.TrimSuffix(pattern, ".>"), ".")
		switch {
		case len(pattern) > maxPrefix:
			return "has one that is longer than 128 bytes"
		case !strings.Contains(pattern, "."), !isLiteral(first), isOurs(first + "."), more && !isPattern(rest):
			return "has one that is not like room.> or news.*"
		}
		for _, other := range patterns[:i] {
			if overlap(pattern, other) {
				return "has two that stand for the same subject, which a stream cannot"
			}
		}
	}
	return ""
}

// isPattern reports whether a subject is tokens, of which some are *.
func isPattern(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token != "*" && !isLiteral(token) {
			return false
		}
	}
	return true
}

// isLiteral reports whether a subject is tokens without wildcards, none of them empty.
func isLiteral(subject string) bool {
	return utf8.ValidString(subject) && !strings.Contains("."+subject+".", "..") && !strings.ContainsFunc(subject, func(r rune) bool {
		return !unicode.IsPrint(r) || r == ' ' || r == '*' || r == '>'
	})
}

// isOurs reports whether a subject, or what a channel makes of it, may be one that NATS or this driver uses.
func isOurs(beginning string) bool {
	for _, own := range []string{"$", "_INBOX", strings.TrimSuffix(livePrefix, ".")} {
		if strings.HasPrefix(beginning, own) || strings.HasPrefix(own, beginning) {
			return true
		}
	}
	return false
}

// overlap reports whether a subject can be one that both patterns stand for.
func overlap(a, b string) bool {
	for {
		p, restOfA, moreOfA := strings.Cut(a, ".")
		q, restOfB, moreOfB := strings.Cut(b, ".")
		switch {
		case p == ">", q == ">":
			return true
		case p != q && p != "*" && q != "*", moreOfA != moreOfB:
			return false
		case !moreOfA:
			return true
		}
		a, b = restOfA, restOfB
	}
}

package nats

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

// A conn is one connection to a server. It never reconnects.
type conn struct {
	*natsgo.Conn
	lost chan struct{} // closed when the connection is over

	mu      sync.Mutex
	told    sync.Cond        // something was noted
	newest  error            // the refusal that the library has told last
	refused map[string]error // by subject: what the server does not allow
	overrun func()           // messages were dropped; nil for a connection that has no subscriptions
}

// errCluster is why a cluster is refused: see the package's documentation.
var errCluster = fmt.Errorf("the server is one of a cluster, which can lose messages without a word: have three servers keep a history (?history=5m&replicas=3), or put up with that (?lossy=1): %w", broker.ErrDenied)

// clustered reports whether the stream is kept by several servers, so that one of them may be lost.
func (o Options) clustered() bool { return !o.History.IsZero() && o.Replicas >= 3 }

// dial connects to one of the servers, and returns once it has answered. It ends when ctx does.
// Closing the connection is the caller's.
func dial(ctx context.Context, o Options, overrun func()) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	c := &conn{lost: make(chan struct{}), refused: map[string]error{}, overrun: overrun}
	c.told.L = &c.mu
	nc, err := o.connect(ctx, c)
	if err == nil && nc.ConnectedClusterName() != "" {
		if err = o.enterCluster(); err != nil {
			nc.Close()
		}
	}
	if err != nil {
		return nil, dialError(ctx, err)
	}
	c.Conn = nc
	return c, nil
}

func (o Options) connect(ctx context.Context, c *conn) (*natsgo.Conn, error) {
	way := &dialer{ctx: ctx}
	defer way.made()
	options := []natsgo.Option{
		natsgo.Name("pregon"), natsgo.NoReconnect(), natsgo.IgnoreDiscoveredServers(),
		natsgo.Timeout(o.DialTimeout), natsgo.SetCustomDialer(way),
		natsgo.PingInterval(o.Heartbeat), natsgo.MaxPingsOutstanding(1),
		natsgo.ErrorHandler(c.note), natsgo.ClosedHandler(func(*natsgo.Conn) { c.close() }),
	}
	if o.Username != "" {
		options = append(options, natsgo.UserInfo(o.Username, o.Password))
	}
	if o.Credentials != nil {
		options = append(options, o.Credentials)
	}
	if o.TLS != nil {
		options = append(options, natsgo.Secure(o.TLS.Clone()))
	}
	return natsgo.Connect("nats://"+strings.Join(o.Servers, ",nats://"), options...)
}

// A dialer makes connections that end with a context until made is called: so a server that accepts and
// says nothing holds up nobody who closes.
type dialer struct {
	ctx   context.Context
	stops []func() bool
}

// Dial implements natsgo.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(d.ctx, network, address)
	if err == nil {
		d.stops = append(d.stops, context.AfterFunc(d.ctx, func() { _ = c.Close() }))
	}
	return c, err
}

func (d *dialer) made() {
	for _, stop := range d.stops {
		stop()
	}
}

// dialError says what an attempt has failed with.
func dialError(ctx context.Context, err error) error {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, broker.ErrDenied):
		return err
	case errors.Is(err, natsgo.ErrAuthorization), errors.Is(err, natsgo.ErrAuthExpired), errors.Is(err, natsgo.ErrAuthRevoked),
		errors.Is(err, natsgo.ErrSecureConnRequired), errors.Is(err, natsgo.ErrSecureConnWanted), errors.As(err, &certificate):
		return fmt.Errorf("%w: %w", broker.ErrDenied, err)
	case ctx.Err() != nil:
		return fmt.Errorf("connect: %w: %w", ctx.Err(), broker.ErrUnavailable)
	}
	return fmt.Errorf("connect: %w: %w", err, broker.ErrUnavailable)
}

// note is what the library calls, one call after the other, where a server refuses something and
// where messages were dropped.
func (c *conn) note(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
	switch {
	case errors.Is(err, natsgo.ErrPermissionViolation):
		c.mu.Lock()
		defer c.mu.Unlock()
		c.newest = err
		c.refused[quoted(err.Error())] = fmt.Errorf("%w: the server does not permit the subject", broker.ErrDenied)
		c.told.Broadcast()
	case errors.Is(err, natsgo.ErrSlowConsumer) && c.overrun != nil:
		c.overrun()
	}
}

// quoted returns what stands in quotes in a text, as Go quotes it.
func quoted(text string) string {
	at := max(strings.IndexByte(text, '"'), 0)
	word, err := strconv.QuotedPrefix(text[at:])
	if err != nil {
		return ""
	}
	word, _ = strconv.Unquote(word)
	return word
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.lost)
	c.told.Broadcast()
}

// confirm returns when the server has done what it was sent, and those of subjects that it does not
// permit. The library tells of these on a goroutine of its own, but has noted the last one by the time
// that the server's answer has come: so it is waited for that one. Where it has noted something else last,
// such as that there are too many subscriptions, or that messages were dropped, it cannot be known what the
// server has done: that is an error, after which the connection is of no use.
func (c *conn) confirm(ctx context.Context, subjects func(yield func(string) bool)) (refused map[string]error, err error) {
	if err := c.FlushWithContext(ctx); err != nil {
		return nil, err
	}
	switch last := c.LastError(); {
	case last == nil:
		return nil, nil
	case !errors.Is(last, natsgo.ErrPermissionViolation):
		c.Close()
		return nil, last
	default:
		return c.refusals(last, subjects), nil
	}
}

// refusals returns those of subjects that were refused, when the library has told of last.
func (c *conn) refusals(last error, subjects func(yield func(string) bool)) (refused map[string]error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.newest != last && !c.isLost() {
		c.told.Wait()
	}
	for subject := range subjects {
		if err := c.refused[subject]; err != nil {
			if refused == nil {
				refused = map[string]error{}
			}
			refused[subject] = err
			delete(c.refused, subject)
		}
	}
	return refused
}

func (c *conn) isLost() bool {
	select {
	case <-c.lost:
		return true
	default:
		return false
	}
}

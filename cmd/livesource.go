package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/pregon/pregon/cmd/live"
)

// A liveSource is a connection to /live.
type liveSource struct {
	conn     *live.Conn
	presence bool
	ref      int
	waiting  map[int]string // the channels of commands by their refs, until they are answered
}

// A command is what a client sends on /live.
type command struct {
	Type     string  `json:"type"`
	Ref      int     `json:"ref"`
	Channel  string  `json:"channel,omitempty"`
	Since    string  `json:"since,omitempty"`
	Presence bool    `json:"presence,omitempty"`
	Token    string  `json:"token,omitempty"`
	Data     *string `json:"data,omitempty"`
}

// dialLive connects to /live, and returns with what the server says as welcome. Errors are about what is to be
// done; they are errNotThrough where nothing is wrong but the way.
func (c *caller) dialLive(ctx context.Context, what string, query url.Values) (*liveSource, frame, error) {
	target := string(c.url) + "/live"
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	conn, resp, err := live.Dial(ctx, target, live.Options{Credential: c.credential, TLS: c.tls})
	switch {
	case resp != nil:
		return nil, frame{}, c.notSwitched(what, answerError(resp))
	case err != nil:
		return nil, frame{}, c.notDialled(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	l := &liveSource{conn: conn, waiting: map[int]string{}}
	welcome, err := c.welcome(what, l)
	if err != nil {
		l.close()
		return nil, frame{}, err
	}
	return l, welcome, nil
}

// notSwitched is the error where the answer to a handshake is none. What pregon itself says counts;
// a handshake of which parts are missing is no longer ours.
func (c *caller) notSwitched(what string, a *answered) error {
	switch a.code {
	case "", "bad_handshake", "bad_version", "not_found":
		return fmt.Errorf("%w: %w", errNotThrough, a)
	}
	return fmt.Errorf("%s: %w", what, c.hint(a))
}

// notDialled is the error where there was no answer.
func (c *caller) notDialled(err error) error {
	why := c.unreachable(err)
	var dial *net.OpError
	if errors.Is(why, errRefused) || errors.Is(why, errNoHost) || errors.As(err, &dial) && dial.Op == "dial" {
		return why
	}
	return fmt.Errorf("%w: %w", errNotThrough, err)
}

// welcome reads the first frame.
func (c *caller) welcome(what string, l *liveSource) (frame, error) {
	f, err := l.next()
	closed, isClosed := errors.AsType[*live.Closed](err)
	switch {
	case isClosed && closed.Final():
		return f, refusal{closed}
	case isClosed:
		return f, closed
	case err != nil:
		return f, fmt.Errorf("%w: %w", errNotThrough, err)
	case f.answered() != nil:
		return f, fmt.Errorf("%s: %w", what, c.hint(f.answered()))
	case f.Type != "welcome":
		return f, fmt.Errorf("%s: %w", what, refusal{errors.New("the server does not say welcome: is --url the address of a pregon?")})
	}
	if f.Ping > 0 {
		l.conn.Expect(2 * seconds(f.Ping))
	}
	return f, nil
}

// next implements source.
func (l *liveSource) next() (frame, error) {
	text, err := l.conn.Read()
	if of, ok := errors.AsType[*live.Closed](err); ok && of.Final() {
		return frame{}, refusal{of}
	} else if err != nil {
		return frame{}, err
	}
	return parseFrame(text)
}

// subscribe implements source.
func (l *liveSource) subscribe(channel, since string) error {
	return l.send(command{Type: "subscribe", Channel: channel, Since: since, Presence: l.presence})
}

// unsubscribe implements source.
func (l *liveSource) unsubscribe(channel string) error {
	return l.send(command{Type: "unsubscribe", Channel: channel})
}

// renew implements source.
func (l *liveSource) renew(credential string) error {
	return l.send(command{Type: "renew", Token: credential})
}

func (l *liveSource) send(c command) error {
	l.ref++
	c.Ref = l.ref
	l.waiting[c.Ref] = c.Channel
	if err := l.conn.Write(c); err != nil {
		return fmt.Errorf("send a command: %w", err)
	}
	return nil
}

// about implements source.
func (l *liveSource) about(ref int) (channel string) {
	defer delete(l.waiting, ref)
	return l.waiting[ref]
}

// close implements source.
func (l *liveSource) close() { _ = l.conn.Close() } // nothing is left to be lost

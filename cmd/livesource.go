package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pregon/pregon/cmd/live"
)

// renewAt is the part of a token's life after which the next one is due.
const renewAt = 0.8

// A liveSource is a connection to /live.
type liveSource struct {
	conn     *live.Conn
	presence bool
	ref      int
	waiting  map[int]string // the channels of commands by their refs, until they are answered
}

// A command is what a client sends on /live.
type command struct {
	Type     string `json:"type"`
	Ref      int    `json:"ref"`
	Channel  string `json:"channel,omitempty"`
	Since    string `json:"since,omitempty"`
	Presence bool   `json:"presence,omitempty"`
	Token    string `json:"token,omitempty"`
}

// dialLive connects to /live, and returns once the server has said welcome.
func (s *subscription) dialLive(ctx context.Context) (source, error) {
	target := string(s.URL) + "/live?" + s.query().Encode()
	conn, resp, err := live.Dial(ctx, target, live.Options{Credential: s.client.credential, TLS: s.client.tls})
	switch {
	case resp != nil:
		return nil, s.notSwitched(answerError(resp))
	case err != nil:
		return nil, s.notDialled(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	l := &liveSource{conn: conn, presence: s.Members, waiting: map[int]string{}}
	if err := l.welcome(s); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// notSwitched is the error where the answer to a handshake is none. What pregon itself says counts;
// a handshake of which parts are missing is no longer ours.
func (s *subscription) notSwitched(a *answered) error {
	switch a.code {
	case "", "bad_handshake", "bad_version", "not_found":
		return fmt.Errorf("%w: %w", errNotThrough, a)
	}
	return fmt.Errorf("subscribe: %w", s.Client.hint(a))
}

// notDialled is the error where there was no answer.
func (s *subscription) notDialled(err error) error {
	why := unreachable(s.URL, err)
	var dial *net.OpError
	if errors.Is(why, errRefused) || errors.Is(why, errNoHost) || errors.As(err, &dial) && dial.Op == "dial" {
		return why
	}
	return fmt.Errorf("%w: %w", errNotThrough, err)
}

// welcome reads the first frame.
func (l *liveSource) welcome(s *subscription) error {
	f, err := l.next()
	closed, isClosed := errors.AsType[*live.Closed](err)
	switch {
	case isClosed && closed.Final():
		return refusal{closed}
	case isClosed:
		return closed
	case err != nil:
		return fmt.Errorf("%w: %w", errNotThrough, err)
	case f.answered() != nil:
		return fmt.Errorf("subscribe: %w", s.Client.hint(f.answered()))
	case f.Type != "welcome":
		return fmt.Errorf("subscribe: %w", refusal{errors.New("the server does not say welcome: is --url the address of a pregon?")})
	}
	if f.Ping > 0 {
		l.conn.Expect(2 * seconds(f.Ping))
	}
	s.renewIn(seconds(f.TTL))
	return nil
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

// renewIn has the token renewed before its life of ttl ends, zero for one that does not.
func (s *subscription) renewIn(ttl time.Duration) {
	if s.Client.TokenFile == "" || ttl <= 0 {
		s.renewal = nil
		return
	}
	s.renewal = time.After(time.Duration(renewAt * float64(ttl)))
}

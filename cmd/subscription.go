package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/pregon/pregon/transport"
)

// A subscription is what a sub hears, over all of its connections.
type subscription struct {
	*subCommand
	out      *console
	client   *caller
	comeback *comeback

	channels []string          // that it listens to now
	asked    map[string]bool   // those of them that came by standard input, and have not begun yet
	heard    map[string]string // the last cursor of a channel

	lines   <-chan string // of standard input
	again   chan string   // channels that are to be subscribed to once more
	renewal <-chan time.Time

	toldStream bool // that no WebSocket gets through
}

func (c *subCommand) subscription(out *console, client *caller) *subscription {
	s := &subscription{
		subCommand: c, out: out, client: client, channels: slices.Clone(c.Channels),
		asked: map[string]bool{}, heard: map[string]string{}, again: make(chan string),
	}
	if out != nil {
		s.comeback = &comeback{stderr: out.stderr}
	}
	return s
}

// query says what to hear, and where to begin. Last-Event-ID, with which browsers
// come back, would do for one channel only: here each goes on where it was.
func (s *subscription) query() url.Values {
	query := url.Values{"channel": s.channels}
	switch {
	case len(s.channels) == 0:
		return url.Values{}
	case len(s.heard) > 0:
		query["since"] = slices.Sorted(maps.Values(s.heard))
	case s.Last != nil:
		query.Set("history", fmt.Sprint(*s.Last))
	}
	if s.Members {
		query.Set("presence", "1")
	}
	return query
}

// run listens until ctx ends, and connects again whenever the connection is lost.
func (s *subscription) run(ctx context.Context) error {
	for {
		err := s.attend(ctx)
		if errors.Is(err, errChanged) {
			if len(s.heard) == 0 { // no cursor says where to go on
				fmt.Fprintln(s.out.stderr, "pregon: messages may be missing here, as the event stream is opened anew")
			}
			continue
		}
		if err := s.comeback.failed(ctx, err); err != nil {
			return err
		}
	}
}

// attend listens by one connection until that ends.
func (s *subscription) attend(ctx context.Context) error {
	src, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.comeback.succeeded()
	frames := make(chan frame)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	stop := background(ctx, func(ctx context.Context) { ended <- pump(ctx, src, frames) })
	defer stop()
	defer src.close()
	defer cancel()
	for {
		select {
		case f := <-frames:
			f.Channel = cmp.Or(f.Channel, src.about(f.Ref)) // a name that is none is not repeated
			err = s.take(ctx, f)
		case err = <-ended:
		case line := <-s.lines:
			err = s.change(src, line)
		case channel := <-s.again:
			err = s.retry(src, channel)
		case <-s.renewal:
			err = s.renew(src)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// pump hands on the frames of a source until that ends or ctx does.
func pump(ctx context.Context, src source, frames chan<- frame) error {
	for {
		f, err := src.next()
		if err != nil {
			return err
		}
		select {
		case frames <- f:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// renew brings what is in --token-file now, if that is another token: the server refuses none
// until the old one has ended.
func (s *subscription) renew(src source) error {
	s.renewal = nil
	credential, err := s.Client.credential()
	if err != nil || credential == s.client.credential {
		return nil // the connection ends with the token, and the next brings what is there then
	}
	s.client.credential = credential
	return src.renew(credential)
}

// renewAt is the part of a token's life after which the next one is due.
const renewAt = 0.8

// renewIn has the token renewed before its life of ttl ends, zero for one that does not.
func (s *subscription) renewIn(ttl time.Duration) {
	if s.Client.TokenFile == "" || ttl <= 0 {
		s.renewal = nil
		return
	}
	s.renewal = time.After(time.Duration(renewAt * float64(ttl)))
}

// retry subscribes to a channel once more, if it is still wanted.
func (s *subscription) retry(src source, channel string) error {
	if !slices.Contains(s.channels, channel) {
		return nil
	}
	return src.subscribe(channel, s.heard[channel])
}

// remember notes that the message with this id was heard. It reports whether that
// is one of the channels', which an id shows.
func (s *subscription) remember(id string) bool {
	for _, channel := range s.channels {
		if _, err := transport.ParseCursor(channel, id); err == nil {
			s.heard[channel] = id
			return true
		}
	}
	return false
}

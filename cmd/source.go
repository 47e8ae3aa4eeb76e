package cmd

import (
	"context"
	"errors"
	"fmt"
)

// A source is one connection by which a sub hears its channels. One goroutine calls next while another
// calls all else.
type source interface {
	// next waits for the next frame. Its error ends the source.
	next() (frame, error)
	// subscribe and unsubscribe change the channels. They return errChanged where that takes a new connection. A
	// stay begins behind since, or where that is empty with what comes from now on.
	subscribe(channel, since string) error
	unsubscribe(channel string) error
	// renew brings a new key or token.
	renew(credential string) error
	// about returns the channel of the command that a frame with this ref answers, empty where there is none.
	about(ref int) (channel string)
	// close ends it, and a next that waits.
	close()
}

// errChanged means that a connection ends because it is to have other channels.
var errChanged = errors.New("the channels have changed")

// errNotThrough means that something on the way does not let WebSockets through, or that the server
// does not speak /live.
var errNotThrough = errors.New("no WebSocket gets through")

// connect connects to /live, and where that does not get through to an event stream.
func (s *subscription) connect(ctx context.Context) (source, error) {
	if err := s.client.refresh(); err != nil {
		return nil, refusal{err}
	}
	live, welcome, err := s.client.dialLive(ctx, "subscribe", s.query())
	switch {
	case err == nil:
		live.presence = s.Members
		s.renewIn(seconds(welcome.TTL))
		return live, nil
	case !errors.Is(err, errNotThrough) || ctx.Err() != nil:
		return nil, err
	}
	stream, streamErr := s.openStream(ctx)
	if streamErr == nil && !s.toldStream {
		fmt.Fprintf(s.out.stderr, "pregon: %s; listening to an event stream instead\n", shown(s.out.stderr, err.Error()))
		s.toldStream = true
	}
	return stream, streamErr
}

package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// poll reads until there is something, the time that the client waits is over, it
// has gone, or the server stops. The channel is watched before the first look, so
// nothing comes unnoticed between a look and the wait for the next.
func (s *Server) poll(w http.ResponseWriter, r *http.Request, h historyReader) (found, error) {
	if s.full() {
		return found{}, tooManyConnections()
	}
	s.polls.Add(1)
	defer s.polls.Add(-1)
	extend(w, h.wait)
	ctx, cancel := context.WithTimeout(r.Context(), transport.JoinTimeout)
	defer cancel()
	news, stop, err := h.client.Watch(ctx, h.channel)
	switch {
	case errors.Is(err, hub.ErrDraining):
		return h.look(r.Context())
	case err != nil:
		return found{}, err
	}
	defer stop()
	return s.await(r.Context(), h, news)
}

// await reads whenever there are news. That something is missing is no news of its
// own: an answer without messages, given at once, would be asked for again at once.
func (s *Server) await(ctx context.Context, h historyReader, news <-chan struct{}) (found, error) {
	enough := time.NewTimer(h.wait)
	defer enough.Stop()
	f, err := h.look(ctx)
	for err == nil && len(f.Messages) == 0 {
		select {
		case <-news:
			f, err = h.lookAgain(ctx, f)
		case <-enough.C:
			return f, nil
		case <-s.stopping:
			return f, nil
		case <-ctx.Done():
			return f, ctx.Err()
		}
	}
	return f, err
}

// extend gives the request wait more time than others have. Both ends need it:
// net/http takes an end of the time for reading for the client's leaving. A
// connection that has no such times needs none.
func extend(w http.ResponseWriter, wait time.Duration) {
	until := time.Now().Add(wait + requestTime)
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(until)
	_ = c.SetWriteDeadline(until)
}

package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// poll reads until there is something, the time that the client waits is over, it
// has gone, or the server stops. The channel is watched before the first look, so
// nothing comes unnoticed between a look and the wait for the next.
func (s *Server) poll(w http.ResponseWriter, r *http.Request, h historyReader) (broker.Page, error) {
	if s.full() {
		return broker.Page{}, tooManyConnections()
	}
	s.polls.Add(1)
	defer s.polls.Add(-1)
	extend(w, h.wait)
	ctx, cancel := context.WithTimeout(r.Context(), transport.JoinTimeout)
	defer cancel()
	news, stop, err := s.hub.Watch(ctx, h.channel)
	switch {
	case errors.Is(err, hub.ErrDraining):
		return h.read(r.Context())
	case err != nil:
		return broker.Page{}, err
	}
	defer stop()
	return s.look(r.Context(), h, news)
}

// look reads whenever there are news.
func (s *Server) look(ctx context.Context, h historyReader, news <-chan struct{}) (broker.Page, error) {
	enough := time.NewTimer(h.wait)
	defer enough.Stop()
	for {
		page, err := h.read(ctx)
		if err != nil || len(page.Messages) > 0 || !page.Complete {
			return page, err
		}
		select {
		case <-news:
		case <-enough.C:
			return page, nil
		case <-s.stopping:
			return page, nil
		case <-ctx.Done():
			return page, ctx.Err()
		}
	}
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

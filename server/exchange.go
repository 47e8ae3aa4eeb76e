package server

import (
	"context"
	"net/http"
)

// An exchange is what the server knows about a request beside what is in it. It is made at
// the entrance, and goes with the request's context.
type exchange struct {
	*settings // that counted when the request came
}

type exchangeKey struct{}

// begin returns r with an exchange.
func (s *Server) begin(r *http.Request) *http.Request {
	x := &exchange{settings: s.settings.Load()}
	return r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
}

// exchangeOf returns the exchange of a request that came through the entrance, as all do.
func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

// An exchange is what the server knows about a request beside what is in it. It is made at
// the entrance, goes with the request's context, and is used by its handler's goroutine.
type exchange struct {
	*settings // that counted when the request came

	credentialed bool               // its origin may use the user's cookies
	caller       *access.Caller     // who made it
	denied       error              // why that cannot be told; to be returned behind what is wrong with the form
	refusal      *transport.Problem // what to answer where there is no room for it; else nil
	line         *accessLine        // of the access log; nil without one
	id           string             // for its problem and what is logged of it; empty as long as there is none
}

type exchangeKey struct{}

// begin returns r with an exchange.
func (s *Server) begin(r *http.Request) *http.Request {
	x := &exchange{settings: s.settings.Load(), caller: access.Stranger}
	if s.options.AccessLog != nil {
		x.line = newAccessLine()
	}
	return r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
}

// spoken returns answer for what goes wrong while a client is connected, and no request is at
// hand: each time gets a name of its own, and is counted.
func (s *Server) spoken(answer func(*http.Request, error) *transport.Problem) func(error) *transport.Problem {
	return func(err error) *transport.Problem { return s.problems.count(answer(s.begin(new(http.Request)), err)) }
}

// exchangeOf returns the exchange of a request that came through the entrance, as all do.
func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// requestID returns what names r in its problem and in the log: at random, so that it tells nothing.
func requestID(r *http.Request) string {
	x := exchangeOf(r)
	if x.id == "" {
		x.id = rand.Text()[:16]
	}
	return x.id
}

// logOf returns the log for what goes wrong with r.
func (s *Server) logOf(r *http.Request) *slog.Logger { return s.log.With("request", requestID(r)) }

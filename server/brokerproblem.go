package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// brokerProblem returns the answer to a failure of the broker or the hub, nil
// for any other error. The caller is not told more than it can act on; the log is.
func (s *Server) brokerProblem(err error) *transport.Problem {
	switch {
	case errors.Is(err, hub.ErrDraining):
		return draining()
	case errors.Is(err, hub.ErrNotConfirmed):
		s.log.Warn("server: a subscription was not confirmed", "error", err)
		return notSubscribed()
	case errors.Is(err, broker.ErrDenied):
		s.log.Error("server: the broker refuses us", "error", err)
		return brokerDown()
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, broker.ErrClosed):
		s.log.Warn("server: the broker is unavailable", "error", err)
		return brokerDown()
	case errors.Is(err, broker.ErrUncertain), errors.Is(err, context.DeadlineExceeded):
		s.log.Warn("server: the outcome of a publication is unknown", "error", err)
		return &transport.Problem{Status: http.StatusGatewayTimeout, Code: "outcome_unknown",
			Detail: "The broker did not answer: the message may or may not have been published."}
	}
	return nil
}

func notSubscribed() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "not_subscribed", RetryAfter: 1,
		Detail: "The broker has not confirmed the subscription; try again."}
}

func brokerDown() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "broker_unavailable", RetryAfter: 1,
		Detail: "The broker cannot take messages now; nothing was published."}
}

func draining() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "draining", RetryAfter: 1,
		Detail: "This server is stopping; connect again."}
}

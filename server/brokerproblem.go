package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// publishProblem returns the answer to a publication that failed with err. The
// caller is not told more than it can act on; the log is.
func (s *Server) publishProblem(r *http.Request, err error) *transport.Problem {
	switch broker.OutcomeOf(err) {
	case broker.NotPublished:
		return s.refusal(r, err)
	default:
		s.logOf(r).Warn("server: the outcome of a publication is unknown", "error", err)
		return outcomeUnknown()
	}
}

// brokerProblem returns the answer to a failure to subscribe or to read, nil for
// an error that is not the broker's or the hub's.
func (s *Server) brokerProblem(r *http.Request, err error) *transport.Problem {
	switch {
	case errors.Is(err, hub.ErrDraining):
		return draining()
	case errors.Is(err, hub.ErrNotConfirmed) && !errors.Is(err, broker.ErrDenied):
		s.tellBroker(r, "server: a subscription was not confirmed", err)
		return notSubscribed()
	case broker.OutcomeOf(err) == broker.NotPublished:
		return s.refusal(r, err)
	case errors.Is(err, broker.ErrUncertain), errors.Is(err, context.DeadlineExceeded):
		s.tellBroker(r, "server: the broker did not answer", err)
		return brokerDown()
	}
	return nil
}

// tellBroker logs what the broker has not done, as a warning unless the client has gone: then nobody waits for it any more.
func (s *Server) tellBroker(r *http.Request, what string, err error) {
	level := slog.LevelWarn
	if errors.Is(r.Context().Err(), context.Canceled) {
		level = slog.LevelDebug
	}
	s.logOf(r).Log(r.Context(), level, what, "error", err)
}

// refusal is the answer where the broker has done nothing. A denial is the
// channel's own, and for good, where the broker takes other messages of ours;
// otherwise it concerns the whole server, which may soon be set right.
func (s *Server) refusal(r *http.Request, err error) *transport.Problem {
	var name *broker.ChannelError
	if p := saidProblem(err); p != nil {
		return p // a hook's
	}
	if p := s.accessProblem(r, err); p != nil {
		return p
	}
	if p := limitProblem(err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, node.ErrRefused):
		s.logOf(r).Debug("server: a hook has refused a caller", "error", err)
		return forbidden()
	case errors.As(err, &name):
		return nameProblem(name)
	case errors.Is(err, node.ErrTooLong):
		return &transport.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Detail: "The message is longer than this channel takes."}
	case errors.Is(err, broker.ErrTooLarge):
		s.logOf(r).Debug("server: a message is longer than the broker takes", "error", err)
		return &transport.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Detail: "The message is longer than the broker takes."}
	case errors.Is(err, broker.ErrKey):
		return keyProblem(err)
	case errors.Is(err, broker.ErrDenied) && s.hub.Ready() == nil:
		s.logOf(r).Warn("server: the broker refuses a channel", "error", err)
		return &transport.Problem{Status: http.StatusForbidden, Code: "broker_denied",
			Detail: "The broker does not allow this server to use this channel."}
	case errors.Is(err, broker.ErrDenied):
		s.logOf(r).Error("server: the broker refuses this server", "error", err)
	default:
		s.logOf(r).Warn("server: the broker is unavailable", "error", err)
	}
	return brokerDown()
}

func forbidden() *transport.Problem {
	return &transport.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "This is not allowed here."}
}

func notSubscribed() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "not_subscribed", RetryAfter: 1,
		Detail: "The broker has not confirmed the subscription; try again."}
}

func brokerDown() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "broker_unavailable", RetryAfter: 1,
		Detail: "The broker cannot be used now; nothing was published, or read."}
}

func outcomeUnknown() *transport.Problem {
	return &transport.Problem{Status: http.StatusGatewayTimeout, Code: "outcome_unknown",
		Detail: "The broker did not answer: the message may or may not have been published."}
}

func draining() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "draining", RetryAfter: 1,
		Detail: "This server is stopping; connect again."}
}

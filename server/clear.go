package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// clear answers DELETE /history/{channel}.
func (s *Server) clear(w http.ResponseWriter, r *http.Request) error {
	channel, err := pathChannel(r, "/history/")
	if err != nil {
		return err
	}
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	if len(query) > 0 {
		return badRequest("bad_query", "This address has no parameters.")
	}
	client, err := s.permitted(r, access.Clear, channel)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), readTimeout)
	defer cancel()
	if err := client.Clear(ctx, channel); err != nil {
		return s.clearProblem(r, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// clearProblem is the answer where a history was not cleared, or may not have been.
func (s *Server) clearProblem(r *http.Request, err error) *transport.Problem {
	switch {
	case errors.Is(err, node.ErrCannotClear):
		return &transport.Problem{Status: http.StatusNotImplemented, Code: "cannot_clear",
			Detail: "The broker of this server cannot clear a history."}
	case errors.Is(err, errors.ErrUnsupported):
		return noHistory()
	}
	p := s.problemOf(r, err)
	if p.Code == "broker_unavailable" {
		p.Detail = "The broker cannot be used now; the history may or may not have been cleared. Do it again."
	}
	return p
}

// noHistory is the answer to what needs one.
func noHistory() *transport.Problem {
	return &transport.Problem{Status: http.StatusNotFound, Code: "no_history", Detail: "This server keeps no history."}
}

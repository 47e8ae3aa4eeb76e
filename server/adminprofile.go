package server

import (
	"errors"
	"net/http"
	"strings"

	"github.com/pregon/pregon/server/profile"
	"github.com/pregon/pregon/transport"
)

// showFigures is metrics for those that were let in.
func (s *Server) showFigures(w http.ResponseWriter, r *http.Request) error {
	s.figures.ServeHTTP(w, r)
	return nil
}

// profile answers with a profile of the process.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) error {
	err := profile.Serve(w, r, strings.Trim(strings.TrimPrefix(r.URL.Path, "/debug/pprof"), "/"))
	switch {
	case errors.Is(err, profile.ErrUnknown):
		return notFound()
	case errors.Is(err, profile.ErrQuery):
		return badRequest("bad_query", "Give seconds, debug and gc as whole numbers: seconds at most 300, debug 0 to 2, gc 0 or 1.")
	case errors.Is(err, profile.ErrBusy):
		return &transport.Problem{Status: http.StatusConflict, Code: "busy", Detail: "Another profile of this kind is being taken; try again when it is done."}
	}
	return err
}

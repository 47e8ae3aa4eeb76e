package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/pregon/pregon/transport"
)

// maxURL is the longest request target in bytes.
const maxURL = 8 << 10

// noHTTP2 keeps net/http from offering HTTP/2.
var noHTTP2 = map[string]func(*http.Server, *tls.Conn, http.Handler){}

// A handler answers a request or returns why it did not. Where it returns an
// error it has written nothing.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes returns the server's http.Handler.
func (s *Server) routes() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = s.answerError
	e.Use(contain, limitURL)

	for path, h := range map[string]handler{"/": s.console, "/healthz": s.healthz, "/readyz": s.readyz, "/metrics": s.metrics} {
		s.route(e, http.MethodGet, path, h)
		s.route(e, http.MethodHead, path, h)
	}
	for path, h := range map[string]handler{"/publish": s.publishMany, "/publish/*": s.publish} {
		s.route(e, http.MethodPost, path, s.guard(h))
		s.route(e, http.MethodOptions, path, s.preflight)
	}
	s.route(e, http.MethodGet, "/history/*", s.guard(s.history))
	for name, t := range s.transports {
		listen := s.retrying(t, s.guard(s.listen(name, t)))
		s.route(e, http.MethodGet, "/"+name, listen)
		s.route(e, http.MethodGet, "/"+name+"/*", listen)
	}
	return e
}

func (s *Server) route(e *echo.Echo, method, path string, h handler) {
	e.Add(method, path, plain(h))
}

// plain lets a handler of plain net/http serve a route of Echo's.
func plain(h handler) echo.HandlerFunc {
	return func(c echo.Context) error { return h(c.Response(), c.Request()) }
}

// contain turns a panic into an error, so that it ends one request only.
func contain(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("server: panic: %v\n%s", p, debug.Stack())
			}
		}()
		return next(c)
	}
}

func limitURL(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if len(c.Request().RequestURI) > maxURL {
			return &transport.Problem{Status: http.StatusRequestURITooLong, Code: "url_too_long",
				Detail: "The request target is longer than 8 KiB."}
		}
		return next(c)
	}
}

// answerError answers with the problem that err is, or stands for.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	s.problemOf(err, c.Request()).ServeHTTP(c.Response(), c.Request())
}

func (s *Server) problemOf(err error, r *http.Request) *transport.Problem {
	var p *transport.Problem
	if errors.As(err, &p) {
		return p
	}
	if p := s.brokerProblem(err); p != nil {
		return p
	}
	var he *echo.HTTPError
	switch {
	case errors.As(err, &he) && he.Code == http.StatusNotFound:
		return notFound()
	case errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed:
		return &transport.Problem{Status: he.Code, Code: "method_not_allowed",
			Detail: "This address does not take this method.",
			Header: http.Header{"Allow": {allowed(r.URL.Path)}}}
	}
	s.log.Error("server: a request failed", "error", err)
	return &transport.Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong here."}
}

// allowed returns the methods that the route of path takes.
func allowed(path string) string {
	if path == "/publish" || strings.HasPrefix(path, "/publish/") {
		return "POST, OPTIONS"
	}
	return "GET"
}

func notFound() *transport.Problem {
	return &transport.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is nothing at this address."}
}

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
)

// maxAdminConnections is how many operators' connections there are at once.
const maxAdminConnections = 32

// ErrNoAdmin means that others than programs of this machine could reach Admin, and nobody has a key that
// lets them in.
var ErrNoAdmin = errors.New("server: others than this machine can reach the admin listener, and no key has admin: true")

// Admin returns what answers operators: health, figures, channels and clients, profiles, and the end. It is for a listener of its own: see ServeAdmin, or give
// it to an http.Server. Requests that came to a loopback address are let in; all others need a key with Admin (or an Identity with it,
// of Options.Authenticate). Any request for a host that is not this server's, or from a page, is refused.
func (s *Server) Admin() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = s.answerError
	routes := s.adminRoutes()
	e.Use(s.logged(routes), s.adminEntrance)
	for _, r := range routes {
		e.Add(r.method, r.path, adapt(r.handle))
		if r.method == http.MethodGet {
			e.HEAD(r.path, adapt(r.handle))
		}
	}
	return e
}

// adminRoutes are those of Admin.
func (s *Server) adminRoutes() []route {
	return []route{
		{path: "/healthz", method: http.MethodGet, handle: s.healthz},
		{path: "/readyz", method: http.MethodGet, handle: s.readyz},
		{path: "/metrics", method: http.MethodGet, handle: s.showFigures},
		{path: "/channels", method: http.MethodGet, handle: s.listChannels},
		{path: "/clients", method: http.MethodGet, handle: s.listClients},
		{path: "/clients/:session/disconnect", method: http.MethodPost, handle: s.disconnect},
		{path: "/drain", method: http.MethodPost, handle: s.orderDrain},
		{path: "/debug/pprof", method: http.MethodGet, handle: s.profile},
		{path: "/debug/pprof/*", method: http.MethodGet, handle: s.profile},
	}
}

// ServeAdmin serves Admin on l, and closes it, until ctx ends: then it answers what is under way, and returns nil. It goes on
// while Serve drains. An error means that l failed, or is ErrNoAdmin.
func (s *Server) ServeAdmin(ctx context.Context, l net.Listener) error {
	local := onLoopback(l)
	if !local && s.options.Authenticate == nil && !s.settings.Load().access.HasAdmin() {
		_ = l.Close() // nothing was accepted
		return ErrNoAdmin
	}
	web := s.adminServer(local)
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		_ = web.Close() // the error of Accept is the news
		return fmt.Errorf("server: accept connections of operators: %w", err)
	case <-ctx.Done():
	}
	if err := shutDown(web, failed, answerTime); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("server: accept connections of operators: %w", err)
	}
	return nil
}

// adminServer returns what serves Admin, for programs of this machine alone where it is local. Its connections are no
// listeners, and bounded apart from these, so that an operator gets in where there is no room for clients.
func (s *Server) adminServer(local bool) *http.Server {
	bounds := newConnections(maxAdminConnections, func() int { return 0 }, s.log)
	return &http.Server{
		Handler:           s.Admin(),
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(context.Background(), adminKey{}, local) },
		ConnContext:       bounds.context,
		ConnState:         bounds.changed,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime + answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// onLoopback reports whether only programs of this machine reach l.
func onLoopback(l net.Listener) bool {
	for _, socket := range Sockets(l) {
		if a, ok := socket.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			return false
		}
	}
	return true
}

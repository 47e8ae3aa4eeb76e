package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/pregon/pregon/cmd/handover"
	"github.com/pregon/pregon/cmd/redirect"
	"github.com/pregon/pregon/server"
)

// A redirecting is the second port, without TLS. It is nil where there is none.
type redirecting struct {
	server   *redirect.Server
	listener net.Listener
}

// redirect opens the port of --redirect, unless another process has done so. https is the other port's address.
func (c *serveCommand) redirect(ctx context.Context, sockets *handover.Listeners, https net.Addr, challenges http.Handler, e *entry) (*redirecting, error) {
	if c.TLS.Redirect == "" {
		return nil, nil
	}
	l, err := sockets.Listen(handover.Redirect, func() (net.Listener, error) { return server.Listen(ctx, c.TLS.Redirect) })
	if err != nil {
		return nil, fmt.Errorf("--redirect: %w", err)
	}
	port := https.(*net.TCPAddr).Port // as of all listeners of the program
	e.redirect = redirect.New(redirect.Options{Port: strconv.Itoa(port), Challenges: challenges, Logger: e.log})
	e.redirect.SetNames(c.names(e.admission))
	return &redirecting{e.redirect, l}, nil
}

// names are those for which requests are redirected.
func (c *serveCommand) names(a *admission) []string {
	return slices.Concat(c.Host, c.TLS.ACME.Hosts, a.config.Hosts)
}

// begin serves until stop is called, which is when nobody is served any more, or another process has taken over.
func (r *redirecting) begin(serving context.Context, log *slog.Logger) (stop func()) {
	if r == nil {
		return func() {}
	}
	log.Info("what comes without TLS is sent to https", "address", r.listener.Addr())
	return beside(serving, func(ctx context.Context) {
		if err := r.server.Serve(ctx, r.listener); err != nil {
			log.Error("nothing is sent to https any more", "error", err)
		}
	})
}

// close closes a port that was not served.
func (r *redirecting) close() {
	if r != nil {
		_ = r.listener.Close() // closed already where it was served
	}
}

package cmd

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"

	"github.com/pregon/pregon/cmd/handover"
	"github.com/pregon/pregon/server"
)

// checkAdmin refuses an --admin that others than programs of this machine may reach where no key lets anybody in.
func (c *serveCommand) checkAdmin(ctx context.Context, a *admission) error {
	if c.Admin == "" || a.policy.HasAdmin() {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Admin)
	if err != nil {
		return nil // which listening tells
	}
	local, err := namesLoopback(ctx, host)
	switch {
	case err != nil:
		return fmt.Errorf("listen on --admin %s: %w", c.Admin, err)
	case local:
		return nil
	}
	return adminExposed(c.Admin)
}

func adminExposed(address string) error {
	return fmt.Errorf("--admin: %s is not a loopback address, so it needs a key with admin: true among the keys of --config; or listen on localhost%w", address, errUsage)
}

// listenAdmin opens the port for operators, nil where there is none. It speaks https where others than programs of
// this machine send their key there, and there is a certificate.
func (c *serveCommand) listenAdmin(ctx context.Context, sockets *handover.Listeners, secure *tls.Config, a *admission) (net.Listener, error) {
	if c.Admin == "" {
		return nil, nil
	}
	l, err := sockets.Listen(handover.Admin, func() (net.Listener, error) { return server.Listen(ctx, c.Admin) })
	switch {
	case err != nil:
		return nil, fmt.Errorf("--admin: %w", err)
	case isLoopback(l.Addr()):
		return l, nil
	case !a.policy.HasAdmin():
		_ = l.Close() // nothing was accepted
		return nil, adminExposed(l.Addr().String())
	case secure != nil:
		return tls.NewListener(l, secure), nil
	}
	return l, nil
}

// serveAdmin serves operators on l, if there is one, until another process does or stop is called: they may look on
// while clients are sent away.
func serveAdmin(serving context.Context, s *server.Server, l net.Listener, log *slog.Logger) (stop func()) {
	if l == nil {
		return func() {}
	}
	log.Info("operators may ask", "address", l.Addr().String())
	return beside(serving, func(ctx context.Context) {
		if err := s.ServeAdmin(ctx, l); err != nil {
			log.Error("operators are not served any more", "error", err)
		}
	})
}

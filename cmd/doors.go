package cmd

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/pregon/pregon/cmd/handover"
	"github.com/pregon/pregon/server"
)

// The doors of a server are the ports that it listens on, and what https is served with there.
type doors struct {
	secure      secured
	public      net.Listener
	redirecting *redirecting // nil without --redirect
	operators   net.Listener // nil without --admin
}

// openDoors opens all ports, or none. The caller closes them.
func (c *serveCommand) openDoors(ctx context.Context, sockets *handover.Listeners, e *entry, out *console) (_ *doors, err error) {
	d := &doors{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.secure, err = c.TLS.open(e.log); err != nil {
		return nil, err
	}
	c.TLS.warnOfNames(d.secure, c.names(e.admission), e.log)
	if d.public, err = c.listen(ctx, sockets, d.secure.config); err != nil {
		return nil, err
	}
	if d.redirecting, err = c.redirect(ctx, sockets, d.public.Addr(), d.secure.challenges, e); err != nil {
		return nil, err
	}
	if err := c.checkListener(d.public.Addr(), e.admission, out); err != nil {
		return nil, err
	}
	d.operators, err = c.listenAdmin(ctx, sockets, d.secure.config, e.admission)
	return d, err
}

// close closes what was opened. What was served is closed already.
func (d *doors) close() {
	for _, l := range []net.Listener{d.public, d.operators} {
		if l != nil {
			_ = l.Close()
		}
	}
	d.redirecting.close()
}

// listen opens the public port, unless another process has done so. It is one of https where secure is not nil.
func (c *serveCommand) listen(ctx context.Context, sockets *handover.Listeners, secure *tls.Config) (net.Listener, error) {
	l, err := sockets.Listen(handover.HTTP, func() (net.Listener, error) { return server.Listen(ctx, c.Listen) })
	if err != nil || secure == nil {
		return l, err
	}
	return server.Secure(l, secure), nil
}

package cmd

import (
	"context"
	"log/slog"
	"net"
	"os"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/cmd/handover"
	"github.com/pregon/pregon/cmd/redirect"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access/token"
)

// An entry is who may do what while the server runs: what was read last.
type entry struct {
	serve     *serveCommand
	keysets   *token.Keysets // which outlive what is read
	history   broker.Historian
	redirect  *redirect.Server // nil without --redirect
	log       *slog.Logger
	accessLog *slog.Logger // nil without --access-log
	admission *admission
	wishes    wishes
}

// read reads the file and all secrets.
func (e *entry) read() error {
	a, err := e.serve.Access.admit(e.serve.file.options, e.keysets, e.log)
	if err != nil {
		return err
	}
	e.admission = a
	return nil
}

// reloadAtSignals reads all again at each SIGHUP, until the function that it returns is called.
func (e *entry) reloadAtSignals(ctx context.Context, s *server.Server, addr net.Addr) (stop func()) {
	return background(ctx, func(ctx context.Context) { e.reloadAt(ctx, e.wishes.reload, s, addr) })
}

// reloadAt reads all again at each signal, until ctx ends.
func (e *entry) reloadAt(ctx context.Context, hangups <-chan os.Signal, s *server.Server, addr net.Addr) {
	for {
		select {
		case <-hangups:
		case <-ctx.Done():
			return
		}
		tellSystemd(e.log, handover.Notify(handover.Reloading()...))
		err := e.reload(s, addr)
		tellSystemd(e.log, handover.Notify("READY=1"))
		if err != nil {
			e.log.Error("the configuration was not reloaded; the old one stays in force", "error", plainly(err))
		}
	}
}

// reload reads all again and puts it in the place of what counted: all of it or nothing.
func (e *entry) reload(s *server.Server, addr net.Addr) error {
	defer func() { e.keysets.Retain(e.admission.verifier) }() // and not what a bad file has asked for
	next, err := e.serve.Access.admit(e.serve.file.options, e.keysets, e.log)
	if err != nil {
		return err
	}
	if err := e.checkRetention(next); err != nil {
		return err
	}
	if err := s.Reload(e.serve.reloadable(next, addr)); err != nil {
		return err
	}
	e.retain(next)
	if e.redirect != nil {
		e.redirect.SetNames(e.serve.names(next))
	}
	before := e.admission
	e.admission = next
	e.tell(before, next)
	return nil
}

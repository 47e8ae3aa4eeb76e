package cmd

import (
	"context"
	"log/slog"
	"net"
	"os"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access/token"
)

// An entry is who may do what while the server runs: what was read last.
type entry struct {
	serve     *serveCommand
	keysets   *token.Keysets // which outlive what is read
	history   broker.Historian
	log       *slog.Logger
	admission *admission
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

// reloadAt reads all again at each signal, until ctx ends.
func (e *entry) reloadAt(ctx context.Context, hangups <-chan os.Signal, s *server.Server, addr net.Addr) {
	for {
		select {
		case <-hangups:
		case <-ctx.Done():
			return
		}
		if err := e.reload(s, addr); err != nil {
			e.log.Error("the configuration was not read again, and what counted before still does", "error", plainly(err))
		}
	}
}

// reload reads all again and puts it in the place of what counted: all of it or nothing.
func (e *entry) reload(s *server.Server, addr net.Addr) error {
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
	e.keysets.Retain(next.verifier)
	before := e.admission
	e.admission = next
	e.tell(before, next)
	return nil
}

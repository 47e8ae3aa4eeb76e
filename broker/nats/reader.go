package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/pregon/pregon/broker"
)

// A reader has the connection that the history is read by, which is made when it is needed.
type reader struct {
	opts    Options
	seen    *memory
	closing context.Context
	turn    chan *session // has the session, nil for none, while nobody looks after it
}

func newReader(closing context.Context, o Options, seen *memory) *reader {
	r := &reader{opts: o, seen: seen, closing: closing, turn: make(chan *session, 1)}
	r.turn <- nil
	return r
}

// open returns the session, and makes one where there is none that stands.
func (r *reader) open(ctx context.Context) (*session, error) {
	select {
	case s := <-r.turn:
		var err error
		if s != nil && s.isLost() {
			s.close()
			s = nil
		}
		if s == nil {
			s, err = openSession(ctx, r.opts, r.seen)
		}
		r.turn <- s
		return s, err
	case <-ctx.Done():
		return nil, unsent(ctx)
	}
}

// close is called when closing has ended. It waits for a call that opens a session.
func (r *reader) close() {
	if s := <-r.turn; s != nil {
		s.close()
	}
	r.turn <- nil
}

// do calls read with the session, and a context that ends with the Broker and after the time for an answer.
func (r *reader) do(ctx context.Context, what string, read func(context.Context, *session) error) error {
	err := r.try(ctx, read)
	if err != nil && r.closing.Err() != nil {
		err = broker.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("nats: %s: %w", what, err)
	}
	return nil
}

func (r *reader) try(ctx context.Context, read func(context.Context, *session) error) error {
	switch {
	case r.opts.History.IsZero():
		return errors.ErrUnsupported
	case r.closing.Err() != nil:
		return broker.ErrClosed
	case ctx.Err() != nil:
		return unsent(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.DialTimeout+r.opts.Timeout)
	defer cancel()
	defer context.AfterFunc(r.closing, cancel)()
	s, err := r.open(ctx)
	if err == nil {
		err = s.catchUp(ctx)
	}
	if err != nil {
		return err
	}
	return read(ctx, s)
}

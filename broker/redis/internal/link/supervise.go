package link

import (
	"errors"
	"log/slog"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/pause"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// supervise keeps a link until the Feed is closed.
func (f *Feed) supervise() {
	defer close(f.done)
	var (
		between pause.Backoff
		log     = report{log: f.opts.Logger}
		again   bool
	)
	restored := func() {
		log.up()
		f.up.Store(true)
		if again && f.opts.Restored != nil {
			f.opts.Restored()
		}
		again = true
	}
	for l := f.link; ; l = f.link { // only this goroutine replaces it
		err := l.open(f.ctx)
		if err == nil {
			began := time.Now()
			err = l.serve(f.ctx, restored)
			f.up.Store(false)
			between.Served(time.Since(began))
		}
		err = reply.Outcome(err, false)
		f.replace(l, err)
		if f.ctx.Err() != nil {
			return
		}
		log.down(err)
		if !pause.Sleep(f.ctx, between.Next()) {
			return
		}
	}
}

// A report writes one line when a link is lost or cannot be made, one when Redis
// refuses the node, and one when the link is there again, however many attempts lie
// between.
type report struct {
	log          *slog.Logger
	lost, denied bool // what has been said
}

func (r *report) down(err error) {
	switch denied := errors.Is(err, broker.ErrDenied); {
	case denied && !r.denied:
		r.log.Error("redis: refused; trying again until it is fixed", "error", err)
		r.lost, r.denied = true, true
	case !r.lost:
		r.log.Warn("redis: no link; trying again", "error", err)
		r.lost = true
	}
}

func (r *report) up() {
	if r.lost {
		r.log.Info("redis: link restored")
	}
	r.lost, r.denied = false, false
}

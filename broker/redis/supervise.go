package redis

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// Bounds of the pause between attempts to make a link: short, so that messages
// flow again within a second of Redis being back.
const (
	minPause = 50 * time.Millisecond
	maxPause = 500 * time.Millisecond
)

// supervise keeps a link until the Feed is closed.
func (f *Feed) supervise() {
	defer close(f.done)
	var (
		pause backoff
		log   = report{log: f.opts.logger()}
	)
	for l := f.link; ; l = f.link { // only this goroutine replaces it
		err := l.open(f.ctx)
		if err == nil {
			began := time.Now()
			err = l.serve(f.ctx, log.up)
			pause.served(time.Since(began))
		}
		err = reply.Outcome(err, false)
		f.replace(l, err)
		if f.ctx.Err() != nil {
			return
		}
		log.down(err)
		if !sleep(f.ctx, pause.next()) {
			return
		}
	}
}

// A backoff is the pauses between attempts: each a random time from minPause to a
// ceiling that doubles, so that nodes which lost one Redis do not return in step.
type backoff struct{ ceiling time.Duration }

func (b *backoff) next() time.Duration {
	b.ceiling = min(max(2*b.ceiling, 2*minPause), maxPause)
	return minPause + rand.N(b.ceiling-minPause)
}

// served starts over, unless the link was lost so soon that it was no success.
func (b *backoff) served(d time.Duration) {
	if d > maxPause {
		b.ceiling = 0
	}
}

// A report writes one line when a link is lost or cannot be made, one when Redis
// refuses us, and one when the link is there again, however many attempts lie
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

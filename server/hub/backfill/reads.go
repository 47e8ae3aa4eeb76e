package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/internal/retry"
)

const (
	maxReads    = 16              // of histories at a time, so that a blip is not followed by a storm
	readTimeout = 5 * time.Second // of one reading
	patience    = time.Minute     // with a history that cannot be read, as while Redis loads it; then a gap is told
)

// Reads are the readings of a node's histories, by a [Filler] and by others that read beside
// it. They end with the Filler.
type Reads struct {
	history broker.Historian
	ctx     context.Context
	turns   chan struct{} // as many as there are readers
}

// errShort is taken for a broker that is not well.
var errShort = fmt.Errorf("backfill: the driver has not answered for each channel: %w", broker.ErrUnavailable)

// Newest returns the newest position of each channel.
func (r *Reads) Newest(ctx context.Context, channels ...string) ([]broker.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	newest, err := r.history.Newest(ctx, channels...)
	if err == nil && len(newest) != len(channels) {
		err = errShort
	}
	return newest, err
}

// prolong returns the newest position of each channel, and keeps the histories of those that
// have one from expiring.
func (r *Reads) prolong(ctx context.Context, channels ...string) ([]broker.Position, error) {
	newest, err := r.Newest(ctx, channels...)
	if err != nil {
		return nil, err
	}
	kept := make([]string, 0, len(channels))
	for i, p := range newest {
		if !p.IsZero() {
			kept = append(kept, channels[i])
		}
	}
	if len(kept) == 0 {
		return newest, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return newest, r.history.Keep(ctx, kept...)
}

// History reads one page of a channel's history, once.
func (r *Reads) History(channel string, q broker.Query) (broker.Page, error) {
	ctx, cancel := context.WithTimeout(r.ctx, readTimeout)
	defer cancel()
	return r.history.History(ctx, channel, q)
}

// Patiently calls read until it succeeds, or for so long that nobody would wait for longer, or
// gone says that nobody waits any more.
func (r *Reads) Patiently(gone func() bool, read func() error) error {
	var pause retry.Backoff
	for began := time.Now(); ; {
		err := read()
		if err == nil || gone() || errors.Is(err, broker.ErrDenied) || time.Since(began) > patience || !pause.Wait(r.ctx) {
			return err
		}
	}
}

// InTurn reads the history when it is its turn, so that a bounded number of readings are under
// way. It returns ErrClosed when the Filler closes. A turn ends with the reading: what waits
// after a failure waits elsewhere, so that a channel whose history cannot be read keeps no other
// waiting.
func (r *Reads) InTurn(read func() error) error {
	select {
	case r.turns <- struct{}{}:
	case <-r.ctx.Done():
		return broker.ErrClosed
	}
	defer func() { <-r.turns }()
	return read()
}

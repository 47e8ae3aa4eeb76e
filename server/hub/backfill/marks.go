package backfill

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/internal/retry"
)

// markPause is the least time between writings of marks. A channel in which very much comes is
// written once for all of it.
const markPause = 2 * time.Millisecond

// marks writes the marks of channels in which something was heard, and reads them. It is nil
// where the broker has none.
type marks struct {
	ctx    context.Context
	marker broker.Marker
	log    *slog.Logger

	refused sync.Once // says that a mark cannot be written
	unknown sync.Once // says that marks cannot be read

	mu    sync.Mutex
	dirty map[string]struct{} // channels; no more than the node has
	wake  chan struct{}       // holds a token where dirty has something
}

func newMarks(ctx context.Context, m broker.Marker, log *slog.Logger) *marks {
	return &marks{ctx: ctx, marker: m, log: log, dirty: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

// add has channel marked.
func (m *marks) add(channel string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirty[channel] = struct{}{}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run writes until the Filler closes. What cannot be written is tried again for as long as that
// takes.
func (m *marks) run() {
	for pause := (retry.Backoff{}); ; {
		select {
		case <-m.wake:
		case <-m.ctx.Done():
			return
		}
		next := markPause
		if err := m.writeAll(m.take()); err == nil {
			pause.Reset()
		} else {
			next = pause.Next()
		}
		if !retry.Sleep(m.ctx, next) {
			return
		}
	}
}

// writeAll writes the marks of channels. Where the broker refuses, it finds out which ones: one
// channel without permission must not keep the others from being marked. What is worth another
// try is put back.
func (m *marks) writeAll(channels []string) error {
	err := m.write(channels)
	switch {
	case err == nil:
		return nil
	case retry.ConcernsAll(err):
		for _, c := range channels {
			m.add(c)
		}
		return err
	case len(channels) > 1:
		half := len(channels) / 2
		return errors.Join(m.writeAll(channels[:half]), m.writeAll(channels[half:]))
	}
	m.refused.Do(func() {
		m.log.Error("backfill: a channel cannot be marked, so clients may be told that they recovered over what other programs publish there; others are not logged", "error", err)
	})
	return nil
}

func (m *marks) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	channels := slices.Collect(maps.Keys(m.dirty))
	clear(m.dirty)
	return channels
}

func (m *marks) write(channels []string) error {
	ctx, cancel := context.WithTimeout(m.ctx, readTimeout)
	defer cancel()
	return m.marker.Mark(ctx, channels...)
}

// now marks channel before it returns.
func (m *marks) now(channel string) error {
	if m == nil {
		return nil
	}
	return m.write([]string{channel})
}

// read returns the marks of channels, as far as the broker has them.
func (m *marks) read(channels ...string) ([]broker.Position, error) {
	ctx, cancel := context.WithTimeout(m.ctx, readTimeout)
	defer cancel()
	marks, err := m.marker.Marks(ctx, channels...)
	if err == nil && len(marks) != len(channels) {
		err = errShort
	}
	if errors.Is(err, broker.ErrDenied) {
		m.unknown.Do(func() {
			m.log.Error("backfill: marks cannot be read, so no client of these channels is recovered; others are not logged", "error", err)
		})
	}
	return marks, err
}

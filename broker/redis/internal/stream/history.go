package stream

import (
	"context"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// History is for [broker.Historian].
func (s *Server) History(ctx context.Context, channel string, q broker.Query) (page broker.Page, err error) {
	defer reply.Contain(&err)
	r := pageReader{server: s, channel: channel, limit: max(q.Limit, 1)}
	if q.After.IsZero() {
		return r.newest(ctx, q.Before)
	}
	return r.after(ctx, q.After)
}

// Newest is for [broker.Historian].
func (s *Server) Newest(ctx context.Context, channels ...string) (newest []broker.Position, err error) {
	defer reply.Contain(&err)
	newest = make([]broker.Position, 0, len(channels))
	for some := range slices.Chunk(channels, mostRead) {
		pipe := s.opts.Client.Pipeline()
		replies := make([]*goredis.XMessageSliceCmd, len(some))
		for i, c := range some {
			replies[i] = pipe.XRevRangeN(ctx, s.key(c), s.epochs.end(), "-", 1)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, err
		}
		for _, r := range replies {
			var p broker.Position
			if entries := r.Val(); len(entries) > 0 {
				p, _ = s.epochs.position(entries[0].ID)
			}
			newest = append(newest, p)
		}
	}
	return newest, nil
}

// Keep is for [broker.Historian].
func (s *Server) Keep(ctx context.Context, channels ...string) (err error) {
	defer reply.Contain(&err)
	policy := s.policy.Load()
	for some := range slices.Chunk(channels, mostRead) {
		pipe := s.opts.Client.Pipeline()
		for _, c := range some {
			pipe.Do(ctx, "pexpire", s.key(c), lifetime(policy.Life(policy.Of(c))))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Clear is for [broker.Clearer]. It reports whether there was anything to clear. The stream
// has all that is kept of the channel, its mark included; the markers of keys mean nothing
// without it. The next publication finds no stream, and begins an epoch.
func (s *Server) Clear(ctx context.Context, channel string) (cleared bool, err error) {
	defer reply.Contain(&err)
	n, err := s.opts.Client.Unlink(ctx, s.key(channel)).Result()
	if w := s.accepted.Load(); err == nil && w != nil && w.Channel == channel {
		s.accepted.CompareAndSwap(w, nil) // that it is missing is no loss
	}
	return n > 0, err
}

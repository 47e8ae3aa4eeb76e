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
			pipe.Do(ctx, "pexpire", s.key(c), s.lifetime())
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

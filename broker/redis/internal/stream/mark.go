package stream

import (
	"context"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// markGroup is the consumer group of a channel's stream whose last-delivered id is
// the channel's mark. Nothing is read by it. A group has what a mark needs and a key
// of its own would not: it goes with the stream, survives when entries are trimmed,
// and is moved to the end, which never goes back, by one command.
const markGroup = "pregon:mark"

// Mark is for [broker.Marker].
func (s *Server) Mark(ctx context.Context, channels ...string) (err error) {
	defer reply.Contain(&err)
	if err := s.Meet(ctx); err != nil {
		return err
	}
	for some := range slices.Chunk(channels, mostRead) {
		unmarked, err := s.moveMarks(ctx, some)
		if err == nil {
			err = s.makeMarks(ctx, unmarked)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moveMarks moves the marks of channels to the end, and returns those that have none
// yet. The embedded server cannot move a group: it is taken away and made again.
func (s *Server) moveMarks(ctx context.Context, channels []string) (unmarked []string, err error) {
	return s.eachStream(ctx, channels, "NOGROUP", func(pipe goredis.Pipeliner, stream string) goredis.Cmder {
		if s.embedded.Load() {
			pipe.XGroupDestroy(ctx, stream, markGroup)
			return pipe.XGroupCreate(ctx, stream, markGroup, "$")
		}
		return pipe.XGroupSetID(ctx, stream, markGroup, "$")
	})
}

// makeMarks makes the marks of channels, unless another node has just done so.
func (s *Server) makeMarks(ctx context.Context, channels []string) error {
	_, err := s.eachStream(ctx, channels, "BUSYGROUP", func(pipe goredis.Pipeliner, stream string) goredis.Cmder {
		return pipe.XGroupCreate(ctx, stream, markGroup, "$")
	})
	return err
}

// eachStream runs a command for the stream of each channel, all in one transaction or
// pipeline, and returns the channels to which the answer was the error expected. That
// a stream is not there is none.
func (s *Server) eachStream(ctx context.Context, channels []string, expected string, command func(goredis.Pipeliner, string) goredis.Cmder) (which []string, err error) {
	if len(channels) == 0 {
		return nil, nil
	}
	pipe := s.opts.Client.Pipeline()
	if s.embedded.Load() {
		pipe = s.opts.Client.TxPipeline()
	}
	replies := make([]goredis.Cmder, len(channels))
	for i, c := range channels {
		replies[i] = command(pipe, s.key(c))
	}
	_, _ = pipe.Exec(ctx) // each has its own error
	for i, r := range replies {
		switch err := r.Err(); {
		case err == nil, reply.IsReply(err) && isNoStream(err.Error()):
		case reply.IsReply(err) && strings.HasPrefix(err.Error(), expected):
			which = append(which, channels[i])
		default:
			return nil, err
		}
	}
	return which, nil
}

// isNoStream reports whether Redis says that the key of a stream is not there.
func isNoStream(text string) bool {
	return strings.HasPrefix(text, "ERR no such key") || strings.Contains(text, "requires the key to exist")
}

// Marks is for [broker.Marker].
func (s *Server) Marks(ctx context.Context, channels ...string) (marks []broker.Position, err error) {
	defer reply.Contain(&err)
	marks = make([]broker.Position, 0, len(channels))
	for some := range slices.Chunk(channels, mostRead) {
		pipe := s.opts.Client.Pipeline()
		replies := make([]*goredis.XInfoGroupsCmd, len(some))
		for i, c := range some {
			replies[i] = pipe.XInfoGroups(ctx, s.key(c))
		}
		_, _ = pipe.Exec(ctx) // each has its own error
		for _, r := range replies {
			if err := r.Err(); err != nil && !(reply.IsReply(err) && isNoStream(err.Error())) {
				return nil, err
			}
			marks = append(marks, markOf(r.Val()))
		}
	}
	return marks, nil
}

// markOf returns the mark among the groups of a stream. One that makes no sense stands
// behind everything.
func markOf(groups []goredis.XInfoGroup) broker.Position {
	i := slices.IndexFunc(groups, func(g goredis.XInfoGroup) bool { return g.Name == markGroup })
	if i < 0 {
		return broker.Position{}
	}
	p, err := broker.ParsePosition(groups[i].LastDeliveredID)
	if err != nil {
		return broker.Position{Epoch: maxNumber, Seq: maxNumber}
	}
	return p
}

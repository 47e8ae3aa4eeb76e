package stream

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker/redis/internal/script"
)

// teach gives the server the function, where that is missing or another version. It
// is for other programs only, so that a user may not is no error. There is one of
// that name on a server, which belongs to the nodes without a prefix.
func (s *Server) teach(ctx context.Context, conn *goredis.Conn) {
	if s.opts.Prefix != "" || s.embedded.Load() {
		return
	}
	there, err := conn.FunctionList(ctx, goredis.FunctionListQuery{LibraryNamePattern: script.LibraryName, WithCode: true}).Result()
	if err != nil || len(there) == 1 && there[0].Code == s.function {
		return
	}
	_ = conn.FunctionLoadReplace(ctx, s.function).Err()
}

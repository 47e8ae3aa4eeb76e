package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker/redis/internal/script"
)

// PublishScript implements [broker.Scripter]: for
//
//	EVAL "$SCRIPT" 1 CHANNEL MESSAGE
//
// The reply is the cursor of the message. An error that begins with PREGONRUN means
// that nothing was done and the next try may succeed: the server was started again
// and no node has connected since.
func (b *Broker) PublishScript() string { return script.ForOthers(b.opts.Prefix) }

// PublishFunction implements [broker.Scripter]: for FUNCTION LOAD, and then
//
//	FCALL pregon_publish 1 CHANNEL MESSAGE
func (b *Broker) PublishFunction() string { return script.Library(b.opts.Prefix) }

// teach gives the server the function, where that is missing or another version. It
// is for other programs only, so that a user may not is no error. There is one of
// that name on a server, which belongs to the nodes without a prefix.
func (k *keeper) teach(ctx context.Context, conn *goredis.Conn) {
	if k.opts.Prefix != "" || k.embedded.Load() {
		return
	}
	there, err := conn.FunctionList(ctx, goredis.FunctionListQuery{LibraryNamePattern: script.LibraryName, WithCode: true}).Result()
	if err != nil || len(there) == 1 && there[0].Code == k.function {
		return
	}
	_ = conn.FunctionLoadReplace(ctx, k.function).Err()
}

// Package topology knows where the server of a shard is: the one master that takes
// publications, and that feeds listen to.
//
// A [Master] makes the connections to it, for publishing and for feeds alike, so that both
// are to the same server. [Fixed] is a master at one address, [Sentinels] is one that
// Redis' Sentinels name and may replace; each slot range of a cluster will be another. A
// connection belongs to the caller that asked for it. All methods may be called
// concurrently.
//
// Errors of connecting are those of the network, or match one of the sentinels of package
// broker. Nothing here runs by itself but Watch, which its caller starts and ends.
package topology

import (
	"context"
	"crypto/tls"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// A Master is the server of a shard, wherever it is at present.
type Master interface {
	// Connect makes a connection to it, within DialTimeout. Whether the server itself says
	// that it is the master is for what greets it on the new connection: [DemandMaster].
	Connect(ctx context.Context) (*wire.Conn, error)

	// Watch looks after the connections, until ctx ends: those to a server that is not the
	// master any more are ended.
	Watch(ctx context.Context)

	// Demoted says that the server has answered that it is a replica.
	Demoted()

	// Findings are for [broker.Diagnoser].
	Findings(ctx context.Context) []broker.Finding
}

// A Fixed is a Master that is always at one address.
type Fixed struct {
	Settings wire.Settings
	TLS      *tls.Config // nil for plain text
}

// Connect implements Master.
func (f Fixed) Connect(ctx context.Context) (*wire.Conn, error) {
	return f.Settings.Dial(ctx, f.Settings.Addr, f.TLS)
}

// Watch implements Master: there is nothing to look after.
func (Fixed) Watch(context.Context) {}

// Demoted implements Master: there is no other server to look for.
func (Fixed) Demoted() {}

// Findings implements Master.
func (Fixed) Findings(context.Context) []broker.Finding { return nil }

// DemandMaster is for a new connection of go-redis, before it is used for anything
// else: a Sentinel may be late to hear of a failover, and the server too.
func DemandMaster(ctx context.Context, c *goredis.Conn) error {
	role, err := c.Do(ctx, "role").Slice()
	if err != nil {
		return err
	}
	if len(role) == 0 || role[0] != "master" {
		return reply.ErrNotMaster
	}
	return nil
}

// Greet makes Redis answer once before a connection is used. What a server says
// of itself on a new connection (too many clients, a password is needed) is then
// known before a publication was written, not in doubt after it. A replica would take
// publications that its master's subscribers never hear; whether it is one need not be
// allowed to be asked.
func Greet(ctx context.Context, c *goredis.Conn) error {
	err := DemandMaster(ctx, c)
	if reply.IsReply(err) && (strings.HasPrefix(err.Error(), "NOPERM") || strings.HasPrefix(err.Error(), "ERR unknown command")) {
		return c.Ping(ctx).Err()
	}
	return err
}

// IsHost reports whether text may be the name or number of a host: it is repeated
// in errors.
func IsHost(text string) bool {
	const name = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	const longest = 253
	return text != "" && len(text) <= longest && strings.Trim(text, name+":%") == ""
}

// IsPort reports whether text is the number of a port.
func IsPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

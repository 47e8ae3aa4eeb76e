package redis

import (
	"context"
	"crypto/rand"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
)

// guard is about other programs than pregon that reach this Redis: what they publish
// there, no rule of pregon's sees.
func (b *Broker) guard(ctx context.Context) broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "password", Detail: "Programs without one may not publish here."}
	settings := *b.shard.client.Options()
	settings.Username, settings.Password, settings.PoolSize = "", "", 1
	anybody := goredis.NewClient(&settings)
	defer func() { _ = anybody.Close() }() // nothing is left to be lost
	if anybody.Publish(ctx, b.opts.Prefix+broker.ReservedPrefix+"pregon.doctor."+rand.Text(), "").Err() == nil {
		f.Detail = "None is needed: every program that reaches this Redis may publish on every channel, past all rules and keys of pregon."
		f.Advice = "Where there are rules or keys, set requirepass or ACLs, or let only pregon reach this Redis."
	}
	return f
}

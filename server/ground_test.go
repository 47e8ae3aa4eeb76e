package server_test

import (
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	_ "github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

// onEveryGround runs test on servers that are open, and on such with keys, tokens and rules whose clients have a
// credential that may do all that is asked; in memory and on Redis. query is that of the broker's URL.
func onEveryGround(t *testing.T, query string, test func(t *testing.T, n *node, b broker.Broker)) {
	kit := tokentest.NewKit(time.Now())
	user := kit.HS256(kit.Claims())
	for _, g := range []struct {
		name, credential string
		onRedis          bool
	}{
		{"open", "", false}, {"with a key", appKey, false}, {"with a token", user, false},
		{"with a key, on Redis", appKey, true}, {"with a token, on Redis", user, true},
	} {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			url := "memory://" + query
			if g.onRedis {
				url = redistest.Start(t).URL() + query
			}
			o := server.Options{Broker: open(t, url), MaxMessage: 1024}
			if g.credential != "" {
				o.Access = granting(t, kit)
			}
			n := start(t, o)
			n.credential = g.credential
			test(t, n, o.Broker)
		})
	}
}

// granting returns rules that let in whose token grants it, and the application's key.
func granting(t *testing.T, kit *tokentest.Kit) *access.Policy {
	t.Helper()
	v, err := token.New(kit.Issuers(), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := access.DigestOf(appKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := access.New(access.Config{
		Tokens: v, Keys: []access.Key{{Name: "app", Digest: digest}},
		Rules: []access.Rule{{Line: 1, Channels: []string{"**"}, Subscribe: access.Grant, Publish: access.Grant}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

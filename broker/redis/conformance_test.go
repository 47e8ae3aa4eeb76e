package redis_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"github.com/pregon/pregon/broker/redis/redistest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The driver keeps the whole contract of package broker on a real Redis, and says
// so where Redis closed the connection of its subscriptions. It does so as a user
// with no more than the permissions that Diagnose names.
func TestConformance(t *testing.T) { conforms(t, "") }

// With history on, the driver keeps the same contract, and that of a history.
func TestConformanceWithHistory(t *testing.T) { conforms(t, "?history=5m&history-size=10000") }

func conforms(t *testing.T, parameters string) {
	t.Parallel()
	var server *redistest.Server
	start := func(t *testing.T) (user string) {
		users := filepath.Join(t.TempDir(), "users") // outlives the server
		if err := os.WriteFile(users, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		server = redistest.Start(t, "--aclfile", users)
		user = narrow(t, server, parameters)
		server.MustDo("ACL", "SAVE")
		return user
	}
	brokertest.Run(t, func(t *testing.T) func(t *testing.T) broker.Broker {
		user := start(t)
		return func(t *testing.T) broker.Broker { return open(t, user) }
	}, brokertest.WithCut(func(t *testing.T, _ broker.Broker) {
		server.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
	}), brokertest.WithBriefHistory(func(t *testing.T) func(t *testing.T) broker.Broker {
		o := options(redistest.Start(t).Addr())
		o.History = broker.Retention{MaxMessages: 1000, MaxAge: 500 * time.Millisecond}
		return func(t *testing.T) broker.Broker { return newBroker(t, o) }
	}), brokertest.WithDown(func(*testing.T, broker.Broker) (up func()) {
		server.Kill()
		return server.Restart
	}), brokertest.WithDenied(func(t *testing.T) (broker.Broker, string) {
		user := start(t)
		server.MustDo("ACL", "SETUSER", "pregon", "resetchannels", "&__pregon*", "&chat", "&new")
		return open(t, user), "forbidden"
	}), brokertest.WithForget(func(t *testing.T, _ broker.Broker, channel string) {
		if n := server.MustDo("DEL", "__pregon:h:"+channel); n != "1" {
			t.Errorf("DEL of a stream: %s", n)
		}
	}), brokertest.WithUnreachable(func(t *testing.T) broker.Broker {
		return open(t, "redis://127.0.0.1:1"+parameters)
	}))
}

func open(t *testing.T, url string) broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

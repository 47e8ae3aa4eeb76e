package nats_test

import (
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"github.com/pregon/pregon/broker/nats"
	"github.com/pregon/pregon/broker/redis/redistest"
	natstest "github.com/pregon/pregon/testdata/nats"
)

// keeping returns the lines of a server that has JetStream.
func keeping(t *testing.T) string { return keepingIn(t.TempDir()) }

func keepingIn(dir string) string { return `jetstream { store_dir: "` + dir + `" }` }

// With a history the driver keeps the whole contract of package broker on one server with JetStream: where links
// are cut, where the server is killed, where a channel is purged behind its back, and where it permits some
// subjects only.
func TestConformanceHistory(t *testing.T) {
	t.Parallel()
	var server *natstest.Server
	var proxy *redistest.Proxy
	keep := broker.Retention{MaxMessages: 10_000, MaxAge: 5 * time.Minute}
	start := func(keep broker.Retention) func(t *testing.T) func(t *testing.T) broker.Broker {
		return func(t *testing.T) func(t *testing.T) broker.Broker {
			server = natstest.Start(t, keeping(t))
			proxy = redistest.StartProxy(t, server.Addr())
			return func(t *testing.T) broker.Broker {
				return opened(t, nats.Options{Servers: []string{proxy.Addr()}, History: keep, Heartbeat: 5 * time.Second})
			}
		}
	}
	brokertest.Run(t, start(keep),
		brokertest.WithCut(func(*testing.T, broker.Broker) { proxy.Cut() }),
		brokertest.WithDown(func(*testing.T, broker.Broker) (up func()) {
			server.Kill()
			return server.Restart
		}),
		brokertest.WithBriefHistory(start(broker.Retention{MaxMessages: 10_000, MaxAge: 2 * time.Second})),
		brokertest.WithForget(func(t *testing.T, _ broker.Broker, channel string) {
			if err := stream(t, server).Purge(t.Context(), jetstream.WithPurgeSubject(channel)); err != nil {
				t.Fatal(err)
			}
		}),
		brokertest.WithDenied(func(t *testing.T) (broker.Broker, string) {
			server := natstest.Start(t, keeping(t), `authorization { users = [{user: pregon, password: secret, permissions: {publish: {deny: "forbidden"}, subscribe: {deny: "_PREGON.PREGON.forbidden"}}}] }`)
			return opened(t, nats.Options{Servers: []string{server.Addr()}, Username: "pregon", Password: "secret", History: keep}), "forbidden"
		}),
		brokertest.WithUnreachable(func(t *testing.T) broker.Broker {
			return opened(t, nats.Options{Servers: []string{"127.0.0.1:1"}, History: keep})
		}),
	)
}

// opened opens a node.
func opened(t *testing.T, o nats.Options) broker.Broker {
	t.Helper()
	b, err := nats.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stream returns the stream of a server without a prefix.
func stream(t *testing.T, server *natstest.Server) jetstream.Stream {
	t.Helper()
	nc, err := natsgo.Connect("nats://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "PREGON")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

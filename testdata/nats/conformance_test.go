package nats_test

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"github.com/pregon/pregon/broker/nats"
	"github.com/pregon/pregon/broker/redis/redistest"
	natstest "github.com/pregon/pregon/testdata/nats"
)

func TestMain(m *testing.M) {
	remove := natstest.Build()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		remove()
		os.Exit(code)
	}))
}

// The driver keeps the whole contract of package broker on one server: where links are cut, where the
// server is killed, and where it permits some subjects only.
func TestConformance(t *testing.T) {
	t.Parallel()
	var server *natstest.Server
	var proxy *redistest.Proxy
	start := func(t *testing.T, lines ...string) {
		server = natstest.Start(t, lines...)
		proxy = redistest.StartProxy(t, server.Addr())
	}
	open := func(t *testing.T, o nats.Options) broker.Broker {
		t.Helper()
		o.Heartbeat = 5 * time.Second // a busy machine answers late
		b, err := nats.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	brokertest.Run(t, func(t *testing.T) func(t *testing.T) broker.Broker {
		start(t)
		return func(t *testing.T) broker.Broker { return open(t, nats.Options{Servers: []string{proxy.Addr()}}) }
	}, brokertest.WithCut(func(*testing.T, broker.Broker) { proxy.Cut() }), brokertest.WithDown(func(*testing.T, broker.Broker) (up func()) {
		server.Kill()
		return server.Restart
	}), brokertest.WithDenied(func(t *testing.T) (broker.Broker, string) {
		start(t, `authorization { users = [{user: pregon, password: secret, permissions: {publish: {deny: "forbidden"}, subscribe: {deny: "forbidden"}}}] }`)
		return open(t, nats.Options{Servers: []string{server.Addr()}, Username: "pregon", Password: "secret"}), "forbidden"
	}), brokertest.WithUnreachable(func(t *testing.T) broker.Broker {
		return open(t, nats.Options{Servers: []string{"127.0.0.1:1"}})
	}))
}

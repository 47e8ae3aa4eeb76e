package brokertest_test

import (
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A correct driver passes every case; here the one of the example, whose link can
// be cut too.
func TestCorrectDriver(t *testing.T) {
	brokertest.Run(t, func(*testing.T) func(*testing.T) broker.Broker {
		backend := NewBackend()
		return func(*testing.T) broker.Broker { return &hardship{Broker: backend.Open()} }
	}, hardships(func(b broker.Broker) broker.Broker { return b })...)
}

// hardships are the options for nodes that are a hardship, which broken breaks.
func hardships(broken func(broker.Broker) broker.Broker) []brokertest.Option {
	return []brokertest.Option{
		brokertest.WithCut(func(_ *testing.T, node broker.Broker) {
			if h := hardshipOf(node); h != nil {
				h.lose(20)
			}
		}),
		brokertest.WithUnreachable(func(*testing.T) broker.Broker { return broken(away{NewBackend().Open()}) }),
		brokertest.WithDown(func(_ *testing.T, node broker.Broker) (up func()) { return hardshipOf(node).goDown() }),
		brokertest.WithDenied(func(*testing.T) (broker.Broker, string) {
			return broken(&hardship{Broker: NewBackend().Open(), forbidden: "forbidden"}), "forbidden"
		}),
	}
}

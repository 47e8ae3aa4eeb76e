package memory_test

import (
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"github.com/pregon/pregon/broker/memory"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The driver keeps the whole contract of package broker.
func TestConformance(t *testing.T) {
	brokertest.Run(t, func(*testing.T) func(*testing.T) broker.Broker {
		bus := memory.NewBus()
		return func(*testing.T) broker.Broker { return bus.Broker() }
	})
}

// It does with a history, too, and keeps the contract of that.
func TestConformanceWithHistory(t *testing.T) {
	brokertest.Run(t, func(*testing.T) func(*testing.T) broker.Broker {
		bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 1000, MaxAge: 10 * time.Minute})
		return func(*testing.T) broker.Broker { return bus.Broker() }
	}, brokertest.WithBriefHistory(func(*testing.T) func(*testing.T) broker.Broker {
		bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 1000, MaxAge: 500 * time.Millisecond})
		return func(*testing.T) broker.Broker { return bus.Broker() }
	}), brokertest.WithForget(func(t *testing.T, node broker.Broker, channel string) { // it loses nothing by itself but by its bound
		if err := node.(broker.Clearer).Clear(t.Context(), channel); err != nil {
			t.Error(err)
		}
	}))
}

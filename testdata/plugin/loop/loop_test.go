package loop_test

import (
	"testing"
	"time"

	"example.com/pregon-plugin/loop"
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
)

// The driver keeps the whole contract of package broker.
func TestConformance(t *testing.T) {
	brokertest.Run(t, func(*testing.T) func(*testing.T) broker.Broker {
		backend := loop.NewBackend()
		return func(*testing.T) broker.Broker { return backend.Open() }
	})
}

// It does with a history, too, whose numbers have holes.
func TestConformanceWithHistory(t *testing.T) {
	start := func(age time.Duration) func(*testing.T) func(*testing.T) broker.Broker {
		return func(*testing.T) func(*testing.T) broker.Broker {
			backend := loop.NewBackendWithHistory(broker.Retention{MaxMessages: 1000, MaxAge: age})
			return func(*testing.T) broker.Broker { return backend.Open() }
		}
	}
	brokertest.Run(t, start(time.Hour), brokertest.HistoryOnly(), brokertest.WithBriefHistory(start(500*time.Millisecond)))
}

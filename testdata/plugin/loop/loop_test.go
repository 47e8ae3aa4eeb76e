package loop_test

import (
	"testing"

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

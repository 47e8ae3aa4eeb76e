package brokertest_test

import (
	"maps"
	"slices"
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
		return func(*testing.T) broker.Broker { return backend.Open() }
	}, brokertest.WithCut(func(_ *testing.T, node broker.Broker) { node.(*Loop).cut() }),
		brokertest.WithUnreachable(func(*testing.T) broker.Broker { return away{NewBackend().Open()} }))
}

// cut leaves the Feeds of l as a link does that was lost and restored.
func (l *Loop) cut() {
	l.backend.mu.Lock()
	defer l.backend.mu.Unlock()
	for f := range l.backend.feeds {
		if f.loop == l {
			f.queue.Gap(broker.LinkLost, slices.Collect(maps.Keys(f.channels))...)
		}
	}
}

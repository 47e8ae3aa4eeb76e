// Package brokertest is the conformance suite of package broker. A driver that
// passes it keeps the contract of [broker.Broker] and [broker.Feed], and its
// whole conformance test is one call:
//
//	func TestConformance(t *testing.T) {
//		brokertest.Run(t, func(t *testing.T) func(t *testing.T) broker.Broker {
//			server := startServer(t) // a fresh backend, ended by t.Cleanup
//			return func(t *testing.T) broker.Broker {
//				return mydriver.New(server.Addr()) // one more node on it
//			}
//		})
//	}
//
// The suite relies on no order but the promised one, that of one publisher in
// one channel, and does not sleep: that a message is not delivered is shown by
// reading up to a later one. Only the cases Down, HistoryKeysLast, HistoryProlonged,
// HistoryOutlasts and HistoryAges are about time, and let some pass. Every wait ends with a failure after 30 seconds,
// far beyond what a working driver needs.
//
// Run it with -race. With -short it repeats less often. The flags of
// [pgregory.net/rapid] (-rapid.checks, -rapid.seed) concern the case Histories.
package brokertest

import (
	"testing"

	"github.com/pregon/pregon/broker"
)

// Run tests the driver behind start, each rule of the contract in a subtest that
// bears its name and prints the rule where it fails. Subtests run one after the
// other.
//
// What a driver, or its test, has nothing for is not tested, and logged with its rule.
//
// Run calls start once for itself and once for each subtest. It makes one fresh backend, to which
// nobody else publishes, and has it ended by t.Cleanup. What it returns opens
// one more node on that backend; Run closes the nodes. Messages of at least
// 1 MiB and channel names of at least 255 bytes must be possible.
//
// A driver with history is run twice: with nodes that keep none, and with nodes that
// keep at least a hundred messages (ten thousand, with WithCut) for some minutes.
// Then all cases run on those, and those of the history besides.
func Run(t *testing.T, start func(t *testing.T) func(t *testing.T) broker.Broker, opts ...Option) {
	var o options
	for _, set := range opts {
		set(&o)
	}
	history := ask(t, start)
	for _, c := range cases {
		if c.ofHistory && !history.kept || c.ofNone && history.kept || o.historyOnly && !c.ofHistory {
			continue
		}
		start := start
		switch {
		case c.needs == briefHistory, c.needs == briefRetainer, c.needs == ages && o.age == nil:
			start = o.brief
		case c.needs == noBackend && o.unreachable != nil:
			start = func(*testing.T) func(*testing.T) broker.Broker { return o.unreachable }
		}
		if missing := o.missing(c.needs, history); missing != "" {
			t.Logf("not tested, as %s: %s: %s", missing, c.name, c.rule)
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("rule: %s", c.rule)
				}
			})
			open := start(t)
			c.test(o.fixture(t, open))
		})
	}
}

// fixture returns what a case works with, whose nodes open opens.
func (o *options) fixture(t *testing.T, open func(t *testing.T) broker.Broker) *fixture {
	f := &fixture{
		tb:     t,
		open:   func() broker.Broker { return open(t) },
		cut:    func(node broker.Broker) { o.cut(t, node) },
		down:   func(node broker.Broker) (up func()) { return o.down(t, node) },
		denied: func() (broker.Broker, string) { return o.denied(t) },
		forget: func(node broker.Broker, channel string) { o.forget(t, node, channel) },
	}
	if o.age != nil {
		f.age = func(node broker.Broker, channel string) { o.age(t, node, channel) }
	}
	return f
}

// abilities are what nodes can do with a history.
type abilities struct{ kept, cleared, marked, probed, retained bool }

// ask returns the abilities of nodes that start makes.
func ask(t *testing.T, start func(t *testing.T) func(t *testing.T) broker.Broker) (h abilities) {
	node := start(t)(t)
	_, h.kept = broker.HistoryOf(node)
	_, h.cleared = node.(broker.Clearer)
	_, h.marked = node.(broker.Marker)
	_, h.probed = node.(broker.Prober)
	_, h.retained = node.(broker.Retainer)
	if err := node.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return h
}

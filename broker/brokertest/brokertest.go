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
// reading up to a later one. Only the cases HistoryKeysLast and HistoryProlonged are
// about time, and let some pass. Every wait ends with a failure after 30 seconds,
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
		if c.ofHistory && !history.kept || o.historyOnly && !c.ofHistory {
			continue
		}
		start := start
		switch {
		case c.needs == briefHistory:
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
			c.test(&fixture{
				tb:   t,
				open: func() broker.Broker { return open(t) },
				cut:  func(node broker.Broker) { o.cut(t, node) },
			})
		})
	}
}

// A need is what a case cannot do without.
type need int

const (
	nothing      need = iota
	cutLink           // the function of WithCut
	briefHistory      // nodes of WithBriefHistory
	noBackend         // a node of WithUnreachable
	clearer           // a broker.Clearer
)

// missing says why there is not what a case needs, and nothing where there is.
func (o *options) missing(n need, h abilities) string {
	switch {
	case n == cutLink && o.cut == nil:
		return "the driver's test has no WithCut"
	case n == briefHistory && o.brief == nil:
		return "the driver's test has no WithBriefHistory"
	case n == noBackend && o.unreachable == nil:
		return "the driver's test has no WithUnreachable"
	case n == clearer && !h.cleared:
		return "the driver is no broker.Clearer"
	}
	return ""
}

// abilities are what nodes can do with a history.
type abilities struct{ kept, cleared bool }

// ask returns the abilities of nodes that start makes.
func ask(t *testing.T, start func(t *testing.T) func(t *testing.T) broker.Broker) (h abilities) {
	node := start(t)(t)
	_, h.kept = broker.HistoryOf(node)
	_, h.cleared = node.(broker.Clearer)
	if err := node.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return h
}

// An Option adds to what Run can test.
type Option func(*options)

type options struct {
	cut         func(t *testing.T, node broker.Broker)
	brief       func(t *testing.T) func(t *testing.T) broker.Broker
	unreachable func(t *testing.T) broker.Broker
	historyOnly bool
}

// HistoryOnly leaves out the cases that are not of the history. It is for the second
// run on a backend that is slow with one.
func HistoryOnly() Option { return func(o *options) { o.historyOnly = true } }

// WithCut lets Run test that a lost link is told. The function breaks the link of
// node to its backend, where node is what the start function of Run opened, in
// such a way that the driver can mend it by itself: it cuts the connections, or
// restarts the backend. It may return before the driver has noticed, and it may
// cut the links of other nodes too.
func WithCut(cut func(t *testing.T, node broker.Broker)) Option {
	return func(o *options) { o.cut = cut }
}

// WithBriefHistory lets Run test what becomes of a history in time. start is like
// that of Run, for nodes that keep messages for two seconds at most. The case takes
// six times as long as they are kept.
func WithBriefHistory(start func(t *testing.T) func(t *testing.T) broker.Broker) Option {
	return func(o *options) { o.brief = start }
}

// WithUnreachable lets Run test what is said where the backend is not there: open
// opens a node whose backend cannot be reached, such as at a port where nobody
// listens. Run closes it.
func WithUnreachable(open func(t *testing.T) broker.Broker) Option {
	return func(o *options) { o.unreachable = open }
}

// cases are the rules of the contract, each with the test that proves it.
var cases = []struct {
	name      string
	rule      string
	test      func(*fixture)
	needs     need
	ofHistory bool // for nodes that keep one
}{
	{name: "Order", test: testOrder,
		rule: "Messages that one goroutine publishes to one channel arrive in that order."},
	{name: "EveryNodeHears", test: testEveryNodeHears,
		rule: "Every Feed of every node, the publisher's own included, hears a message once."},
	{name: "AddThenPublish", test: testAddThenPublish,
		rule: "Once Add returned nil, every later publication by any node reaches Next."},
	{name: "ConcurrentAdds", test: testConcurrentAdds,
		rule: "However many goroutines add a channel at the same time, its messages arrive exactly once."},
	{name: "AddAgain", test: testAddAgain,
		rule: "Adding a channel again does not double its messages, and one Remove removes it."},
	{name: "ManyChannels", test: testManyChannels,
		rule: "Thousands of channels can be added, and removed, in one call."},
	{name: "RemovedIsSilent", test: testRemovedIsSilent,
		rule: "Once Remove returned nil, no later publication reaches Next, until the channel is added again, which works at once."},
	{name: "FeedsAreIndependent", test: testFeedsAreIndependent,
		rule: "What one Feed adds, removes or closes does not concern another Feed of the same node."},
	{name: "Payloads", test: testPayloads,
		rule: "Payloads arrive byte for byte with Binary as in Message.Normal, and nobody changes the bytes later."},
	{name: "ChannelNames", test: testChannelNames,
		rule: "Any name that is not empty is a channel, and arrives as it was."},
	{name: "OtherChannels", test: testOtherChannels,
		rule: "Names are literal: messages of other channels are not heard, whatever the names look like."},
	{name: "Batch", test: testBatch,
		rule: "Of a batch exactly the messages whose results say so are published, in their order."},
	{name: "Overrun", test: testOverrun,
		rule: "What a Feed could not keep because Next was not called is told by a gap in its place, and a reader that stops harms no other."},
	{name: "LinkLost", test: testLinkLost, needs: cutLink,
		rule: "Where the link to the backend was lost, a gap names the channels, and the Feed goes on by itself."},
	{name: "CloseFeed", test: testCloseFeed,
		rule: "Closing a Feed unblocks its Next with ErrClosed, and harms no other Feed."},
	{name: "CloseBroker", test: testCloseBroker,
		rule: "Closing a Broker unblocks the Next of all its Feeds with ErrClosed, and harms no other node."},
	{name: "CloseDuringCalls", test: testCloseDuringCalls,
		rule: "Calls that run while the Broker is closed return, with nothing worse than ErrClosed."},
	{name: "UseAfterClose", test: testUseAfterClose,
		rule: "Every method of a closed Broker or Feed returns ErrClosed, but closing again is no error."},
	{name: "ConcurrentUse", test: testConcurrentUse,
		rule: "All methods may be called concurrently."},
	{name: "EmptyName", test: testEmptyName,
		rule: "The empty channel name is an error, and an Add that fails adds nothing."},
	{name: "Contexts", test: testContexts,
		rule: "With a context that has ended nothing is published or added; a context that ends after the call ends nothing."},
	{name: "Unreachable", test: testUnreachable, needs: noBackend,
		rule: "Where the backend cannot be reached, what was not sent is ErrUnavailable, and not uncertain."},
	{name: "HistoryOrder", test: testHistoryOrder, ofHistory: true,
		rule: "With a history, numbers grow, each message says which one it follows, and receipts, deliveries and what is kept agree."},
	{name: "HistoryResume", test: testHistoryResume, ofHistory: true,
		rule: "Behind any position that is kept, page by page, comes exactly the rest."},
	{name: "HistoryWindow", test: testHistoryWindow, ofHistory: true,
		rule: "As many messages are kept as was promised, and what is gone is not claimed to be there."},
	{name: "HistoryUnknown", test: testHistoryUnknown, ofHistory: true,
		rule: "Behind a position that was never given or is of another epoch nothing is complete, and nothing goes back."},
	{name: "HistoryNewest", test: testHistoryNewest, ofHistory: true,
		rule: "The newest positions of any number of channels can be asked for, and the newest messages of one."},
	{name: "HistoryBackwards", test: testHistoryBackwards, ofHistory: true,
		rule: "From the newest messages back, page by page, comes all that is kept, and More says whether there are older ones."},
	{name: "HistoryPayloads", test: testHistoryPayloads, ofHistory: true,
		rule: "What is kept comes back byte for byte, however large."},
	{name: "HistoryKeys", test: testHistoryKeys, ofHistory: true,
		rule: "However many publish with one key, one message is delivered, and all get its receipt."},
	{name: "HistoryKeysLast", test: testHistoryKeysLast, ofHistory: true,
		rule: "A key is known for as long as its message is to be kept, whatever other keys come."},
	{name: "HistoryProlonged", test: testHistoryProlonged, ofHistory: true, needs: briefHistory,
		rule: "A channel whose newest position is asked for now and then goes on in its epoch."},
	{name: "HistoryClear", test: testHistoryClear, ofHistory: true, needs: clearer,
		rule: "What was cleared is gone with its keys, nothing is complete behind it, and what comes next is of a later epoch."},
	{name: "HistoryFill", test: testHistoryFill, ofHistory: true, needs: cutLink,
		rule: "What was accepted while a link was away is in the history, behind what was heard before."},
	{name: "Histories", test: testHistories,
		rule: "After any history of adds, removes, publications and closes, every Feed heard what it must and nothing that it must not."},
}

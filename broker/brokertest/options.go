package brokertest

import (
	"testing"

	"github.com/pregon/pregon/broker"
)

// An Option adds to what Run can test.
type Option func(*options)

type options struct {
	cut         func(t *testing.T, node broker.Broker)
	brief       func(t *testing.T) func(t *testing.T) broker.Broker
	unreachable func(t *testing.T) broker.Broker
	down        func(t *testing.T, node broker.Broker) (up func())
	denied      func(t *testing.T) (node broker.Broker, denied string)
	forget      func(t *testing.T, node broker.Broker, channel string)
	age         func(t *testing.T, node broker.Broker, channel string)
	historyOnly bool
}

// HistoryOnly leaves out the cases that are not of the history. It is for the second
// run on a backend that is slow with one.
func HistoryOnly() Option { return func(o *options) { o.historyOnly = true } }

// WithCut lets Run test that a lost link is told. The function breaks the link of
// node to its backend, where node is what the start function of Run opened, in
// such a way that the driver can recover by itself: it cuts the connections, or
// restarts the backend. It may return before the driver has noticed, and it may
// cut the links of other nodes too.
func WithCut(cut func(t *testing.T, node broker.Broker)) Option {
	return func(o *options) { o.cut = cut }
}

// WithBriefHistory lets Run test what becomes of a history in time. start is like
// that of Run, for nodes that keep messages for two seconds at most. The cases take
// up to six times as long as they are kept.
func WithBriefHistory(start func(t *testing.T) func(t *testing.T) broker.Broker) Option {
	return func(o *options) { o.brief = start }
}

// WithUnreachable lets Run test what is said where the backend is not there: open
// opens a node whose backend cannot be reached, such as at a port where nobody
// listens. Run closes it.
func WithUnreachable(open func(t *testing.T) broker.Broker) Option {
	return func(o *options) { o.unreachable = open }
}

// WithDown lets Run test what becomes of calls and Feeds while the backend is away.
// down makes the backend of node refuse all connections, or close them at once, so that
// this is known within a second or so; the nodes of the start function of Run may all be
// concerned. What it returns makes it accept them again, with or without what it has
// kept. Both may return before the driver has noticed.
func WithDown(down func(t *testing.T, node broker.Broker) (up func())) Option {
	return func(o *options) { o.down = down }
}

// WithDenied lets Run test what is said where the backend does not allow a channel.
// open opens a node that may neither publish to the channel denied nor add it, and may
// do all else. Run closes the node.
func WithDenied(open func(t *testing.T) (node broker.Broker, denied string)) Option {
	return func(o *options) { o.denied = open }
}

// WithForget lets Run test what is said of a history that the backend has lost: forget
// makes the backend of node forget all that it keeps of a channel, behind the driver's
// back.
func WithForget(forget func(t *testing.T, node broker.Broker, channel string)) Option {
	return func(o *options) { o.forget = forget }
}

// WithAge lets Run test what becomes of messages that are older than Retention.MaxAge. It
// makes all that is kept of a channel older than that, for drivers that can do so in no
// time. With WithBriefHistory alone, Run lets time pass instead.
func WithAge(age func(t *testing.T, node broker.Broker, channel string)) Option {
	return func(o *options) { o.age = age }
}

// A need is what a case cannot do without.
type need int

const (
	nothing       need = iota
	cutLink            // the function of WithCut
	briefHistory       // nodes of WithBriefHistory
	noBackend          // a node of WithUnreachable
	clearer            // a broker.Clearer
	marker             // a broker.Marker
	prober             // a broker.Prober
	downBackend        // the function of WithDown
	deniedNode         // a node of WithDenied
	forgets            // the function of WithForget
	ages               // that of WithAge, or nodes of WithBriefHistory
	retainer           // a broker.Retainer
	briefRetainer      // the same, and nodes of WithBriefHistory
)

// missing says why there is not what a case needs, and nothing where there is.
func (o *options) missing(n need, h abilities) string {
	switch {
	case (n == retainer || n == briefRetainer) && !h.retained:
		return "the driver is no broker.Retainer"
	case n == briefRetainer && o.brief == nil:
		return "the driver's test has no WithBriefHistory"
	case n == cutLink && o.cut == nil:
		return "the driver's test has no WithCut"
	case n == briefHistory && o.brief == nil:
		return "the driver's test has no WithBriefHistory"
	case n == noBackend && o.unreachable == nil:
		return "the driver's test has no WithUnreachable"
	case n == clearer && !h.cleared:
		return "the driver is no broker.Clearer"
	case n == marker && !h.marked:
		return "the driver is no broker.Marker"
	case n == prober && !h.probed:
		return "the driver is no broker.Prober"
	case n == downBackend && o.down == nil:
		return "the driver's test has no WithDown"
	case n == deniedNode && o.denied == nil:
		return "the driver's test has no WithDenied"
	case n == forgets && o.forget == nil:
		return "the driver's test has no WithForget"
	case n == ages && o.age == nil && o.brief == nil:
		return "the driver's test has neither WithAge nor WithBriefHistory"
	}
	return ""
}

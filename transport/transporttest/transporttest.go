// Package transporttest is the conformance suite of package transport. A protocol that
// passes it keeps the contract of [transport.Transport], and its whole conformance test is
// one call:
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, transporttest.Protocol{
//			New:  mine.New,
//			Dial: dial, // a client of the protocol
//		})
//	}
//
// # What it runs on
//
// The Transport runs on the real thing: an HTTP server on the loopback interface, a hub, a
// node, and a broker in memory that can be told to refuse a channel, to keep its
// confirmation back, and to lose a message. Between the node and the Transport stands a
// [transport.Client] that records every call, so that a Transport which asks for more than
// its client did, or goes on after its client has gone, is caught. The alternative was a
// Client of the suite's own that plays back what a hub would do. It would have been a
// second hub, and what a protocol owes to the first would have stayed untested.
//
// # Time
//
// The suite does not sleep: that something does not come is shown by reading up to what
// came later. Only OpenMeansSubscribed allows a Transport that answers too early a moment to
// do so. Every wait ends with a failure after 30 seconds, far beyond what a working
// Transport needs.
//
// Run it with -race, and check for goroutines that are left behind, as with
// go.uber.org/goleak: the suite waits for all of its own.
package transporttest

import (
	"context"
	"slices"
	"testing"

	"github.com/pregon/pregon/transport"
)

// A Protocol is a Transport to test and what is to be known of its clients.
type Protocol struct {
	// New makes the Transport, without Settings. It is called for each test, and what it
	// makes is discarded once it has no clients any more.
	New transport.Maker

	// Dial connects a client: it sends one request to url, which begins with http:// and is
	// not to be changed but for its scheme, and returns when the answer has begun. It may do so
	// over HTTP/1.1 or, beginning with its preface, over HTTP/2. The
	// channels and the format belong to url already; the format is for decoding what is
	// read. Where the answer is not what a client hopes for, as after an error status, Dial
	// returns an error. When ctx ends before the answer has begun, Dial closes the
	// connection; afterwards ctx means nothing.
	Dial func(ctx context.Context, url string, format transport.Format) (Conn, error)

	// Formats are the names of the formats to test with, all of them where it is empty.
	Formats []string

	// Closes says, for each reason for which the server ends connections, what [End] a
	// client is told. A reason that is not among them is one that the protocol cannot
	// express: its clients are only to find that the connection has ended.
	Closes map[transport.CloseReason]string
}

// A Conn is the client's end of a connection. It answers pings, if the protocol has them,
// while somebody waits in Next.
type Conn interface {
	// Next waits for the next Event and returns it. It passes over all else, such as pings.
	// Once the connection has ended it returns an error: an *End where the server has said
	// why, and any other where it has not. One goroutine at a time calls Next.
	Next() (Event, error)

	// Close ends the connection at once, and has a Next that waits return. It may be
	// called concurrently with Next, and more than once.
	Close() error
}

// A Kind is what an Event is.
type Kind int

const (
	Message    Kind = iota + 1 // of a channel
	Gap                        // messages may be missing here
	Subscribed                 // a channel is subscribed
)

// An Event is what a client reads at once.
type Event struct {
	Kind    Kind
	Channel string // empty where the client is not told
	ID      string // cursor; empty where the client is not told

	Data   []byte // of a Message, and owned by the caller of Next
	Binary bool   // Data was marked as binary

	Reason    string // of a Gap
	Recovered bool   // of a Subscribed
}

// An End is what Next returns where the server has said why it ends the connection.
type End struct {
	Code string // in the words of the protocol, as in Protocol.Closes
}

// Error implements error.
func (e *End) Error() string { return "transporttest: the server has ended the connection: " + e.Code }

// Run tests p, each rule of the contract in a subtest that bears its name and prints the
// rule where it fails, once for each format. Subtests run one after the other.
func Run(t *testing.T, p Protocol) {
	var formats []transport.Format
	for _, f := range transport.Formats() {
		if len(p.Formats) == 0 || slices.Contains(p.Formats, f.Name()) {
			formats = append(formats, f)
		}
	}
	if len(formats) == 0 {
		t.Fatal("the Protocol names no format that there is")
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("rule: %s", c.rule)
				}
			})
			for _, format := range formats {
				t.Run(format.Name(), func(t *testing.T) { c.test(newFixture(t, p, format, c.on)) })
			}
		})
	}
}

// A setting is what a case runs on.
type setting struct {
	history    bool // the broker keeps one
	dropOldest bool // as hub.Options.DropOldest
}

// cases are the rules of the contract, each with the test that proves it.
var cases = []struct {
	name string
	rule string
	test func(*fixture)
	on   setting
}{
	{name: "OpenMeansSubscribed", test: testOpenMeansSubscribed,
		rule: "A client is answered once the broker has confirmed its channels, and hears what is published from then on."},
	{name: "Refused", test: testRefused,
		rule: "Where the broker refuses a channel, Serve returns the error, writes nothing, and leaves nothing behind."},
	{name: "GoneBeforeAnswer", test: testGoneBeforeAnswer,
		rule: "A client that goes while it waits for the answer is noticed, and leaves nothing behind."},
	{name: "HiddenHijack", test: testHiddenHijack,
		rule: "Behind a middleware that hides http.Hijacker, or http.Flusher too, a client is served all the same, or answered with a Problem before anything is joined."},
	{name: "Payloads", test: testPayloads,
		rule: "What was published is what a client of the format reads, byte for byte, binary or text."},
	{name: "Order", test: testOrder,
		rule: "The messages of a channel arrive in their order, and none twice."},
	{name: "OwnChannels", test: testOwnChannels,
		rule: "A client hears the channels that it has asked for, all of them and no others."},
	{name: "OneEncodingPerFormat", test: testOneEncoding,
		rule: "Clients of one format share one Encoding, whose results are never changed."},
	{name: "Gaps", test: testGaps,
		rule: "Where messages may be missing, the client is told in that place, or hears nothing more and is closed."},
	{name: "Denied", test: testDenied,
		rule: "Where a channel is no longer allowed, the client is told and closed."},
	{name: "Recovered", test: testRecovered, on: setting{history: true},
		rule: "A client that continues behind a message gets exactly what came after it, then what is live, and is told so where it could be told otherwise."},
	{name: "NotRecovered", test: testNotRecovered, on: setting{history: true},
		rule: "A client that cannot be continued from where it asks is told so ahead of the first message, or closed."},
	{name: "Last", test: testLast, on: setting{history: true},
		rule: "A client that wants the last messages first gets them, and then what is live, without a seam or a repeat."},
	{name: "SlowClosed", test: testSlowClosed,
		rule: "What waits for a client that does not read is bounded: it is closed with the right reason, after what it was sent, and holds up no other."},
	{name: "SlowTold", test: testSlowTold, on: setting{dropOldest: true},
		rule: "Where the oldest messages for a client that does not read are dropped, it is told in their place, or closed."},
	{name: "CloseReasons", test: testCloseReasons,
		rule: "A connection ends when the hub ends it, behind all that was sent, and the client is told the reason where the protocol can express it."},
	{name: "Pings", test: testPings,
		rule: "Pings are bytes that disturb no client, and that one has come back is noted where the protocol says that clients answer."},
	{name: "Draining", test: testDraining,
		rule: "A server that stops ends its clients behind their last messages, Wait returns when all have gone and not before, and nobody comes in any more."},
	{name: "ClientGoes", test: testClientGoes,
		rule: "A client that goes is noticed: its session leaves, its connection is closed, and Serve returns as it should."},
	{name: "ConcurrentClients", test: testConcurrentClients,
		rule: "All methods may be called concurrently, and clients that come and go concern no others."},
	{name: "OneDoor", test: testOneDoor,
		rule: "A Transport uses the Client of a request for that request alone: for the channels and starts that were asked for, and no longer than the connection lasts."},
}

package transport

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport/socket"
)

// JoinTimeout is how long a Transport lets a client wait for the broker's
// confirmation.
const JoinTimeout = 4 * time.Second

// A Transport serves the clients of one protocol. Methods may be called
// concurrently.
type Transport interface {
	// DefaultFormat is the name of the Format of a client that asks for none.
	DefaultFormat() string

	// Serve connects the client that made r and asks for wanted. Where it takes the
	// connection over, it returns when the client is connected, not when it has gone:
	// what a connection needs from then on runs in goroutines of the Transport. Where it
	// writes to w, it returns when the client has gone. Where it returns an error nothing
	// has been written; a *Problem says what to answer.
	Serve(w http.ResponseWriter, r *http.Request, wanted SubscribeRequest) error

	// Wait returns when the last connection has ended. The hub ends them.
	Wait()
}

// A SubscribeRequest is what a client asks to hear, checked by the server.
type SubscribeRequest struct {
	Subscriptions []Subscription // of valid and distinct channels, without Answers
	Format        Format

	// Client is what the caller may do, and the way to do it.
	Client Client
}

// A Resumer is a Transport whose clients say by themselves, when they come back,
// which message they heard last.
type Resumer interface {
	Transport
	// LastID returns what the client of r says, whatever that is: it should be
	// the cursor of that message. It reports false where the client says nothing.
	LastID(r *http.Request) (id string, said bool)
	// Parameters returns the names of the query's parameters that LastID reads.
	Parameters() []string
}

// A Retrier is a Transport whose clients give up for good at an error status. The
// server hands it each Problem after which a client may come back
// (Problem.RetryAfter), wherever that arose, and answers the others itself.
type Retrier interface {
	Transport
	// Retry answers r in such a way that its client comes back, and not before
	// p.RetryAfter seconds have passed. The headers that are set already belong to
	// the answer.
	Retry(w http.ResponseWriter, r *http.Request, p *Problem)
}

// A Poster is a Transport whose clients may name their channels in the body of a POST to /{name},
// each with where to begin in it. They are programs that see the status of an answer: a Retrier is
// not asked.
type Poster interface {
	Transport
	// ServePost is Serve for such a client, whose body has been read. Each Subscription is
	// answered, so that the client knows from where on it hears the channel.
	ServePost(w http.ResponseWriter, r *http.Request, wanted SubscribeRequest) error
}

// A Conversation is a Transport whose clients say what they want when they are connected, and
// are told there what they may not have: a browser's WebSocket cannot see an HTTP status.
//
// The server lets requests without channels through to its Serve, and those with channels that
// the caller may not hear: each is subscribed, and answered, alone.
type Conversation interface {
	Transport
	// Refuse answers r, whose caller the server does not let in for want of a valid credential
	// or of rights, in the protocol's own words. Where it returns an error nothing has been
	// written, and the server answers with that: p itself, where r is no handshake of
	// the protocol.
	Refuse(w http.ResponseWriter, r *http.Request, p *Problem) error
}

// A Describer is a Transport with a description of what is said over it, for tools: an AsyncAPI
// document in JSON, which the server has at /asyncapi.json. Of several the first by name counts.
type Describer interface {
	Transport
	AsyncAPI() []byte // is not to be changed
}

// Deps are what a server gives to its Transports for as long as they live. What they may
// do for a caller comes with each request: see SubscribeRequest.
type Deps struct {
	Sockets *socket.Group
	Logger  *slog.Logger

	// MaxInbound is the longest message in bytes that is read from a client
	// (and thrown away) before it is disconnected.
	MaxInbound int64

	// MaxMessage is the longest message in bytes that may be published.
	MaxMessage int64

	// KeepsHistory says that there is a history to begin in.
	KeepsHistory bool

	// MaxChannels is how many channels one Session may have, 0 for any number.
	MaxChannels int

	// PingInterval is how often Control.Ping is sent.
	PingInterval time.Duration

	// Compress allows a Transport to compress for clients that offer it.
	Compress bool

	// Problem returns what the server answers, as it would over HTTP, where err is what a
	// Client or a Session has returned, and logs what is to be logged. PublishProblem does so for
	// the error of a [broker.Result].
	Problem, PublishProblem func(err error) *Problem

	// Settings are the Transport's own.
	Settings *Settings
}

// A Subscriber is a client that wants to hear channels.
type Subscriber struct {
	Socket   *socket.Socket
	Encoding Encoding
	Control  Control

	// AnswersPings says that this client answers pings, so that one which has
	// stopped answering may be taken for gone.
	AnswersPings bool

	// Transport is the server's to set: the name of the Transport by which the client came,
	// "local" for the program itself.
	Transport string
}

// A Start is where a Subscriber begins in a channel: live, where it is zero, behind
// a message that it has heard, or with some that were published before.
type Start struct {
	// Since says that After is to be continued from, and that the client is told
	// whether that was possible. An After that is zero cannot be.
	Since bool
	After broker.Position

	// Last is how many of the messages that were the newest when Subscribe returned are
	// sent before those that came later.
	Last int
}

// A Subscription is a channel that a Subscriber is to hear from now on.
type Subscription struct {
	Channel string
	Start

	// Presence has the client told who is in the channel, behind its Answer: all
	// Members first, then each Presence. It needs a PresenceEncoding.
	Presence bool

	// Member is who the client says it is, for others in the channel to see; its Connections
	// mean nothing. It counts only where the server takes no tokens, and so knows nobody.
	Member *Member

	// Answer returns the frame that is sent ahead of the channel's first message; it may
	// be empty. It reports false where it cannot express s, but should: the client is then
	// closed with CloseUnrecovered. It is called once the broker has confirmed the
	// channel, from a goroutine of the hub, and must not wait. A nil Answer says nothing.
	Answer func(s Subscribed) (frame []byte, ok bool)
}

// ErrSubscribed means that a Session has the channel already, or is about to.
var ErrSubscribed = errors.New("transport: the channel is subscribed already")

// ErrLeft means that a Session has ended.
var ErrLeft = errors.New("transport: the session has ended")

// A Session is a Subscriber's stay in the hub. Its channels change while it lives: to
// add and to remove one costs the same, however many it has. All methods may be called
// concurrently.
type Session interface {
	// Subscribe adds channels, and returns one error per Subscription, in their order:
	// nil once the broker has confirmed the channel, over a link that stands. From then on
	// the Socket is sent every message of the channel. Where that has not happened when
	// ctx ends, or the broker refuses, the channel is not subscribed; the others are.
	// A channel that is subscribed already is ErrSubscribed and keeps its stay; an ended
	// Session answers ErrLeft. Names are checked as [Client] says.
	Subscribe(ctx context.Context, channels ...Subscription) []error

	// Unsubscribe removes a channel. What was published before and has reached this node
	// is still sent, then what last returns, and nothing of the channel behind it. Of a
	// channel that is not subscribed only that is sent. last may be nil. It is called once
	// nothing more of the stay will be sent: so it knows whether Subscription.Answer was called.
	// It must not block.
	Unsubscribe(channel string, last func() []byte)

	// Say sends a frame of the protocol's own, behind the messages that this node has
	// received before. It is never dropped to make room: a client that reads too slowly
	// for it is closed. After Leave it is not sent.
	Say(frame []byte)

	// Renewed says that the Client has another credential now: see [Client].Renew. Channels
	// that it may not hear any more are ended, as [Ender] says, and then last is sent, which may
	// be empty. The Session ends when the new credential does.
	Renewed(last []byte)

	// Touch notes that something came from the client just now.
	Touch()

	// Leave ends the Session. Nothing is sent to its Socket any more once
	// what is under way is done. The Socket is not closed. Leaving again does
	// nothing.
	Leave()
}

// An Encoding turns what a client hears into the bytes of one protocol, complete
// and ready for the wire. The results are immutable and shared by many clients.
// Encodings are compared with ==; a Transport has one value per Format.
type Encoding interface {
	Message(m broker.Message) []byte
	// Gap tells that messages may be missing here. It returns nothing where the
	// protocol and format cannot express it; such clients are closed.
	Gap(g Gap) []byte
}

// A Control makes the frames that are one client's own. It is called by several
// goroutines, and must not wait. Clients that need nothing of their own share one.
type Control interface {
	// Ping keeps the connection alive through whatever is in between.
	Ping() []byte
	// Close is the closing frame. It may be empty.
	Close(reason CloseReason) []byte
}

// An Ender is a Control whose client can be told that one of its channels has ended, and hears
// the others on. Without one such a client is closed, for the same reason.
type Ender interface {
	Control
	// End is the frame that tells of it, sent behind the last message of the channel: reason
	// is CloseDenied or CloseForbidden.
	End(channel string, reason CloseReason) []byte
}

// A Gap is a place in a channel where messages may be missing.
type Gap struct {
	Channel string
	Reason  broker.GapReason // as in broker.GapError, SlowClient or one of the following

	// From and To are the messages between which something is missing, zero
	// where that is not known.
	From, To broker.Position
}

// A Subscribed is what a Subscription's Answer tells.
type Subscribed struct {
	Channel   string
	Recovered bool // everything after the Start's position follows; only where Since was asked

	// Position is the place behind which everything follows: the Start's After, the
	// place before the first message that is replayed, or otherwise where the channel
	// ended when it was subscribed; Outset in a channel without messages. So a client
	// that remembers it and is cut off before anything else has come misses nothing. It
	// is zero where there is no history.
	Position broker.Position
}

// Reasons of a Gap that a history has.
const (
	// NotRetained: the history did not keep for long enough what was missed.
	NotRetained broker.GapReason = "not-retained"
	// NewEpoch: the history was begun anew, and the end of the one before may be
	// missing.
	NewEpoch broker.GapReason = "new-epoch"
	// Missing: messages have disappeared from the middle of the history.
	Missing broker.GapReason = "missing"
)

// SlowClient is the reason of a Gap that this client alone has: messages to it
// were dropped because it does not read fast enough.
const SlowClient broker.GapReason = "slow-client"

// A CloseReason is why the server closes a connection. What clients make of one they know by
// its number in the protocol: a client may come back after 4000 to 4099, and must not after
// 4100 to 4199, whether it knows the number or not.
type CloseReason int

const (
	// CloseShutdown: the server stops. The client may reconnect.
	CloseShutdown CloseReason = iota
	// CloseGap: messages may be missing, and the format cannot express it. The client
	// should reconnect; it has missed what came since its last message.
	CloseGap
	// CloseSlow: the client did not read fast enough. It may reconnect.
	CloseSlow
	// CloseIdle: the client has not answered pings. It may reconnect.
	CloseIdle
	// CloseUnrecovered: the client cannot be continued from where it asked, and
	// the format cannot express it. It should reconnect without asking for that.
	CloseUnrecovered
	// CloseDenied: the broker does not allow the client's channel any more, or one
	// of them, which the format cannot express. It should not reconnect.
	CloseDenied
	// CloseExpired: the client's credential has expired. It may come back with a new one.
	CloseExpired
	// CloseForbidden: the client may not hear its channel any more, or one of them, or its
	// credential is not known any more: the rules or the keys have changed. It should not
	// reconnect.
	CloseForbidden
	// CloseLimit: a limit on connections was lowered, or an operator has ended this one.
	// The client may come back later.
	CloseLimit
)

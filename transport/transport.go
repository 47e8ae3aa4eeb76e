package transport

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
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

	// Serve connects the client that made r and asks for wanted. It returns when
	// the client is connected, not when it has gone: what a connection needs
	// from then on runs in goroutines of the Transport. Where it returns an
	// error nothing has been written; a *Problem says what to answer.
	Serve(w http.ResponseWriter, r *http.Request, wanted Wanted) error

	// Wait returns when the last connection has ended. The hub ends them.
	Wait()
}

// A Wanted is what a client asks to hear, checked by the server.
type Wanted struct {
	Channels []string // valid and distinct
	Starts   []Start  // as in Subscriber
	Format   Format

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

// An Env is what a server gives to its Transports for as long as they live. What they may
// do for a caller comes with each request: see Wanted.
type Env struct {
	Sockets *socket.Group
	Logger  *slog.Logger

	// MaxInbound is the longest message in bytes that is read from a client
	// (and thrown away) before it is disconnected.
	MaxInbound int64

	// Compress allows a Transport to compress for clients that offer it.
	Compress bool
}

// A Subscriber is a client that wants to hear channels.
type Subscriber struct {
	Socket   *socket.Socket
	Encoding Encoding
	Channels []string

	// Starts says where to begin in each of Channels. Nil means with what is
	// published from now on.
	Starts []Start

	// Answers says that this client answers pings, so that one which has
	// stopped answering may be taken for gone.
	Answers bool
}

// A Start is where a Subscriber begins in a channel: live, where it is zero, behind
// a message that it has heard, or with some that were published before.
type Start struct {
	// Since says that After is to be continued from, and that the client is told
	// first whether that was possible. An After that is zero cannot be.
	Since bool
	After broker.Position

	// Last is how many of the messages that were the newest when Join returned are
	// sent before those that came later.
	Last int
}

// A Session is a Subscriber's stay in its channels.
type Session interface {
	// Heard notes that something came from the client just now.
	Heard()
	// Began returns the position behind which all messages of the first channel
	// are sent, for a client that can remember it, should its connection be lost
	// before the first message: Outset where there is none. It is zero where
	// there is no history, and for Subscribers with Starts, who know where they
	// began.
	Began() broker.Position
	// Leave ends the Session. Nothing is sent to its Socket any more once
	// what is under way is done. The Socket is not closed. Leaving again does
	// nothing.
	Leave()
}

// An Encoding turns what a client hears into the bytes of one protocol, complete
// and ready for the wire. The results are immutable and shared by many clients.
// Encodings are compared with ==; a Transport has one value a Format.
type Encoding interface {
	Message(m broker.Message) []byte
	// Gap tells that messages may be missing here. It returns nothing where the
	// protocol and format have no words for it; such clients are ended.
	Gap(g Gap) []byte
	// Subscribed tells whether a channel was continued from where the client
	// asked. It returns nothing where the protocol and format have no words for it;
	// such clients are ended where it was not.
	Subscribed(s Subscribed) []byte
	// Ping keeps the connection alive through whatever is in between.
	Ping() []byte
	// End says good-bye. It may be empty.
	End(reason End) []byte
}

// A Gap is a place in a channel where messages may be missing.
type Gap struct {
	Channel string
	Reason  broker.GapReason // as in broker.GapError, SlowClient or one of the following

	// From and To are the messages between which something is missing, zero
	// where that is not known.
	From, To broker.Position
}

// A Subscribed is the answer to a Start with Since.
type Subscribed struct {
	Channel   string
	Recovered bool // everything after the Start's position follows

	// Position is the place behind which everything follows: the Start's After,
	// or, where the channel is not continued from there, where it ended when Join
	// returned, or before; Outset in a channel without messages. So a client that
	// remembers it and is cut off before anything else has come misses nothing. It is
	// zero where there is no history.
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

// An End is a reason of the server's to end a connection.
type End int

const (
	// EndShutdown: the server stops. The client may reconnect.
	EndShutdown End = iota
	// EndGap: messages may be missing, and the format cannot tell. The client
	// should reconnect; it has missed what came since its last message.
	EndGap
	// EndSlow: the client did not read fast enough. It may reconnect.
	EndSlow
	// EndIdle: the client has not answered pings. It may reconnect.
	EndIdle
	// EndUnrecovered: the client cannot be continued from where it asked, and
	// the format cannot tell. It should reconnect without asking for that.
	EndUnrecovered
	// EndDenied: the broker does not allow the client's channel any more, or one
	// of them, which the format cannot tell. It should not reconnect.
	EndDenied
)

var registry = struct {
	sync.RWMutex
	makers map[string]func(Env) Transport
}{makers: map[string]func(Env) Transport{}}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Register makes a protocol known. The name is its route: letters a to z and A to Z
// only, and none that the server has for itself, such as history, which server.New
// refuses. It panics where the name is anything else or taken: a mistake in the
// program's imports.
func Register(name string, make func(Env) Transport) {
	registry.Lock()
	defer registry.Unlock()
	if name == "" || make == nil {
		panic("transport: Register without a name or a function")
	}
	if strings.Trim(name, letters) != "" {
		panic("transport: Register of a name that is not of letters only: " + strconv.Quote(name))
	}
	if _, taken := registry.makers[name]; taken {
		panic("transport: Register called twice for " + name)
	}
	registry.makers[name] = make
}

// Names returns the registered protocols in alphabetical order.
func Names() []string {
	registry.RLock()
	defer registry.RUnlock()
	return slices.Sorted(maps.Keys(registry.makers))
}

// New makes a Transport of each registered protocol, by name.
func New(env Env) map[string]Transport {
	registry.RLock()
	defer registry.RUnlock()
	made := make(map[string]Transport, len(registry.makers))
	for name, make := range registry.makers {
		made[name] = make(env)
	}
	return made
}

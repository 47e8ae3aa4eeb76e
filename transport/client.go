package transport

import (
	"context"
	"fmt"

	"github.com/pregon/pregon/broker"
)

// Errors of a Client.
var (
	// ErrNoPresence means that it is not known who is in a channel: its rule says so. It
	// matches broker.ErrDenied.
	ErrNoPresence = fmt.Errorf("transport: the channel has no presence: %w", broker.ErrDenied)
	// ErrMember means that a client may not say who it is, as the server takes tokens, or, where
	// it is a *MemberError, says it in a way that no token could. It matches broker.ErrDenied.
	ErrMember = fmt.Errorf("transport: not a member: %w", broker.ErrDenied)
	// ErrOtherSubject means that a credential is another subject's. It matches
	// broker.ErrDenied.
	ErrOtherSubject = fmt.Errorf("transport: a credential of another subject: %w", broker.ErrDenied)
)

// A MemberError says what is wrong with a member's name or info. It matches [ErrMember].
type MemberError struct {
	// Detail is a sentence for the client: the limit that was broken, and nothing of the member.
	Detail string
}

func (e *MemberError) Error() string { return ErrMember.Error() + ": " + e.Detail }

// Unwrap returns ErrMember.
func (e *MemberError) Unwrap() error { return ErrMember }

// A Client is what one caller may do. The server makes it for each request, and it is
// all that leads from a Transport to the channels: no Transport has a broker in reach,
// or the hub, so none can let anybody in where the server would not.
//
// Channels are named as clients name them: each method refuses a name for which
// [broker.CheckChannel] has an error, and the refusal matches that *broker.ChannelError.
// Without a history, History and Newest return errors that match
// [errors.ErrUnsupported].
//
// All methods may be called concurrently, and as long as the Transport lives.
type Client interface {
	// Identity returns who the caller is.
	Identity() Identity

	// Join begins a Session without channels, or returns an error where the server
	// stops. The caller ends it with Leave.
	Join(ctx context.Context, s Subscriber) (Session, error)

	// Publish publishes ms in their order and returns one Result for each, in that
	// order. That one message is refused fails no other. What an error means for its
	// message is what [broker.OutcomeOf] says; a refused name is ErrDenied, too. By is the
	// server's to set: it names the caller's subject, whatever is there. The
	// context bounds the whole call. Publish does not keep the slice, but the messages'
	// Data.
	Publish(ctx context.Context, ms ...broker.Message) []broker.Result

	// History returns messages of a channel, as [broker.Historian].History does. What
	// other programs published there without a place in the history is not among them:
	// see Mark.
	History(ctx context.Context, channel string, q broker.Query) (broker.Page, error)

	// Newest returns the position of the newest message of a channel, zero where there
	// is none, and keeps the channel's epoch as [broker.Historian].Keep does.
	Newest(ctx context.Context, channel string) (broker.Position, error)

	// Mark returns the position behind which another program has last published a message
	// that is in no history, or may have: a reader that begins there or before cannot be
	// told that it has everything, whatever a Page says. It is zero where there was none,
	// and is to be asked for after the Page was read.
	Mark(ctx context.Context, channel string) (broker.Position, error)

	// Watch is for a caller that waits for something new to read. It returns once the
	// broker has confirmed the channel, or an error as Join does. From then on
	// news gets a token after messages or gaps have come, and keeps one until it is
	// taken. So a caller that watches before its first look, and takes the token
	// before each further one, misses nothing between a look and the next wait. The
	// caller calls stop, once.
	Watch(ctx context.Context, channel string) (news <-chan struct{}, stop func(), err error)

	// Members returns who is in a channel. It needs the right to subscribe. Where the channel's
	// rule has no presence the error matches ErrNoPresence.
	Members(ctx context.Context, channel string, q MembersQuery) (Members, error)

	// Session names the connection of the caller, and from the first call on all that is
	// published by this Client says so: see [broker.Author]. The name is random and the same
	// at each call.
	Session() string

	// Renew puts another credential, a token of the same subject, in the place of the one that
	// there is, which counts until Renew returns, and returns who the caller is now. Sessions
	// are told by [Session].Renewed. Where the token is another subject's the error is
	// ErrOtherSubject, and one that is not valid is refused as over HTTP: then nothing has
	// changed.
	Renew(ctx context.Context, credential string) (Identity, error)

	// Clear forgets what is kept of a channel, as [broker.Clearer].Clear does: those who
	// listen are told a gap, and no position from before can be continued from. Where the
	// broker cannot, the error matches [errors.ErrUnsupported].
	Clear(ctx context.Context, channel string) error
}

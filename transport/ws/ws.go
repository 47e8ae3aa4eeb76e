package ws

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/internal/websocket"
)

func init() {
	transport.Register("ws", func(env transport.Deps) (transport.Transport, error) { return New(env), nil })
}

// messageTime is how long a client may take for one frame or message: it has nothing to say.
const messageTime = 10 * time.Second

// A Transport serves WebSocket clients.
type Transport struct {
	env      transport.Deps
	readers  sync.WaitGroup
	noHijack sync.Once // logs that connections cannot be taken over
}

// New returns a Transport.
func New(env transport.Deps) *Transport { return &Transport{env: env} }

// DefaultFormat implements transport.Transport.
func (t *Transport) DefaultFormat() string { return "text" }

// Wait implements transport.Transport.
func (t *Transport) Wait() { t.readers.Wait() }

// Serve implements transport.Transport. The 101 is sent once the broker has
// confirmed all channels.
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	if p := websocket.CheckHandshake(r); p != nil {
		return p
	}
	if p := transport.CheckHijack(w); p != nil {
		t.noHijack.Do(func() { t.env.Logger.Error("ws: no client can be served", "error", p) })
		return p
	}
	options := websocket.Options{Longest: t.env.MaxInbound, Time: messageTime, Deflate: t.env.Compress && websocket.OffersDeflate(r.Header)}
	e := websocket.EncodingOf(wanted.Format, options.Deflate)
	for i := range wanted.Subscriptions {
		if wanted.Subscriptions[i].Since {
			wanted.Subscriptions[i].Answer = e.Subscribed
		}
	}
	s := t.env.Sockets.New()
	ctx, cancel := context.WithTimeout(r.Context(), transport.JoinTimeout)
	defer cancel()
	subscriber := transport.Subscriber{Socket: s, Encoding: e, Control: e, AnswersPings: true}
	session, err := transport.Open(ctx, wanted.Client, subscriber, wanted.Subscriptions)
	if err != nil {
		return err
	}
	t.readers.Add(1) // before net/http lets go of the connection and of us
	conn, err := websocket.Upgrade(w, r, s, options)
	if err != nil {
		defer t.readers.Done()
		session.Leave()
		_ = s.Close() // the handshake's error is the news
		if errors.Is(err, websocket.ErrGone) {
			return nil
		}
		return err
	}
	s.Uncork()
	go t.read(conn, session)
	return nil
}

// read reads what a client sends, to throw it away. The session ends after its
// connection, so that the hub counts, and waits for, all connections that there are.
func (t *Transport) read(c *websocket.Conn, session transport.Session) {
	defer t.readers.Done()
	defer session.Leave()
	c.Serve(session.Touch, discard)
}

// discard is what becomes of messages from clients, which have nothing to say.
func discard(c *websocket.Conn, m websocket.Message) error {
	if err := c.Count(); err != nil {
		return err
	}
	return m.Discard()
}

package ws

import (
	"context"
	"net/http"
	"sync"

	"github.com/pregon/pregon/transport"
)

func init() {
	transport.Register("ws", func(env transport.Deps) (transport.Transport, error) { return New(env), nil })
}

// A Transport serves WebSocket clients.
type Transport struct {
	env      transport.Deps
	plain    map[string]*encoding // by the Format's name
	deflated map[string]*encoding
	readers  sync.WaitGroup
	noHijack sync.Once // logs that connections cannot be taken over
}

// New returns a Transport.
func New(env transport.Deps) *Transport {
	t := &Transport{env: env, plain: map[string]*encoding{}, deflated: map[string]*encoding{}}
	for _, f := range transport.Formats() {
		t.plain[f.Name()] = &encoding{format: f}
		t.deflated[f.Name()] = &encoding{format: f, deflate: true}
	}
	return t
}

// DefaultFormat implements transport.Transport.
func (t *Transport) DefaultFormat() string { return "text" }

// Wait implements transport.Transport.
func (t *Transport) Wait() { t.readers.Wait() }

// Serve implements transport.Transport. The 101 is sent once the broker has
// confirmed all channels.
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	if p := checkHandshake(r); p != nil {
		return p
	}
	if p := transport.CheckHijack(w); p != nil {
		t.noHijack.Do(func() { t.env.Logger.Error("ws: no client can be served", "error", p) })
		return p
	}
	encodings, upgrader := t.plain, plainUpgrader
	deflate := t.env.Compress && offersDeflate(r.Header)
	if deflate {
		encodings, upgrader = t.deflated, deflatingUpgrader
	}
	s := t.env.Sockets.New()
	ctx, cancel := context.WithTimeout(r.Context(), transport.JoinTimeout)
	defer cancel()
	e := encodings[wanted.Format.Name()]
	for i := range wanted.Subscriptions {
		if wanted.Subscriptions[i].Since {
			wanted.Subscriptions[i].Answer = e.subscribed
		}
	}
	subscriber := transport.Subscriber{Socket: s, Encoding: e, Control: e, AnswersPings: true}
	session, err := transport.Open(ctx, wanted.Client, subscriber, wanted.Subscriptions)
	if err != nil {
		return err
	}
	t.readers.Add(1) // before net/http lets go of the connection and of us
	h := &hijacker{ResponseWriter: w, wire: newWire(s, t.env.MaxInbound, deflate)}
	conn, err := upgrader.Upgrade(h, r, answerHeader(w.Header()))
	if err != nil {
		defer t.readers.Done()
		session.Leave()
		_ = s.Close() // the handshake's error is the news
		if h.hijacked {
			return nil // nobody is left to answer
		}
		return err
	}
	s.Uncork()
	go t.read(newReader(conn, h, session, t.env.MaxInbound))
	return nil
}

func (t *Transport) read(r *reader) {
	defer t.readers.Done()
	r.run()
}

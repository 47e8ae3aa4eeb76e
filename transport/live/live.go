package live

import (
	_ "embed"
	"errors"
	"net/http"
	"sync"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/internal/websocket"
	"github.com/pregon/pregon/transport/socket"
)

func init() {
	transport.Register("live", func(env transport.Deps) (transport.Transport, error) { return New(env), nil })
}

// A Transport serves clients that converse.
type Transport struct {
	env      transport.Deps
	parser   parser
	budget   budget
	format   transport.Format
	readers  sync.WaitGroup
	refusals chan struct{} // holds a token for each client that is being refused
	noHijack sync.Once     // logs that connections cannot be taken over
}

var (
	_ transport.Conversation = (*Transport)(nil)
	_ transport.Describer    = (*Transport)(nil)
)

// New returns a Transport.
func New(env transport.Deps) *Transport {
	format, _ := transport.FormatByName("json")
	return &Transport{env: env, format: format, refusals: make(chan struct{}, maxRefusals),
		parser: parser{maxMessage: env.MaxMessage, keepsHistory: env.KeepsHistory}}
}

// DefaultFormat implements transport.Transport.
func (t *Transport) DefaultFormat() string { return t.format.Name() }

//go:embed asyncapi.json
var asyncAPI []byte

// AsyncAPI implements transport.Describer.
func (t *Transport) AsyncAPI() []byte { return asyncAPI }

// Wait implements transport.Transport.
func (t *Transport) Wait() { t.readers.Wait() }

// check returns what to answer r where it is no handshake, or cannot be served.
func (t *Transport) check(w http.ResponseWriter, r *http.Request) *transport.Problem {
	if p := websocket.CheckHandshake(r); p != nil {
		return p
	}
	p := transport.CheckHijack(w)
	if p != nil {
		t.noHijack.Do(func() { t.env.Logger.Error("live: no client can be served", "error", p) })
	}
	return p
}

// Serve implements transport.Transport. The 101 does not wait for the broker.
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	if p := t.check(w, r); p != nil {
		return p
	}
	s := t.env.Sockets.New()
	// It is corked and takes anything: so welcome is ahead of all else.
	_, _ = s.Send(new(socket.Writer), socket.Batch{Frames: t.welcome(wanted.Client).frame()})
	options := t.options(r)
	session, err := wanted.Client.Join(r.Context(), transport.Subscriber{Socket: s,
		Encoding: websocket.EncodingOf(t.format, options.Deflate), Control: control{}, AnswersPings: true})
	if err != nil {
		return err
	}
	t.readers.Add(1) // before net/http lets go of the connection and of us
	ws, err := websocket.Upgrade(w, r, s, options)
	if err != nil {
		defer t.readers.Done()
		session.Leave()
		return abandon(s, err)
	}
	c := &conn{Transport: t, client: wanted.Client, session: session, socket: s, ws: ws,
		errors: websocket.NewAllowance(errorsPerSecond, errorsBurst)}
	s.Uncork()
	for i := range wanted.Subscriptions {
		sub := wanted.Subscriptions[i]
		c.enqueue(&command{kind: subscribe, channel: sub.Channel, subscription: &sub})
	}
	go c.run()
	return nil
}

// options returns how to read the connection of r.
func (t *Transport) options(r *http.Request) websocket.Options {
	return websocket.Options{Longest: 2*t.env.MaxMessage + frameBytes, Time: messageTime,
		Deflate: t.env.Compress && websocket.OffersDeflate(r.Header)}
}

// abandon closes s, whose handshake has failed, and returns what to answer.
func abandon(s *socket.Socket, err error) error {
	_ = s.Close() // the handshake's error is the news
	if errors.Is(err, websocket.ErrGone) {
		return nil
	}
	return err
}

// maxRefusals is how many clients are being refused at a time: they are not counted among those that
// listen, and each keeps its connection until it has seen why, or for the time that a Socket lingers.
const maxRefusals = 64

// Refuse implements transport.Conversation. Where very many are refused at a time it leaves the answer
// to the server.
func (t *Transport) Refuse(w http.ResponseWriter, r *http.Request, p *transport.Problem) error {
	if t.check(w, r) != nil {
		return p
	}
	select {
	case t.refusals <- struct{}{}:
	default:
		return p
	}
	s := t.env.Sockets.New()
	_, _ = s.Send(new(socket.Writer), socket.Batch{Frames: failed(nil, "", p).frame()}) // as in Serve
	t.readers.Add(1)
	ws, err := websocket.Upgrade(w, r, s, websocket.Options{Longest: frameBytes, Time: messageTime})
	if err != nil {
		defer t.refused()
		return abandon(s, err)
	}
	s.Uncork()
	s.CloseAfterFlush(websocket.CloseFrame(refusalCode(p), p.Code))
	go func() {
		defer t.refused()
		ws.Serve(func() {}, discard)
	}()
	return nil
}

func (t *Transport) refused() {
	<-t.refusals
	t.readers.Done()
}

// refusalCode is the close code for a client that is not let in.
func refusalCode(p *transport.Problem) int {
	if p.Status == http.StatusUnauthorized {
		return websocket.Expired
	}
	return websocket.Forbidden
}

// discard is what becomes of messages from clients that are refused, or sent away.
func discard(ws *websocket.Conn, m websocket.Message) error {
	if err := ws.Count(); err != nil {
		return err
	}
	return m.Discard()
}

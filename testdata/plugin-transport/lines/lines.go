// Package lines serves channels as lines of JSON, for programs that read the answer to
// a request line by line:
//
//	GET /lines/chat
//
//	{"type":"message","channel":"chat","data":"hola"}
//	{"type":"gap","channel":"chat","reason":"link-lost"}
//	                                                       an empty line is a ping
//	{"type":"close","code":"slow"}                         the last line
//
// The first three are those of format=json; there is no other format.
package lines

import (
	"context"
	"net/http"
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

func init() { transport.Register("lines", New) }

// A Transport serves clients that read lines.
type Transport struct {
	env     transport.Deps
	lines   *lines
	clients sync.WaitGroup
}

// New returns a Transport.
func New(env transport.Deps) (transport.Transport, error) {
	format, _ := transport.FormatByName("json")
	return &Transport{env: env, lines: &lines{format}}, nil
}

// DefaultFormat implements transport.Transport.
func (t *Transport) DefaultFormat() string { return t.lines.format.Name() }

// Wait implements transport.Transport.
func (t *Transport) Wait() { t.clients.Wait() }

// Serve implements transport.Transport. It writes to w, and returns when the client has
// gone.
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	if wanted.Format != t.lines.format {
		return &transport.Problem{Status: http.StatusBadRequest, Code: "bad_format", Detail: "Lines are in the format json."}
	}
	if p := transport.CheckFlush(w); p != nil {
		return p
	}
	s := t.env.Sockets.New()
	session, err := t.open(r.Context(), transport.Subscriber{Socket: s, Encoding: t.lines, Control: t.lines}, wanted)
	if err != nil {
		return err
	}
	t.clients.Add(1)
	defer t.clients.Done()
	defer session.Leave()
	c := transport.NewStream(w, r)
	defer c.Release()
	defer s.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	s.Attach(c)
	if _, err := s.Write(t.lines.Ping()); err == nil { // the answer begins, as the channels are subscribed
		s.Uncork()
		_, _ = s.Read(nil) // an error is what it waits for
	}
	return nil
}

// open subscribes what the client wants. One that continues is told whether that was
// possible.
func (t *Transport) open(ctx context.Context, s transport.Subscriber, wanted transport.SubscribeRequest) (transport.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, transport.JoinTimeout)
	defer cancel()
	for i := range wanted.Subscriptions {
		if wanted.Subscriptions[i].Since {
			wanted.Subscriptions[i].Answer = t.lines.subscribed
		}
	}
	return transport.Open(ctx, wanted.Client, s, wanted.Subscriptions)
}

// lines is the Encoding of all clients, and their Control.
type lines struct{ format transport.Format }

// Message implements transport.Encoding.
func (l *lines) Message(m broker.Message) []byte {
	payload, _ := l.format.AppendMessage(nil, m)
	return append(payload, '\n')
}

// Gap implements transport.Encoding.
func (l *lines) Gap(g transport.Gap) []byte {
	payload, _ := l.format.AppendGap(nil, g)
	return append(payload, '\n')
}

func (l *lines) subscribed(s transport.Subscribed) (frame []byte, ok bool) {
	payload, ok := l.format.AppendSubscribed(nil, s)
	return append(payload, '\n'), ok
}

// Ping implements transport.Control.
func (l *lines) Ping() []byte { return []byte{'\n'} }

// codes are what the last line says.
var codes = map[transport.CloseReason]string{
	transport.CloseShutdown: "shutdown", transport.CloseSlow: "slow", transport.CloseDenied: "denied",
	transport.CloseExpired: "expired", transport.CloseForbidden: "forbidden", transport.CloseLimit: "limit",
}

// Close implements transport.Control. The other reasons are for clients that cannot be told
// of gaps, or that answer pings.
func (l *lines) Close(reason transport.CloseReason) []byte {
	code, ok := codes[reason]
	if !ok {
		return nil
	}
	return []byte(`{"type":"close","code":"` + code + "\"}\n")
}

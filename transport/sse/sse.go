package sse

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

func init() {
	transport.Register("sse", func(env transport.Deps) (transport.Transport, error) { return New(env), nil })
}

// A Transport serves clients that read an event stream.
type Transport struct {
	env      transport.Deps
	chunked  map[string]*encoding // by the Format's name
	plain    map[string]*encoding // for HTTP/1.0, which has no chunks
	readers  sync.WaitGroup
	noHijack sync.Once // logs that connections cannot be taken over
}

// New returns a Transport.
func New(env transport.Deps) *Transport {
	t := &Transport{env: env, chunked: map[string]*encoding{}, plain: map[string]*encoding{}}
	events, _ := transport.FormatByName("json")
	for _, f := range transport.Formats() {
		t.chunked[f.Name()] = newEncoding(f, events, true)
		t.plain[f.Name()] = newEncoding(f, events, false)
	}
	return t
}

// encodingOf returns the encoding of f for the client that made r. What writes to a
// ResponseWriter leaves it to net/http to make chunks.
func (t *Transport) encodingOf(r *http.Request, f transport.Format, takenOver bool) *encoding {
	if takenOver && r.ProtoAtLeast(1, 1) {
		return t.chunked[f.Name()]
	}
	return t.plain[f.Name()]
}

// canTakeOver reports whether the connection of r can be taken over from net/http, whose
// buffers would stay with it for life.
func canTakeOver(w http.ResponseWriter, r *http.Request) bool {
	return r.ProtoMajor == 1 && transport.CheckHijack(w) == nil
}

// DefaultFormat implements transport.Transport.
func (t *Transport) DefaultFormat() string { return "raw" }

// Wait implements transport.Transport.
func (t *Transport) Wait() { t.readers.Wait() }

// idParameters are the names under which clients that cannot set a header put the id
// into the query: the first is the default of the EventSource polyfills, the second
// is usual elsewhere.
var idParameters = []string{"lastEventId", "lastEventID"}

// Parameters implements transport.Resumer.
func (t *Transport) Parameters() []string { return idParameters }

// LastID implements transport.Resumer. EventSource sends the id of the last event
// that had one as a header; where it does, the query is from the page's first
// address, and older.
func (t *Transport) LastID(r *http.Request) (string, bool) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id, true
	}
	query := r.URL.Query()
	for _, name := range idParameters {
		if id := query.Get(name); id != "" {
			return id, true
		}
	}
	return "", false
}

var _ transport.Resumer = (*Transport)(nil)

// Serve implements transport.Transport. The headers are sent once the broker has
// confirmed all channels. Where the connection can be taken over from net/http it is;
// otherwise Serve writes to w and returns when the client has gone.
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	return t.serve(w, r, wanted, (*encoding).answerSome)
}

var _ transport.Poster = (*Transport)(nil)

// ServePost implements transport.Poster.
func (t *Transport) ServePost(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	return t.serve(w, r, wanted, (*encoding).answerEach)
}

func (t *Transport) serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest, answer func(*encoding, []transport.Subscription)) error {
	takenOver := canTakeOver(w, r)
	if !takenOver && transport.CheckFlush(w) != nil {
		p := transport.CheckHijack(w)
		t.noHijack.Do(func() { t.env.Logger.Error("sse: no client can be served", "error", p) })
		return p
	}
	s := t.env.Sockets.New()
	e := t.encodingOf(r, wanted.Format, takenOver)
	answer(e, wanted.Subscriptions)
	session, err := open(r.Context(), s, e, wanted)
	if err != nil {
		return err
	}
	t.readers.Add(1) // before net/http lets go of the connection and of us
	if takenOver {
		return t.detach(w, s, e, session)
	}
	defer t.readers.Done()
	t.stream(w, r, s, session)
	return nil
}

// detach takes the connection of a client over, and serves it until it has gone.
func (t *Transport) detach(w http.ResponseWriter, s *socket.Socket, e *encoding, session transport.Session) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.readers.Done()
		session.Leave()
		_ = s.Close() // nothing was attached
		return fmt.Errorf("sse: take over the connection: %w", err)
	}
	s.Attach(conn)
	if _, err := s.Write(e.response(w.Header(), retryAfter(minRetry))); err == nil {
		s.Uncork()
	} // else the client has gone, as its reader will find
	go func() {
		defer t.readers.Done()
		t.read(s, session)
	}()
	return nil
}

// open subscribes what the client wants.
func open(ctx context.Context, s *socket.Socket, e *encoding, wanted transport.SubscribeRequest) (transport.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, transport.JoinTimeout)
	defer cancel()
	return transport.Open(ctx, wanted.Client, transport.Subscriber{Socket: s, Encoding: e, Control: e}, wanted.Subscriptions)
}

// stream serves a client over its ResponseWriter until it has gone.
func (t *Transport) stream(w http.ResponseWriter, r *http.Request, s *socket.Socket, session transport.Session) {
	c := transport.NewStream(w, r)
	defer session.Leave()
	defer c.Release()
	defer s.Close()
	setHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	s.Attach(c)
	if _, err := s.Write(retryAfter(minRetry)); err != nil {
		return
	}
	s.Uncork()
	_, _ = s.Read(nil) // an error is what it waits for
}

// read waits for the client to go. It has nothing to say; one that says more
// than MaxInbound bytes is cut off. The session ends after its connection, so that
// the hub counts, and waits for, all connections that there are.
func (t *Transport) read(s *socket.Socket, session transport.Session) {
	defer session.Leave()
	defer s.Close()
	limit := t.env.MaxInbound
	var buf [64]byte // small, as there is one for every connection
	for limit > 0 {
		if s.AwaitInput() != nil { // on a small stack, with TLS
			return
		}
		n, err := s.Read(buf[:])
		if err != nil {
			return
		}
		limit -= int64(n)
	}
}

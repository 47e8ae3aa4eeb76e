package sse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// Clients come back after a random time in this range, so that those of a server
// that has stopped do not all come back at once.
const (
	minRetry = 500 * time.Millisecond
	maxRetry = 3 * time.Second
)

func init() {
	transport.Register("sse", func(env transport.Env) transport.Transport { return New(env) })
}

// A Transport serves clients that read an event stream.
type Transport struct {
	env       transport.Env
	encodings map[string]*encoding // by the Format's name
	readers   sync.WaitGroup
}

// New returns a Transport.
func New(env transport.Env) *Transport {
	t := &Transport{env: env, encodings: map[string]*encoding{}}
	events, _ := transport.FormatByName("json")
	for _, f := range transport.Formats() {
		t.encodings[f.Name()] = &encoding{format: f, events: events}
	}
	return t
}

// DefaultFormat implements transport.Transport.
func (t *Transport) DefaultFormat() string { return "raw" }

// Wait implements transport.Transport.
func (t *Transport) Wait() { t.readers.Wait() }

// LastID implements transport.Resumer. EventSource sends the id of the last event
// that had one.
func (t *Transport) LastID(r *http.Request) (string, bool) {
	id := r.Header.Get("Last-Event-ID")
	return id, id != ""
}

var _ transport.Resumer = (*Transport)(nil)

// Serve implements transport.Transport. The headers are sent once the broker has
// confirmed all channels. The connection is taken over from net/http, whose
// buffers would stay with it for life; so HTTP/2 cannot be served.
func (t *Transport) Serve(w http.ResponseWriter, r *http.Request, wanted transport.Wanted) error {
	if r.ProtoMajor != 1 {
		return &transport.Problem{Status: http.StatusHTTPVersionNotSupported, Code: "bad_protocol",
			Detail: "Event streams are served over HTTP/1.1."}
	}
	s := t.env.Sockets.New()
	ctx, cancel := context.WithTimeout(r.Context(), transport.JoinTimeout)
	defer cancel()
	session, err := t.env.Hub.Join(ctx, transport.Subscriber{
		Socket: s, Encoding: t.encodings[wanted.Format.Name()], Channels: wanted.Channels, Starts: wanted.Starts,
	})
	if err != nil {
		return err
	}
	t.readers.Add(1) // before net/http lets go of the connection and of us
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.readers.Done()
		session.Leave()
		_ = s.Close() // nothing was attached
		return fmt.Errorf("sse: take over the connection: %w", err)
	}
	s.Attach(conn)
	if _, err := s.Write(head(w.Header(), transport.Cursor(wanted.Channels[0], session.Began()))); err == nil {
		s.Open()
	} // else the client has gone, as its reader will find
	go t.read(s, session)
	return nil
}

// head is the response up to the first event, with the headers that were set
// before. It sets the client's last id, which may be empty.
func head(set http.Header, id string) []byte {
	h := set.Clone()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // or nginx would collect events before sending
	h.Set("Connection", "close")
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // a Builder takes everything
	retry := minRetry + rand.N(maxRetry-minRetry)
	fmt.Fprintf(&b, "\r\nretry: %d\n", retry.Milliseconds())
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	b.WriteByte('\n')
	return []byte(b.String())
}

// read waits for the client to go. It has nothing to say; one that says more
// than MaxInbound bytes is cut off.
func (t *Transport) read(s *socket.Socket, session transport.Session) {
	defer t.readers.Done()
	defer s.Close()
	defer session.Leave()
	limit := t.env.MaxInbound
	var buf [64]byte // small, as there is one for every connection
	for limit > 0 {
		n, err := s.Read(buf[:])
		if err != nil {
			return
		}
		limit -= int64(n)
	}
}

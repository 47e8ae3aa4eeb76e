package ws_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
	"github.com/pregon/pregon/transport/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A capture is a client that keeps what joins, and what it subscribes.
type capture struct {
	transport.Client
	joined     chan transport.Subscriber
	subscribed chan []transport.Subscription
}

func newCapture() capture {
	return capture{joined: make(chan transport.Subscriber, 1), subscribed: make(chan []transport.Subscription, 1)}
}

func (c capture) Join(_ context.Context, s transport.Subscriber) (transport.Session, error) {
	c.joined <- s
	return stay{c.subscribed, s.Socket}, nil
}

// A stay confirms everything, and answers for the first channel that it begins at began.
type stay struct {
	subscribed chan []transport.Subscription
	socket     *socket.Socket
}

func (s stay) Subscribe(_ context.Context, subs ...transport.Subscription) []error {
	s.subscribed <- subs
	if answer := subs[0].Answer; answer != nil {
		told, _ := answer(transport.Subscribed{Channel: subs[0].Channel, Position: began})
		_, _ = s.socket.Send(new(socket.Writer), socket.Batch{Frames: told})
	}
	return make([]error, len(subs))
}
func (stay) Unsubscribe(string, func() []byte) {}
func (stay) Say([]byte)                        {}
func (stay) Renewed([]byte)                    {}
func (stay) Touch()                            {}
func (stay) Leave()                            {}

var began = broker.Position{Epoch: 7, Seq: 3}

// A site serves one transport.
type site struct {
	addr       string
	joined     chan transport.Subscriber
	subscribed chan []transport.Subscription
}

// serve serves a format at every path, with compression for those who offer it.
func serve(t *testing.T, format string, start transport.Start) site {
	t.Helper()
	client := newCapture()
	sockets := socket.NewGroup(socket.Limits{Bytes: 1 << 30, Messages: 1 << 20, WriteTimeout: time.Minute, Linger: time.Minute})
	tr := ws.New(transport.Deps{Sockets: sockets, MaxInbound: 1 << 10, Compress: true})
	f, ok := transport.FormatByName(format)
	if !ok {
		t.Fatal("no format", format)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wanted := transport.SubscribeRequest{Subscriptions: []transport.Subscription{{Channel: "c", Start: start}}, Format: f, Client: client}
		if err := tr.Serve(w, r, wanted); err != nil {
			t.Error(err)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(l) }()
	t.Cleanup(func() {
		_ = web.Close()
		<-done
		tr.Wait()
		sockets.Wait()
	})
	return site{l.Addr().String(), client.joined, client.subscribed}
}

// connect returns a client, which offers compression or does not, and the
// subscriber that it became.
func connect(t *testing.T, format string, compress bool) (*websocket.Conn, transport.Subscriber) {
	t.Helper()
	s := serve(t, format, transport.Start{})
	d := websocket.Dialer{EnableCompression: compress}
	c, _, err := d.Dial("ws://"+s.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, <-s.joined
}

// Where a client wants to begin reaches the hub.
func TestStartsReachTheHub(t *testing.T) {
	start := transport.Start{Since: true, After: broker.Position{Epoch: 7, Seq: 3}}
	s := serve(t, "raw", start)
	c, _, err := websocket.DefaultDialer.Dial("ws://"+s.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if subscribed := <-s.subscribed; subscribed[0].Start != start {
		t.Error(subscribed)
	}
}

// Every message, of any length and kind, is one frame that another
// implementation reads back as it was.
func TestMessagesSurvive(t *testing.T) {
	for _, format := range []string{"raw", "text"} {
		c, s := connect(t, format, false)
		var w socket.Writer
		rapid.Check(t, func(t *rapid.T) {
			size := rapid.OneOf(rapid.SampledFrom([]int{0, 1, 125, 126, 127, 65535, 65536, 70000}), rapid.IntRange(0, 1000)).Draw(t, "size")
			m := broker.Message{Channel: "c", Data: bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, size)}.Normalized()
			if _, err := s.Socket.Send(&w, socket.Batch{Frames: s.Encoding.Message(m), Messages: 1}); err != nil {
				t.Fatal(err)
			}
			kind, p, err := c.ReadMessage()
			want := string(m.Data)
			if format == "text" {
				want = "[c] " + want
			}
			if err != nil || (kind == websocket.BinaryMessage) != m.Binary || string(p) != want {
				t.Fatalf("kind %d, %d bytes, %v", kind, len(p), err)
			}
		})
	}
}

// Gaps are told in json only; pings and the close codes are what the package
// documentation says.
func TestEvents(t *testing.T) {
	c, s := connect(t, "json", false)
	var w socket.Writer
	if _, err := s.Socket.Send(&w, socket.Batch{Frames: s.Encoding.Gap(transport.Gap{Channel: "c", Reason: "x"}), Messages: 1}); err != nil {
		t.Fatal(err)
	}
	if _, p, err := c.ReadMessage(); string(p) != `{"type":"gap","channel":"c","reason":"x"}` {
		t.Errorf("%s %v", p, err)
	}
	pinged := make(chan struct{})
	c.SetPingHandler(func(string) error { close(pinged); return nil })
	if err := s.Socket.Control(&w, s.Control.Ping()); err != nil {
		t.Fatal(err)
	}
	s.Socket.CloseAfterFlush(s.Control.Close(transport.CloseShutdown))
	_, _, err := c.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Error(err)
	}
	<-pinged
	for reason, code := range map[transport.CloseReason]string{
		transport.CloseShutdown: "\x03\xe9", transport.CloseGap: "\x0f\xa1", transport.CloseIdle: "\x0f\xa2", transport.CloseSlow: "\x0f\xa8",
		transport.CloseUnrecovered: "\x0f\xa3", transport.CloseDenied: "\x10\x04",
	} {
		if f := s.Control.Close(reason); f[0] != 0x88 || !strings.HasPrefix(string(f[2:]), code) || int(f[1]) != len(f)-2 {
			t.Errorf("end %d: %x", reason, f)
		}
	}
	_, text := connect(t, "text", false)
	if text.Encoding.Gap(transport.Gap{Channel: "c"}) != nil {
		t.Error("text has words for a gap")
	}
}

// One allocation a message, however many will read it.
func TestMessageAllocatesOnce(t *testing.T) {
	_, s := connect(t, "text", false)
	m := broker.Message{Channel: "noticias", Data: bytes.Repeat([]byte("x"), 128)}
	if n := testing.AllocsPerRun(100, func() { s.Encoding.Message(m) }); n != 1 {
		t.Errorf("%v allocations", n)
	}
}

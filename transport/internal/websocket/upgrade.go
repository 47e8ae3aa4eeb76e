package websocket

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/pregon/pregon/transport/socket"
)

// Options are how a client's connection is read.
type Options struct {
	Longest int64         // message in bytes that is read, after decompression; as much is read a second, and four times that at once; what compression saves is eight times as much
	Time    time.Duration // from the first byte of a message, or of a control frame, to its last
	Deflate bool          // the client has offered compression, and gets it: see OffersDeflate
}

// ErrGone means that a connection was taken over and then failed: nobody is left to answer.
var ErrGone = errors.New("websocket: the client has gone")

// A Conn is a client's connection. Its Socket is for others to write to.
type Conn struct {
	conn    *gorilla.Conn
	wire    *wire
	input   *bufio.Reader // conn's
	frames  Allowance
	options Options
	touch   func()
	message func(*Conn, Message) error
}

// Upgrade answers r, a handshake for which CheckHandshake has nothing to say, and gives the
// connection to s, which the caller uncorks. The caller calls Serve. Where it returns an error, ErrGone
// excepted, nothing was answered yet.
func Upgrade(w http.ResponseWriter, r *http.Request, s *socket.Socket, o Options) (*Conn, error) {
	upgrader := plainUpgrader
	if o.Deflate {
		upgrader = deflatingUpgrader
	}
	h := &hijacker{ResponseWriter: w, wire: newWire(s, o)}
	conn, err := upgrader.Upgrade(h, r, answerHeader(w.Header()))
	switch {
	case err != nil && h.hijacked:
		return nil, ErrGone
	case err != nil:
		return nil, err
	}
	c := &Conn{conn: conn, wire: h.wire, input: h.input, frames: NewAllowance(framesPerSecond, framesBurst), options: o}
	conn.SetReadLimit(o.Longest)
	conn.SetPingHandler(c.ping)
	conn.SetPongHandler(c.pong)
	conn.SetCloseHandler(c.closed)
	return c, nil
}

// A hijacker gives gorilla a wire in place of the connection, and a buffer in
// front of it that the reader can look into.
type hijacker struct {
	http.ResponseWriter
	wire     *wire
	input    *bufio.Reader
	hijacked bool
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.hijacked = true
	h.wire.Attach(c)
	if rw.Reader.Buffered() > 0 {
		return h.wire, rw, nil // for gorilla to refuse: nothing may come before the answer
	}
	h.input = bufio.NewReaderSize(h.wire, readBuffer)
	return h.wire, bufio.NewReadWriter(h.input, rw.Writer), nil
}

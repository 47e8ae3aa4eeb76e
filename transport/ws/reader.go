package ws

import (
	"bufio"
	"compress/flate"
	"errors"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// What a client may send. It has nothing to say, so this is generous.
const (
	framesPerSecond = 50
	framesBurst     = 100
	messageTime     = 10 * time.Second // from the first byte of a message, or of a control frame, to its last
	drainBytes      = 16 << 20         // read and dropped after our end
)

func newWire(s *socket.Socket, maxInbound int64, deflate bool) *wire {
	w := &wire{Socket: s, bytes: newAllowance(float64(maxInbound), float64(4*maxInbound))}
	if deflate {
		w.framing = &framing{}
	}
	return w
}

// A reader reads what a client sends, to throw it away, for as long as the
// connection lives. Its goroutine owns the connection.
type reader struct {
	conn    *websocket.Conn
	wire    *wire
	input   *bufio.Reader // conn's
	session transport.Session
	frames  allowance
	longest int64 // message in bytes, after decompression
}

func newReader(conn *websocket.Conn, h *hijacker, s transport.Session, maxInbound int64) *reader {
	r := &reader{conn: conn, wire: h.wire, input: h.input, session: s, frames: newAllowance(framesPerSecond, framesBurst), longest: maxInbound}
	conn.SetReadLimit(maxInbound)
	conn.SetPingHandler(r.ping)
	conn.SetPongHandler(r.pong)
	conn.SetCloseHandler(r.closed)
	return r
}

// Errors that end a connection with a close code of ours.
var (
	errTooManyFrames = errors.New("ws: the client sends too many frames")
	errNotUTF8       = errors.New("ws: the client sent text that is not UTF-8")
	errHalfCode      = errors.New("ws: the client sent a close frame with half a code")
	errNotDeflate    = errors.New("ws: the client sent what cannot be decompressed")
	errTooBig        = errors.New("ws: the client sent a message that is too big when decompressed")
)

// run reads until the connection ends, and closes it. The session ends after its
// connection, so that the hub counts, and waits for, all connections that there are.
func (r *reader) run() {
	defer r.session.Leave()
	defer r.wire.Close()
	err := r.readAll()
	switch {
	case errors.Is(err, errHalfCode): // RFC 6455 section 5.5.1
		r.wire.CloseNow(closeFrame(codeProtocol, "half a close code"))
	case errors.Is(err, errReserved): // section 5.2
		r.wire.CloseNow(closeFrame(codeProtocol, "RSV1 set"))
	case errors.Is(err, errNotUTF8):
		r.wire.CloseNow(closeFrame(codeInvalidData, "text is not UTF-8"))
	case errors.Is(err, errNotDeflate):
		r.wire.CloseNow(closeFrame(codeInvalidData, "not well compressed"))
	case errors.Is(err, errTooBig):
		r.wire.CloseNow(closeFrame(codeTooBig, ""))
	case errors.Is(err, errFlood), errors.Is(err, errTooManyFrames):
		r.wire.CloseNow(closeFrame(codePolicy, "sending too much"))
	default: // most often the peer has gone, or an end is under way already
		r.wire.CloseNow(nil)
	}
	// Let the peer read our last frame before the connection goes. Errors are
	// what this waits for.
	_, _ = io.CopyN(io.Discard, r.wire.Conn, drainBytes)
}

// readAll reads until there is an error.
//
// It waits on a small stack. Parsing would grow that for good, for every
// connection there is, so it has a goroutine of its own while there is something
// to parse, which is seldom.
func (r *reader) readAll() error {
	for {
		if err := r.wire.AwaitInput(); err != nil {
			return err
		}
		parsed := make(chan error, 1)
		go func() { parsed <- r.parse() }()
		if err := <-parsed; err != nil {
			return err
		}
	}
}

// parse handles what has come, to the end of a message or of a control frame.
func (r *reader) parse() error {
	for {
		if err := r.parseOne(); err != nil || r.input.Buffered() == 0 {
			return err
		}
	}
}

// parseOne handles one message or control frame, of which the client may take its
// time for the first byte only.
func (r *reader) parseOne() error {
	if _, err := r.input.Peek(1); err != nil {
		return err
	}
	// The errors of deadlines are those of the reads that follow.
	_ = r.wire.SetReadDeadline(time.Now().Add(messageTime))
	done, err := r.readControl()
	if err == nil && !done {
		err = r.readMessage()
	}
	if err == nil {
		_ = r.wire.SetReadDeadline(time.Time{})
	}
	return err
}

// readMessage reads one message and throws it away.
func (r *reader) readMessage() error {
	kind, message, err := r.conn.NextReader()
	if err != nil {
		return err
	}
	if err := r.count(); err != nil {
		return err
	}
	return discard(message, kind == websocket.TextMessage, r.longest)
}

// count notes one more frame.
func (r *reader) count() error {
	r.session.Touch()
	if !r.frames.spend(1, time.Now()) {
		return errTooManyFrames
	}
	return nil
}

func (r *reader) ping(payload string) error {
	if err := r.count(); err != nil {
		return err
	}
	err := r.wire.Control(new(socket.Writer), control(finPong, []byte(payload)))
	if errors.Is(err, socket.ErrClosed) || errors.Is(err, socket.ErrSlow) {
		return nil // we have said good-bye already, or too much waits before the pong
	}
	return err
}

func (r *reader) pong(string) error { return r.count() }

// closed answers a close with the same code (RFC 6455 section 5.5.1).
func (r *reader) closed(code int, _ string) error {
	if code == websocket.CloseNoStatusReceived {
		code = 0
	}
	r.wire.CloseNow(closeFrame(code, ""))
	return nil
}

var buffers = sync.Pool{New: func() any { return new([4096]byte) }}

// discard reads a message to its end and checks what gorilla leaves to us: that
// text is UTF-8, and that a compressed message is not too long either.
func discard(message io.Reader, isText bool, longest int64) error {
	buf := buffers.Get().(*[4096]byte)
	defer buffers.Put(buf)
	kept := 0 // bytes of a character that the last read cut in two
	for {
		n, err := message.Read(buf[kept:])
		if longest -= int64(n); longest < 0 {
			return errTooBig
		}
		if isText {
			var ok bool
			if kept, ok = checkUTF8(buf[:kept+n], err != nil); !ok {
				return errNotUTF8
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		var corrupt flate.CorruptInputError
		if errors.As(err, &corrupt) || err == io.ErrUnexpectedEOF {
			return errNotDeflate
		}
		if err != nil {
			return err
		}
	}
}

// checkUTF8 reports whether p is valid so far. Where p ends within a character,
// and more is to come, it moves that to the front and returns its length.
func checkUTF8(p []byte, last bool) (kept int, ok bool) {
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			i++
			continue
		}
		c, size := utf8.DecodeRune(p[i:])
		if c == utf8.RuneError && size == 1 {
			if last || utf8.FullRune(p[i:]) {
				return 0, false
			}
			return copy(p, p[i:]), true
		}
		i += size
	}
	return 0, true
}

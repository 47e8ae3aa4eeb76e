package websocket

import (
	"errors"
	"io"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/pregon/pregon/transport/socket"
)

// What a client may send, whatever the protocol.
const (
	framesPerSecond = 50
	framesBurst     = 100
	drainBytes      = 16 << 20 // read and dropped after our end
)

// Serve reads what the client sends for as long as the connection lives, closes it, and returns. It
// calls touch for whatever comes, and message for each message, which has to be
// read to its end. An error of message ends the connection; a *CloseError says how.
func (c *Conn) Serve(touch func(), message func(*Conn, Message) error) {
	c.touch, c.message = touch, message
	defer c.wire.Close()
	var close *CloseError
	if err := c.readAll(); errors.As(err, &close) {
		c.Close(close)
	} else {
		c.wire.CloseNow(nil) // most often the peer has gone, or an end is under way already
	}
	// Let the peer read our last frame before the connection goes. Errors are
	// what this waits for.
	_, _ = io.CopyN(io.Discard, c.wire.Conn, drainBytes)
}

// Close ends the connection: Serve returns when the client has seen that, or a short time
// later. What waits to be sent is dropped.
func (c *Conn) Close(e *CloseError) { c.wire.CloseNow(CloseFrame(e.Code, e.Reason)) }

// readAll reads until there is an error.
//
// It waits on a small stack. Parsing would grow that for good, for every
// connection there is, so it has a goroutine of its own while there is something
// to parse, which is seldom.
func (c *Conn) readAll() error {
	for {
		if err := c.wire.AwaitInput(); err != nil {
			return err
		}
		parsed := make(chan error, 1)
		go func() { parsed <- c.parse() }()
		if err := <-parsed; err != nil {
			return err
		}
	}
}

// parse handles what has come, to the end of a message or of a control frame.
func (c *Conn) parse() error {
	for {
		if err := c.parseOne(); err != nil || c.input.Buffered() == 0 {
			return err
		}
	}
}

// parseOne handles one message or control frame, of which the client may take its
// time for the first byte only.
func (c *Conn) parseOne() error {
	if _, err := c.input.Peek(1); err != nil {
		return err
	}
	// The errors of deadlines are those of the reads that follow.
	_ = c.wire.SetReadDeadline(time.Now().Add(c.options.Time))
	done, err := c.readControl()
	if err == nil && !done {
		err = c.readMessage()
	}
	if err == nil {
		_ = c.wire.SetReadDeadline(time.Time{})
	}
	return err
}

// readMessage has one message read.
func (c *Conn) readMessage() error {
	kind, message, err := c.conn.NextReader()
	if err != nil {
		return limited(err)
	}
	c.touch()
	if c.options.Deflate {
		message = &inflating{message, c.wire}
	}
	return c.message(c, Message{message, kind == gorilla.TextMessage, c.options.Longest})
}

// Refund gives back what so many bytes of a message have cost the client of what it may send a
// second. It is for message to call.
func (c *Conn) Refund(n int) { c.wire.bytes.Refund(n + maxMasked) }

// Count notes one more message of those that a client may send a second. It is for message to
// call. The error says that there were too many.
func (c *Conn) Count() error {
	if !c.frames.Spend(1, time.Now()) {
		return errFlood
	}
	return nil
}

// countControl notes one more control frame.
func (c *Conn) countControl() error {
	c.touch()
	return c.Count()
}

func (c *Conn) ping(payload string) error {
	if err := c.countControl(); err != nil {
		return err
	}
	err := c.wire.Control(new(socket.Writer), control(finPong, []byte(payload)))
	if errors.Is(err, socket.ErrClosed) || errors.Is(err, socket.ErrSlow) {
		return nil // we have said good-bye already, or too much waits before the pong
	}
	return err
}

func (c *Conn) pong(string) error { return c.countControl() }

// closed answers a close with the same code (RFC 6455 section 5.5.1).
func (c *Conn) closed(code int, _ string) error {
	if code == gorilla.CloseNoStatusReceived {
		code = 0
	}
	c.wire.CloseNow(CloseFrame(code, ""))
	return nil
}

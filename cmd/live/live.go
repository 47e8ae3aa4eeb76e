// Package live dials GET /live of a server: text frames with JSON in them, in both directions. What
// they say is for the caller to know.
package live

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Bounds of a connection.
const (
	handshakeTime = 10 * time.Second
	writeTime     = 10 * time.Second
	maxFrame      = 64 << 20 // bytes of what a server sends at once
)

// subprotocol is the name of what is spoken.
const subprotocol = "pregon.v1"

// Options say how to come to a server.
type Options struct {
	Credential string      // a key or a token, empty for none
	TLS        *tls.Config // may be nil
}

// A Conn is a connection to /live. One goroutine may read while another writes. The caller closes it.
type Conn struct {
	ws      *websocket.Conn
	silence time.Duration
}

// Dial connects to the URL of a server's /live, which begins with http or https. Where the server, or something
// on the way to it, answers with something else than a WebSocket, that is returned beside the error, with the
// beginning of its body.
func Dial(ctx context.Context, target string, o Options) (*Conn, *http.Response, error) {
	dialer := websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS, HandshakeTimeout: handshakeTime,
		Subprotocols: []string{subprotocol},
	}
	header := http.Header{}
	if o.Credential != "" {
		header.Set("Authorization", "Bearer "+o.Credential)
	}
	ws, resp, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(target, "http"), header)
	if errors.Is(err, websocket.ErrBadHandshake) {
		return nil, resp, err
	} else if err != nil {
		return nil, nil, err
	}
	ws.SetReadLimit(maxFrame)
	return &Conn{ws: ws, silence: handshakeTime}, nil, nil
}

// Expect says after how long a silence Read gives up; 10 s without it.
func (c *Conn) Expect(silence time.Duration) { c.silence = silence }

// A Closed is what the server says when it ends a connection (RFC 6455, section 7.4).
type Closed struct {
	Code   int
	Reason string
}

// Error implements error.
func (c *Closed) Error() string {
	text := fmt.Sprintf("the server has closed the connection with %d", c.Code)
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// Final reports whether a client must not come back.
func (c *Closed) Final() bool {
	switch c.Code {
	case websocket.CloseProtocolError, websocket.CloseUnsupportedData,
		websocket.CloseInvalidFramePayloadData, websocket.ClosePolicyViolation, websocket.CloseMessageTooBig:
		return true
	}
	return c.Code >= 4100 && c.Code < 4200
}

// ErrSilent is returned by Read where nothing has come for so long that the connection is no more.
var ErrSilent = errors.New("nothing has come from the server for too long")

// Read returns the next text frame. It answers pings meanwhile. Its error is a *Closed where the
// server has said why.
func (c *Conn) Read() ([]byte, error) {
	_ = c.ws.SetReadDeadline(time.Now().Add(c.silence)) // fails only where the read does
	kind, frame, err := c.ws.ReadMessage()
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, ErrSilent
	case err != nil:
		return nil, closed(err)
	case kind != websocket.TextMessage:
		return nil, errors.New("the server has sent a binary frame")
	}
	return frame, nil
}

// closed returns what the server has said, or else err.
func closed(err error) error {
	of, ok := errors.AsType[*websocket.CloseError](err)
	switch {
	case !ok:
		return err
	case of.Code == websocket.CloseAbnormalClosure:
		return errors.New("the connection was lost")
	}
	return &Closed{Code: of.Code, Reason: of.Text}
}

// Write sends a value as JSON.
func (c *Conn) Write(v any) error {
	var frame bytes.Buffer
	text := json.NewEncoder(&frame)
	text.SetEscapeHTML(false) // which makes six bytes of one
	if err := text.Encode(v); err != nil {
		return err
	}
	_ = c.ws.SetWriteDeadline(time.Now().Add(writeTime)) // fails only where the write does
	return c.ws.WriteMessage(websocket.TextMessage, bytes.TrimSuffix(frame.Bytes(), []byte("\n")))
}

// Close says goodbye and ends the connection, and with it a Read.
func (c *Conn) Close() error {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second)) // where it is still there
	return c.ws.Close()
}

// Package livetest is a client of /live for tests: it says and hears frames as they are.
package livetest

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Patience bounds how long a Client waits for what must come.
const Patience = 30 * time.Second

// A Client is one connection. Its methods fail the test where the server does not do what they wait
// for; they are for the test's own goroutine.
type Client struct {
	*websocket.Conn
	t testing.TB
}

// Dial connects to an address such as ws://127.0.0.1:8000/live?channel=a, with a token or without. The
// connection is closed when the test ends.
func Dial(t testing.TB, url, token string) *Client {
	t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	dialer := websocket.Dialer{HandshakeTimeout: Patience, Subprotocols: []string{"pregon.v1"}}
	conn, resp, err := dialer.Dial(url, header)
	if err != nil {
		t.Fatalf("dial: %v %v", err, resp)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Client{conn, t}
}

// Send sends each text as a frame.
func (c *Client) Send(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		_ = c.SetWriteDeadline(time.Now().Add(Patience))
		if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			c.t.Fatal("send:", err)
		}
	}
}

const ping = `{"type":"ping"}`

// Next returns the next frame that is no ping.
func (c *Client) Next() string {
	c.t.Helper()
	text, err := c.next()
	if err != nil {
		c.t.Fatal("next:", err)
	}
	return text
}

func (c *Client) next() (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(Patience))
	for {
		_, text, err := c.ReadMessage()
		if err != nil || string(text) != ping {
			return string(text), err
		}
	}
}

// Closed reads to the end of the connection, and returns the frames that came, without pings, and the
// close code with its reason.
func (c *Client) Closed() (frames []string, code int, reason string) {
	c.t.Helper()
	for {
		text, err := c.next()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			return frames, closed.Code, closed.Text
		case err != nil:
			c.t.Fatal("closed:", err)
		}
		frames = append(frames, text)
	}
}

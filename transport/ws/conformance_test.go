package ws_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/transporttest"
	"github.com/pregon/pregon/transport/ws"
)

// The protocol keeps the whole contract of package transport.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, compress := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transporttest.Run(t, transporttest.Protocol{
				New: func(env transport.Deps) (transport.Transport, error) {
					env.Compress = compress
					return ws.New(env), nil
				},
				Dial: func(ctx context.Context, url string, format transport.Format) (transporttest.Conn, error) {
					return dialConformer(ctx, url, format, compress)
				},
				Closes: map[transport.CloseReason]string{
					transport.CloseShutdown: "1001", transport.CloseGap: "4001", transport.CloseIdle: "4002",
					transport.CloseUnrecovered: "4003", transport.CloseSlow: "4008", transport.CloseDenied: "4100",
					transport.CloseExpired: "4009", transport.CloseForbidden: "4100", transport.CloseLimit: "4010",
				},
			})
		})
	}
}

// A conformer is the client of the conformance suite.
type conformer struct {
	*websocket.Conn
	format transport.Format
}

// dialConformer connects one. gorilla looks at the context while it dials only, and not
// while it waits for the answer.
func dialConformer(ctx context.Context, url string, format transport.Format, compress bool) (transporttest.Conn, error) {
	answered := func() bool { return true }
	dialer := websocket.Dialer{EnableCompression: compress, NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			answered = context.AfterFunc(ctx, func() { _ = c.Close() })
		}
		return c, err
	}}
	c, _, err := dialer.DialContext(ctx, strings.Replace(url, "http", "ws", 1), nil)
	answered()
	if err != nil {
		return nil, err
	}
	return conformer{c, format}, nil
}

func (c conformer) Next() (transporttest.Event, error) {
	kind, payload, err := c.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return transporttest.Event{}, &transporttest.End{Code: strconv.Itoa(closed.Code)}
	case err != nil:
		return transporttest.Event{}, err
	}
	return transporttest.Decode(c.format, payload, kind == websocket.BinaryMessage)
}

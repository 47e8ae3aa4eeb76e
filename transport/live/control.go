package live

import (
	"slices"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/internal/websocket"
)

// A control is the Control of all clients.
type control struct{}

var _ transport.Ender = control{}

// ping is a ping and, as pages do not see that, a text to the same effect.
var ping = slices.Concat(websocket.PingFrame, object(`{"type":"ping"`).frame())

// Ping implements transport.Control.
func (control) Ping() []byte { return ping }

// Close implements transport.Control.
func (control) Close(reason transport.CloseReason) []byte { return websocket.CloseOf(reason) }

// End implements transport.Ender.
func (control) End(channel string, reason transport.CloseReason) []byte {
	return ended(channel, reason).frame()
}

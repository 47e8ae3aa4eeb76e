package websocket

import (
	"time"

	"github.com/pregon/pregon/transport/socket"
)

// A wire is the connection as gorilla sees it: writes become control frames of
// the Socket, and reads are counted.
type wire struct {
	*socket.Socket
	bytes    Allowance
	inflated Allowance // what messages have more than the frames that they came in
	framing  framing
	broken   *CloseError // why what comes next is refused
}

func newWire(s *socket.Socket, o Options) *wire {
	w := &wire{Socket: s, bytes: NewAllowance(float64(o.Longest), float64(4*o.Longest))}
	if o.Deflate {
		w.inflated = NewAllowance(inflatedRate*float64(o.Longest), inflatedBurst*float64(o.Longest))
	}
	return w
}

// Write passes the handshake's answer through. Later gorilla writes only the
// close frame that answers a broken protocol, after which nothing may follow.
func (w *wire) Write(p []byte) (int, error) {
	if len(p) > 0 && p[0] == finClose {
		w.CloseNow(append([]byte(nil), p...))
		return len(p), nil
	}
	return w.Socket.Write(p)
}

// Read counts what arrives, also what never becomes a message: a million empty
// fragments never return from gorilla.
func (w *wire) Read(p []byte) (int, error) {
	if w.broken != nil {
		return 0, w.broken
	}
	n, err := w.Socket.Read(p)
	if !w.bytes.Spend(n, time.Now()) {
		return 0, errFlood
	}
	w.inflated.Refund(n)
	before, wrong := w.framing.follow(p[:n])
	if wrong == nil {
		return n, err
	}
	w.broken = wrong
	if before == 0 {
		return 0, wrong
	}
	return before, nil // what came before is answered first
}

// AwaitInput returns when a Read would not wait, an error when it would fail.
func (w *wire) AwaitInput() error {
	if w.broken != nil {
		return w.broken
	}
	return w.Socket.AwaitInput()
}

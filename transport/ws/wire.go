package ws

import (
	"errors"
	"time"

	"github.com/pregon/pregon/transport/socket"
)

// errFlood is what Read returns once a client has sent too many bytes too fast.
var errFlood = errors.New("ws: the client sends too much")

// A wire is the connection as gorilla sees it: writes become control frames of
// the Socket, and reads are counted.
type wire struct {
	*socket.Socket
	bytes   allowance
	framing *framing // nil where nothing is compressed, and gorilla refuses RSV1 itself
	broken  bool     // the frame that comes next is refused
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
	if w.broken {
		return 0, errReserved
	}
	n, err := w.Socket.Read(p)
	if !w.bytes.spend(n, time.Now()) {
		return 0, errFlood
	}
	if w.framing == nil {
		return n, err
	}
	before, ok := w.framing.follow(p[:n])
	if ok {
		return n, err
	}
	w.broken = true
	if before == 0 {
		return 0, errReserved
	}
	return before, nil // what came before is answered first
}

// AwaitInput returns when a Read would not wait, an error when it would fail.
func (w *wire) AwaitInput() error {
	if w.broken {
		return errReserved
	}
	return w.Socket.AwaitInput()
}

// An allowance is a token bucket: it grows by rate a second, up to burst.
type allowance struct {
	rate, burst float64
	left        float64
	since       time.Time
}

func newAllowance(rate, burst float64) allowance {
	return allowance{rate: rate, burst: burst, left: burst}
}

// spend takes n out and reports whether there was enough.
func (a *allowance) spend(n int, now time.Time) bool {
	if !a.since.IsZero() {
		a.left = min(a.burst, a.left+a.rate*now.Sub(a.since).Seconds())
	}
	a.since = now
	a.left -= float64(n)
	return a.left >= 0
}

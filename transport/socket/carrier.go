package socket

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Secure returns the server's side of TLS on c, as tls.Server does, of which a Socket has the descriptor: it then
// sends over it as over a plain connection. Where there is no descriptor it is what tls.Server returns.
func Secure(c net.Conn, config *tls.Config) *tls.Conn {
	d, ok := c.(syscall.Conn)
	if !ok || !canWriteDirectly {
		return tls.Server(c, config)
	}
	raw, err := d.SyscallConn()
	if err != nil {
		return tls.Server(c, config)
	}
	return tls.Server(&carrier{Conn: c, raw: raw}, config)
}

// A carrier is the connection below one of TLS. It lets a Socket send what was encrypted, and know whether
// a Read would wait.
//
// Until hold it is the connection that it has. From then on TLS writes to memory only, so that no call of it waits,
// and the Socket sends what is there. That includes what TLS says of itself while it reads, as the answer to
// a change of keys: it has to be out ahead of the next data (RFC 8446, section 4.6.3), and is, as both are
// sent in the order in which TLS wrote them.
//
// A Read ends where a record does. So TLS never has a byte of another record than the one that it reads, and when
// it has returned all of that, what comes next is in the kernel, and the descriptor tells of it.
type carrier struct {
	net.Conn
	raw    syscall.RawConn
	record record // that is being read

	mu      sync.Mutex
	holding bool   // since hold
	sealing bool   // within seal
	sealed  []byte // what TLS wrote and nobody has sent
}

// SyscallConn implements syscall.Conn.
func (k *carrier) SyscallConn() (syscall.RawConn, error) { return k.raw, nil }

// maxReplies bounds what TLS may say of itself before the Socket has sent it.
const maxReplies = 4 << 10

var errReplies = errors.New("socket: the peer asks TLS for more answers than it takes")

// Write implements net.Conn, for TLS.
func (k *carrier) Write(p []byte) (int, error) {
	k.mu.Lock()
	if !k.holding {
		k.mu.Unlock()
		return k.Conn.Write(p)
	}
	defer k.mu.Unlock()
	if !k.sealing && len(k.sealed)+len(p) > maxReplies {
		return 0, errReplies
	}
	k.sealed = append(k.sealed, p...)
	return len(p), nil
}

// SetWriteDeadline implements net.Conn, for TLS, which does not write to the connection any more when it
// is held.
func (k *carrier) SetWriteDeadline(t time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holding {
		return nil
	}
	return k.Conn.SetWriteDeadline(t)
}

// hold keeps from now on what TLS writes.
func (k *carrier) hold() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holding = true
}

// seal returns, in buf, what has to be sent so that the peer has p: first what TLS has said of itself. Its
// caller sends it ahead of what the next call returns. c is the connection of TLS on k.
func (k *carrier) seal(c net.Conn, buf, p []byte) ([]byte, error) {
	k.mu.Lock()
	k.sealed, k.sealing = append(buf[:0], k.sealed...), true
	k.mu.Unlock()
	_, err := c.Write(p)
	k.mu.Lock()
	defer k.mu.Unlock()
	buf, k.sealed, k.sealing = k.sealed, nil, false
	return buf, err
}

// replied reports whether TLS has said something of itself.
func (k *carrier) replied() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.sealed) > 0
}

// Read implements net.Conn, for TLS.
func (k *carrier) Read(p []byte) (int, error) {
	if err := k.record.begin(k.Conn); err != nil {
		return 0, err
	}
	return k.record.read(k.Conn, p)
}

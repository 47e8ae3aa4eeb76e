package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
)

// Listen opens a TCP port as a server of long-lived connections needs it: the
// system gives up on a peer that has not acknowledged anything for a minute, so
// that a listener whose network is gone is noticed though nothing is closed.
//
// For the host localhost it listens on 127.0.0.1 and, where the system has it, on
// ::1, on the same port: programs differ in which of the two they try.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !strings.EqualFold(host, "localhost") {
		return listenTCP(ctx, address)
	}
	return listenLocal(ctx, port)
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{Control: limitUnacknowledged}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return l, nil
}

// portAttempts is how many free ports are tried of which one loopback address has
// each and the other might not.
const portAttempts = 16

func listenLocal(ctx context.Context, port string) (net.Listener, error) {
	for attempt := 1; ; attempt++ {
		four, err := listenTCP(ctx, net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		_, got, _ := net.SplitHostPort(four.Addr().String())
		six, err := listenTCP(ctx, net.JoinHostPort("::1", got))
		switch {
		case err == nil:
			return join([]net.Listener{four, six}), nil
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			return four, nil // a system without IPv6
		}
		_ = four.Close() // the other's error is the news
		if got == port || attempt == portAttempts {
			return nil, err
		}
	}
}

// Adopt returns a listener that accepts what any of some TCP listeners does, as Listen returns one, for
// those that the program was given by another process. It owns them from then on.
func Adopt(sockets []net.Listener) (net.Listener, error) {
	for _, l := range sockets {
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return nil, fmt.Errorf("server: adopt a listener on %v: %w", l.Addr(), errors.ErrUnsupported)
		}
		raw, err := tcp.SyscallConn()
		if err == nil {
			err = limitUnacknowledged("", "", raw)
		}
		if err != nil && !errors.Is(err, syscall.ENOPROTOOPT) { // a socket of MPTCP may have no such limit
			return nil, fmt.Errorf("server: adopt a listener on %v: %w", l.Addr(), err)
		}
	}
	if len(sockets) == 1 {
		return sockets[0], nil
	}
	return join(sockets), nil
}

// Sockets returns the listeners of which l, which Listen or Adopt has returned, is made, so that they can
// be given to another process. They stay l's.
func Sockets(l net.Listener) []net.Listener {
	if j, ok := l.(*joined); ok {
		return j.all
	}
	return []net.Listener{l}
}

// A joined listener accepts what several of them accept. Its address is the first's.
type joined struct {
	all      []net.Listener
	arrivals chan arrival
	done     chan struct{} // closed by Close
	once     sync.Once
	tasks    sync.WaitGroup

	mu   sync.Mutex
	late []net.Conn // accepted when it was closed, and not yet handed on
}

// An arrival is what Accept has returned.
type arrival struct {
	conn net.Conn
	err  error
}

func join(all []net.Listener) *joined {
	j := &joined{all: all, arrivals: make(chan arrival), done: make(chan struct{})}
	for _, l := range all {
		j.tasks.Go(func() { j.accept(l) })
	}
	return j
}

// accept hands on what l accepts, one at a time, until it is closed.
func (j *joined) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		select {
		case j.arrivals <- arrival{conn, err}:
		case <-j.done:
			if conn != nil {
				j.mu.Lock()
				j.late = append(j.late, conn)
				j.mu.Unlock()
			}
			return
		}
	}
}

// Accept implements net.Listener. What was accepted ahead of Close is still returned, as with any
// other listener: its client knows of nothing.
func (j *joined) Accept() (net.Conn, error) {
	select {
	case a := <-j.arrivals:
		return a.conn, a.err
	case <-j.done:
	}
	j.tasks.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.late) == 0 {
		return nil, fmt.Errorf("server: accept: %w", net.ErrClosed)
	}
	conn := j.late[0]
	j.late = j.late[1:]
	return conn, nil
}

// Addr implements net.Listener.
func (j *joined) Addr() net.Addr { return j.all[0].Addr() }

// Close implements net.Listener. Closing again is no error.
func (j *joined) Close() error {
	var errs []error
	j.once.Do(func() {
		close(j.done)
		for _, l := range j.all {
			errs = append(errs, l.Close())
		}
		j.tasks.Wait()
	})
	return errors.Join(errs...)
}

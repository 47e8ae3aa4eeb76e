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
			return join(four, six), nil
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			return four, nil // a system without IPv6
		}
		_ = four.Close() // the other's error is the news
		if got == port || attempt == portAttempts {
			return nil, err
		}
	}
}

// A joined listener accepts what two of them accept. Its address is the first's.
type joined struct {
	net.Listener
	second   net.Listener
	arrivals chan arrival
	done     chan struct{} // closed by Close
	once     sync.Once
	tasks    sync.WaitGroup
}

// An arrival is what Accept has returned.
type arrival struct {
	conn net.Conn
	err  error
}

func join(first, second net.Listener) *joined {
	j := &joined{Listener: first, second: second, arrivals: make(chan arrival), done: make(chan struct{})}
	for _, l := range []net.Listener{first, second} {
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
				_ = conn.Close() // it came too late
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (j *joined) Accept() (net.Conn, error) {
	select {
	case a := <-j.arrivals:
		return a.conn, a.err
	case <-j.done:
		return nil, fmt.Errorf("server: accept: %w", net.ErrClosed)
	}
}

// Close implements net.Listener. Closing again is no error.
func (j *joined) Close() error {
	var err error
	j.once.Do(func() {
		close(j.done)
		err = errors.Join(j.Listener.Close(), j.second.Close())
		j.tasks.Wait()
	})
	return err
}

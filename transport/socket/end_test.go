package socket_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/transport/socket"
)

// A deadline that the reader has set does not end what waits at a graceful end.
func TestEndOutlivesReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := socket.NewGroup(limits)
		ours, peer := net.Pipe()
		s := g.New()
		s.Attach(ours)
		s.Uncork()
		if err := s.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() { // as transports do
			_, _ = io.Copy(io.Discard, s)
			_ = s.Close()
		}()
		if _, err := s.Send(new(socket.Writer), socket.Batch{Frames: []byte("waits, "), Messages: 1}); err != nil {
			t.Fatal(err)
		}
		s.CloseAfterFlush([]byte("last"))
		time.Sleep(7 * time.Second) // less than Limits.WriteTimeout
		if all, _ := io.ReadAll(peer); string(all) != "waits, last" {
			t.Errorf("the peer got %q", all)
		}
		g.Wait()
	})
}

// lingering is a connection whose CloseWrite takes its time, as that of TLS may.
type lingering struct {
	net.Conn
	began, goOn chan struct{}
}

func (c lingering) CloseWrite() error { close(c.began); <-c.goOn; return nil }

// While the good-bye is being said, which may take long, nobody who sends or
// closes waits.
func TestGoodByeHoldsNobody(t *testing.T) {
	g := socket.NewGroup(limits)
	ours, peer := net.Pipe()
	defer peer.Close()
	c := lingering{ours, make(chan struct{}), make(chan struct{})}
	s := g.New()
	s.Attach(c)
	s.Uncork()
	s.CloseAfterFlush(nil)
	<-c.began
	if _, err := s.Send(new(socket.Writer), socket.Batch{Frames: []byte("late"), Messages: 1}); err != socket.ErrClosed {
		t.Error("send:", err)
	}
	if err := s.Close(); err != nil {
		t.Error("close:", err)
	}
	close(c.goOn)
	g.Wait()
}

package socket_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/transport/socket"
)

// steady reads at a pace, and no more at once than it has been given time for.
type steady struct {
	io.Reader
	size int
	next *time.Ticker
}

func (s steady) Read(p []byte) (int, error) {
	<-s.next.C
	return s.Reader.Read(p[:min(len(p), s.size)])
}

// A peer that reads slowly but steadily is kept, though the kernel wakes the writer
// only when much of its buffer is free, which takes longer than a peer may take
// nothing: also with TLS.
func TestSlowButSteadyPeerIsKept(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what a peer has taken")
	}
	const size = 600 << 10
	for _, way := range []path{direct, secured, foreign} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			g := socket.NewGroup(socket.Limits{Bytes: 64 << 20, Messages: 100, WriteTimeout: 500 * time.Millisecond, Linger: time.Second})
			s, ours, peer := unattached(t, g)
			_ = ours.SetWriteBuffer(256 << 10)
			_ = peer.SetReadBuffer(32 << 10)
			from := net.Conn(peer)
			switch way {
			case secured:
				from = handshake(t, s, socket.Secure(ours, certified.TLS), peer)
			case foreign:
				from = handshake(t, s, tls.Server(ours, certified.TLS), peer)
			default:
				s.Attach(ours)
			}
			s.Uncork()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			if _, err := s.Send(new(socket.Writer), socket.Batch{Frames: make([]byte, size), Messages: 1}); err != nil {
				t.Fatal(err)
			}
			n, err := io.CopyN(io.Discard, steady{Reader: from, size: 4 << 10, next: tick}, size)
			if n != size || g.Stalled() > 0 {
				t.Errorf("%d bytes of %d arrived, %v, %d stalled", n, size, err, g.Stalled())
			}
			_ = s.Close()
			_ = peer.Close()
			g.Wait()
		})
	}
}

// A peer that takes nothing for Limits.WriteTimeout is disconnected and counted, unless its
// end was under way.
func TestStallIsCounted(t *testing.T) {
	for name, ended := range map[string]bool{"taking": false, "ending": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := socket.NewGroup(limits)
				ours, peer := net.Pipe()
				defer peer.Close()
				s := g.New()
				s.Attach(ours)
				s.Uncork()
				var w socket.Writer
				if _, err := s.Send(&w, socket.Batch{Frames: []byte("nobody reads"), Messages: 1}); err != nil {
					t.Fatal(err)
				}
				want := uint64(1)
				if ended {
					s.CloseAfterFlush(nil)
					want = 0
				}
				began := time.Now()
				g.Wait()
				if took := time.Since(began); took < limits.WriteTimeout || took > limits.WriteTimeout*3/2 {
					t.Errorf("disconnected after %v, want %v", took, limits.WriteTimeout)
				}
				if n := g.Stalled(); n != want {
					t.Errorf("%d are counted, want %d", n, want)
				}
				if _, err := s.Send(&w, socket.Batch{Frames: []byte("x"), Messages: 1}); !errors.Is(err, socket.ErrClosed) {
					t.Error("send:", err)
				}
			})
		})
	}
}

// A connection that was idle between two writes has not stalled.
func TestIdleIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := socket.NewGroup(limits)
		ours, peer := net.Pipe()
		s := g.New()
		s.Attach(ours)
		s.Uncork()
		for range 3 {
			if _, err := s.Send(new(socket.Writer), socket.Batch{Frames: []byte("x"), Messages: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * limits.WriteTimeout)
		}
		_ = s.Close()
		_ = peer.Close()
		g.Wait()
	})
}

// A peer that reads nothing and has control frames answered, as by pings, makes no more of them wait than messages may: each
// costs more memory than the few bytes that it has.
func TestControlFramesAreBounded(t *testing.T) {
	g := socket.NewGroup(limits)
	s, peer := pair(t, g, direct)
	defer g.Wait()
	defer s.Close()
	defer peer.Close()
	s.Uncork()
	var w socket.Writer
	for g.Waiting() == 0 { // what the system has room for does not wait
		if _, err := s.Send(&w, socket.Batch{Frames: make([]byte, 64<<10), Messages: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; ; n++ {
		err := s.Control(&w, []byte("ok"))
		switch {
		case errors.Is(err, socket.ErrSlow):
			return
		case err != nil || n > limits.Messages:
			t.Fatalf("%d control frames wait where %d messages may: %v", n, limits.Messages, err)
		}
	}
}

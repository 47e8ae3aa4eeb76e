package socket_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/transport/socket"
)

// Over TLS, too, AwaitInput does not wait while there is something to read, in whatever records and segments it came,
// however little is read at a time, and however long the client's hello was.
func TestNothingReadIsForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := socket.NewGroup(limits)
		s, ours, peer := unattached(t, g)
		defer g.Wait()
		defer s.Close()
		defer peer.Close()
		held := &holder{Conn: peer}
		config := &tls.Config{InsecureSkipVerify: true}
		for range rapid.IntRange(0, 200).Draw(t, "protocols") {
			config.NextProtos = append(config.NextProtos, "a protocol that nobody speaks")
		}
		client := tls.Client(held, config)
		done := make(chan error, 1)
		go func() { done <- client.Handshake() }()
		secure := socket.Secure(ours, certified.TLS)
		if err := errors.Join(secure.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		s.Attach(secure)
		s.Uncork()
		sizes := rapid.SliceOfN(rapid.IntRange(1, 20_000), 1, 10).Draw(t, "sizes")
		size := rapid.IntRange(1, 1000).Draw(t, "read size")
		want := 0
		for _, n := range sizes {
			want += n
			held.together(rapid.Bool().Draw(t, "with the next"))
			go func() { _, err := client.Write(make([]byte, n)); done <- err }()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		held.together(false)
		go func() { _, err := held.Write(nil); done <- err }()
		_ = ours.SetReadDeadline(time.Now().Add(20 * time.Second)) // which it hangs for where it forgets
		for got, buf := 0, make([]byte, size); got < want; {
			if err := s.AwaitInput(); err != nil {
				t.Fatalf("%d of %d bytes were read: %v", got, want, err)
			}
			n, err := s.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A holder can keep what is written until the next.
type holder struct {
	net.Conn
	holds bool
	held  bytes.Buffer
}

func (h *holder) together(yes bool) { h.holds = yes }

func (h *holder) Write(p []byte) (int, error) {
	h.held.Write(p)
	if h.holds && h.held.Len() < 16<<10 {
		return len(p), nil
	}
	_, err := h.held.WriteTo(h.Conn)
	return len(p), err
}

// The end of a connection of TLS is told within TLS, behind the last frame, so that the peer knows that nothing was
// cut off, also where much waits.
func TestEndIsTold(t *testing.T) {
	for _, size := range []int{0, 100_000} {
		g := socket.NewGroup(socket.Limits{Bytes: 2 << 20, Messages: 10, WriteTimeout: limits.WriteTimeout, Linger: limits.Linger})
		s, peer := pair(t, g, secured)
		s.Uncork()
		if _, err := s.Send(new(socket.Writer), socket.Batch{Frames: make([]byte, size), Messages: 1}); err != nil {
			t.Fatal(err)
		}
		s.CloseAfterFlush([]byte("end"))
		n, err := io.Copy(io.Discard, peer) // fails where the connection ends without
		if n != int64(size+3) || err != nil {
			t.Errorf("%d bytes of %d, %v", n, size+3, err)
		}
		_ = s.Close()
		_ = peer.Close()
		g.Wait()
	}
}

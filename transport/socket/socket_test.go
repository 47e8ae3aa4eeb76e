package socket_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pregon/pregon/transport/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var limits = socket.Limits{Bytes: 1 << 20, Messages: 1 << 10, WriteTimeout: 10 * time.Second, Linger: 10 * time.Second}

// A path is how a Socket comes to its connection.
type path string

const (
	direct  path = "direct"
	hidden  path = "without a descriptor"
	secured path = "TLS"
	foreign path = "TLS of others" // which Secure has not made
)

var paths = []path{direct, hidden, secured, foreign}

// pair returns a Socket that is attached to one end of a TCP connection, and the
// other end.
func pair(t interface{ Fatal(...any) }, g *socket.Group, way path) (*socket.Socket, net.Conn) {
	s, ours, peer := unattached(t, g)
	_ = ours.SetWriteBuffer(4 << 10) // so that writes are partial
	switch way {
	case direct:
		s.Attach(ours)
	case hidden:
		s.Attach(halfCloser{ours, ours})
	case secured:
		return s, handshake(t, s, socket.Secure(ours, certified.TLS), peer)
	case foreign:
		return s, handshake(t, s, tls.Server(ours, certified.TLS), peer)
	}
	return s, peer
}

// certified has a certificate.
var certified = func() *httptest.Server {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	s.Close()
	s.TLS.NextProtos = nil
	return s
}()

// handshake attaches ours to s when it is through its handshake with peer, and returns the peer's side.
func handshake(t interface{ Fatal(...any) }, s *socket.Socket, ours *tls.Conn, peer net.Conn) net.Conn {
	theirs := tls.Client(peer, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- theirs.Handshake() }()
	if err := errors.Join(ours.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	s.Attach(ours)
	return theirs
}

// unattached returns a Socket, and both ends of a TCP connection.
func unattached(t interface{ Fatal(...any) }, g *socket.Group) (s *socket.Socket, ours, peer *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	for ; err == nil && accepted.RemoteAddr().String() != dialed.LocalAddr().String(); accepted, err = l.Accept() {
		_ = accepted.Close() // of one that looks for a server that was here before
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = dialed.(*net.TCPConn).SetReadBuffer(4 << 10)
	return g.New(), accepted.(*net.TCPConn), dialed.(*net.TCPConn)
}

// halfCloser hides that it has a descriptor.
type halfCloser struct {
	net.Conn
	tcp *net.TCPConn
}

func (h halfCloser) CloseWrite() error { return h.tcp.CloseWrite() }

// A frame is its length, its kind, its number and filling.
func frame(kind byte, number, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(5+size))
	b = binary.BigEndian.AppendUint32(append(b, kind), uint32(number))
	return append(b, bytes.Repeat([]byte{kind}, size)...)
}

type parsed struct {
	kind   byte
	number int
}

// parse returns the frames that a peer received, and fails where one was cut.
func parse(t *rapid.T, received []byte) (all []parsed) {
	for len(received) > 0 {
		if len(received) < 9 {
			t.Fatalf("%d bytes of a header at the end", len(received))
		}
		size := int(binary.BigEndian.Uint32(received))
		if len(received) < 4+size {
			t.Fatalf("a frame of %d bytes has %d", size, len(received)-4)
		}
		kind, number := received[4], int(binary.BigEndian.Uint32(received[5:]))
		for _, c := range received[9 : 4+size] {
			if c != kind {
				t.Fatalf("another frame within frame %c%d", kind, number)
			}
		}
		all = append(all, parsed{kind, number})
		received = received[4+size:]
	}
	return all
}

// Whatever is sent by whom, and however the peer reads: every frame that was
// taken arrives once, whole and in order, and the last one last.
func TestFramesAreWholeOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := socket.NewGroup(limits)
		s, peer := pair(t, g, rapid.SampledFrom(paths).Draw(t, "path"))
		defer g.Wait()
		defer s.Close()
		defer peer.Close()
		sizes := rapid.SliceOfN(rapid.IntRange(0, 20_000), 1, 60).Draw(t, "sizes")
		openAt := rapid.IntRange(0, len(sizes)-1).Draw(t, "open at")
		pause := rapid.IntRange(1, 30_000).Draw(t, "read size")
		received := make(chan []byte, 1)
		go func() { received <- readAll(peer, pause) }()

		var wg sync.WaitGroup
		opened := make(chan struct{})
		wg.Go(func() { // another goroutine's control frames
			<-opened
			for i := range 20 {
				if err := s.Control(new(socket.Writer), frame('c', i, i)); err != nil {
					t.Errorf("control: %v", err)
				}
			}
		})
		taken := 0
		var w socket.Writer
		for i, size := range sizes {
			if i == openAt {
				s.Uncork()
				close(opened)
			}
			switch _, err := s.Send(&w, socket.Batch{Frames: frame('m', taken, size), Messages: 1}); {
			case err == nil:
				taken++
			case !errors.Is(err, socket.ErrSlow):
				t.Fatalf("send: %v", err)
			}
		}
		wg.Wait()
		s.CloseAfterFlush(frame('e', 0, 3))
		if _, err := s.Send(&w, socket.Batch{Frames: frame('m', 0, 0), Messages: 1}); !errors.Is(err, socket.ErrClosed) {
			t.Fatalf("send after the end: %v", err)
		}
		numbers := map[byte][]int{}
		for _, f := range parse(t, <-received) {
			numbers[f.kind] = append(numbers[f.kind], f.number)
		}
		for kind, want := range map[byte]int{'m': taken, 'e': 1} {
			if len(numbers[kind]) != want {
				t.Fatalf("%d frames of kind %c arrived, %d were taken", len(numbers[kind]), kind, want)
			}
			for i, n := range numbers[kind] {
				if i != n {
					t.Fatalf("frame %c%d arrived as number %d", kind, n, i)
				}
			}
		}
		if len(numbers['c']) != 20 {
			t.Fatalf("%d of 20 control frames arrived", len(numbers['c']))
		}
	})
}

func readAll(r io.Reader, size int) []byte {
	var all []byte
	buf := make([]byte, size)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			return all
		}
	}
}

// A peer that does not read is refused more than the bounds, the sender never
// waits, and CloseNow ends the connection at the boundary of a frame.
func TestBoundsAndCut(t *testing.T) {
	for _, way := range paths {
		g := socket.NewGroup(socket.Limits{Bytes: 64 << 10, Messages: 100, WriteTimeout: 10 * time.Second, Linger: 10 * time.Second})
		s, peer := pair(t, g, way)
		s.Uncork()
		var w socket.Writer
		var err error
		for i := 0; err == nil; i++ {
			if i > 1<<20 {
				t.Fatal("everything was taken")
			}
			_, err = s.Send(&w, socket.Batch{Frames: frame('m', i, 1000), Messages: 1})
		}
		if !errors.Is(err, socket.ErrSlow) {
			t.Fatal("refused with", err)
		}
		if n := g.Waiting(); n < 32<<10 || n > 65<<10 {
			t.Errorf("%d bytes wait behind a bound of 64 KiB", n)
		}
		s.CloseNow(frame('e', 0, 0))
		received := readAll(peer, 1<<16)
		if !bytes.HasSuffix(received, frame('e', 0, 0)) {
			t.Error("the last frame did not arrive")
		}
		_ = peer.Close()
		_ = s.Close()
		g.Wait()
		if n := g.Waiting(); n != 0 {
			t.Errorf("%d bytes wait for nobody", n)
		}
	}
}

// A peer that takes nothing for Limits.WriteTimeout is disconnected: the reading side
// hears of it.
func TestStall(t *testing.T) {
	for _, way := range []path{direct, secured} {
		t.Run(string(way), func(t *testing.T) { testStall(t, way) })
	}
}

func testStall(t *testing.T, way path) {
	g := socket.NewGroup(socket.Limits{Bytes: 64 << 20, Messages: 1 << 20, WriteTimeout: 50 * time.Millisecond, Linger: time.Second})
	s, peer := pair(t, g, way)
	defer peer.Close()
	s.Uncork()
	var w socket.Writer
	if _, err := s.Send(&w, socket.Batch{Frames: make([]byte, 32<<20), Messages: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still there")
	}
	g.Wait()
	if _, err := s.Send(&w, socket.Batch{Frames: []byte("x"), Messages: 1}); !errors.Is(err, socket.ErrClosed) {
		t.Error("send:", err)
	}
}

// A Socket that was never attached or opened can be sent to, ended and closed.
func TestHandshakeThatFails(t *testing.T) {
	g := socket.NewGroup(limits)
	s := g.New()
	if _, err := s.Send(new(socket.Writer), socket.Batch{Frames: []byte("x"), Messages: 1}); err != nil {
		t.Error(err)
	}
	s.CloseAfterFlush([]byte("bye"))
	if n := g.Waiting(); n != 4 {
		t.Errorf("%d bytes wait, not those of two frames", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	g.Wait()
	if n := g.Waiting(); n != 0 {
		t.Errorf("%d bytes wait for nobody", n)
	}
}

// Sending to a peer that reads costs no allocation.
func TestSendDoesNotAllocate(t *testing.T) {
	for _, way := range []path{direct, secured} {
		t.Run(string(way), func(t *testing.T) { testSendAllocations(t, way) })
	}
}

func testSendAllocations(t *testing.T, way path) {
	g := socket.NewGroup(limits)
	s, peer := pair(t, g, way)
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(io.Discard, peer) }()
	s.Uncork()
	var w socket.Writer
	p := []byte("x")
	_, _ = s.Send(&w, socket.Batch{Frames: p, Messages: 1})
	if n := testing.AllocsPerRun(200, func() { _, _ = s.Send(&w, socket.Batch{Frames: p, Messages: 1}) }); n >= 1 {
		t.Errorf("%v allocations a send", n)
	}
	s.CloseAfterFlush(nil)
	<-done
	_ = peer.Close()
	_ = s.Close()
	g.Wait()
}

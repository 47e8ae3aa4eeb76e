package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// A stub is a connection whose peer has said all that it will.
type stub struct {
	net.Conn
	said   io.Reader
	closed int
}

func (s *stub) Read(p []byte) (int, error) { return s.said.Read(p) }
func (s *stub) Close() error               { s.closed++; return nil }

// read reads all that a peer says.
func read(said io.Reader) ([]byte, error) {
	return io.ReadAll(wire.NewConn(&stub{said: said}, "peer"))
}

// What Redis may say comes through as it is, in whatever pieces it arrives.
func TestFrames(t *testing.T) {
	for _, said := range []string{
		"", "+OK\r\n", "-ERR no\r\n", ":-1\r\n", "$-1\r\n", "$0\r\n\r\n", "$5\r\na\r\nb!\r\n", "*0\r\n", "*-1\r\n",
		"*2\r\n$1\r\na\r\n*1\r\n:1\r\n+OK\r\n",
		"+" + strings.Repeat("a", 60000) + "\r\n",
		strings.Repeat("*1\r\n", 16) + ":1\r\n",
		strings.Repeat("*2\r\n:1\r\n", 16) + ":1\r\n" + ":2\r\n",
	} {
		for name, pieces := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "bytes": iotest.OneByteReader,
		} {
			got, err := read(pieces(strings.NewReader(said)))
			if err != nil || string(got) != said {
				t.Errorf("%.40q in %s: %.40q, %v", said, name, got, err)
			}
		}
	}
}

// What would make go-redis allocate or recurse without bound, and what is not Redis, is
// refused before go-redis sees it.
func TestBadFrames(t *testing.T) {
	for _, said := range []string{
		"HTTP/1.1 400 Bad Request\r\n", "%1\r\n", "\r\n", "+OK\n", "$a\r\n", "$\r\n", "$-2\r\n", "*-2\r\n",
		"$536870913\r\n", "*65537\r\n", "$99999999999999999999\r\n",
		strings.Repeat("*1\r\n", 17) + ":1\r\n",
		"+" + strings.Repeat("a", 70000) + "\r\n",
		"$1\r\na\r\nx",
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(said), "bytes": iotest.OneByteReader(strings.NewReader(said))} {
			if _, err := read(r); !errors.Is(err, reply.ErrNotRedis) {
				t.Errorf("%.40q, %s: %v", said, name, err)
			}
		}
	}
}

func FuzzFrames(f *testing.F) {
	for _, said := range []string{"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "$5\r\nhello\r\n", "+OK\r\n-ERR\r\n"} {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		whole, err := read(bytes.NewReader(said))
		pieces, err2 := read(iotest.OneByteReader(bytes.NewReader(said)))
		if (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %v, in pieces: %v", err, err2)
		}
		if err == nil && (!bytes.Equal(whole, said) || !bytes.Equal(pieces, said)) {
			t.Fatalf("%q became %q and %q", said, whole, pieces)
		}
	})
}

// A Conn remembers why it was closed, the first time, and tells its owner.
func TestFail(t *testing.T) {
	end := &stub{said: strings.NewReader("")}
	c := wire.NewConn(end, "peer")
	forgotten := 0
	c.Forget = func() { forgotten++ }
	if err := c.Reason(io.EOF); err != io.EOF {
		t.Errorf("before: %v", err)
	}
	c.Fail(reply.ErrSilent)
	c.Fail(reply.ErrMoved)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, reply.ErrSilent) {
		t.Errorf("Read returned %v", err)
	}
	if err := c.Reason(io.EOF); !errors.Is(err, reply.ErrSilent) {
		t.Errorf("the reason is %v", err)
	}
	if end.closed == 0 || forgotten == 0 {
		t.Errorf("closed %d times, forgotten %d times", end.closed, forgotten)
	}
}

// Silence is the time since the last byte, and at first since the connection was made.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := wire.NewConn(&stub{said: strings.NewReader("+OK\r\n")}, "peer")
		time.Sleep(3 * time.Second)
		if got := c.Silence(); got != 3*time.Second {
			t.Errorf("before anything came: %v", got)
		}
		c.Read(make([]byte, 5))
		time.Sleep(2 * time.Second)
		if got := c.Silence(); got != 2*time.Second {
			t.Errorf("2s after it: %v", got)
		}
		c.Read(make([]byte, 5)) // the end is no sign of life
		if got := c.Silence(); got != 2*time.Second {
			t.Errorf("after the end: %v", got)
		}
	})
}

// A connection is handed over once: a second would be a hidden reconnect.
func TestHandOver(t *testing.T) {
	c := &stub{}
	dial := wire.HandOver(c)
	if got, err := dial(t.Context(), "", ""); got != net.Conn(c) || err != nil {
		t.Errorf("first: %v, %v", got, err)
	}
	if got, err := dial(t.Context(), "", ""); got != nil || !errors.Is(err, reply.ErrReconnect) {
		t.Errorf("second: %v, %v", got, err)
	}
}

// go-redis must try everything once, send nothing of its own, and speak RESP2, or
// publications would be repeated and frames misread.
func TestClientSettings(t *testing.T) {
	s := wire.Settings{Network: "tcp", Addr: "a:1", Username: "u", Password: "p", DB: 3, DialTimeout: time.Second, Timeout: 2 * time.Second}
	o := s.Client(wire.HandOver(nil))
	if o.MaxRetries != -1 || o.DialerRetries != 1 || o.Protocol != 2 || !o.DisableIdentity || !o.ContextTimeoutEnabled {
		t.Errorf("%+v", o)
	}
	if o.Addr != "a:1" || o.Username != "u" || o.Password != "p" || o.DB != 3 || o.DialTimeout != time.Second || o.ReadTimeout != 2*time.Second || o.WriteTimeout != 2*time.Second {
		t.Errorf("%+v", o)
	}
}

// Dial connects to the address that it is given, within DialTimeout and its context.
func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	s := wire.Settings{Network: "tcp", Addr: "elsewhere:1", DialTimeout: 10 * time.Second}
	c, err := s.Dial(t.Context(), addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Addr != addr {
		t.Errorf("Addr is %q", c.Addr)
	}
	c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Dial(ctx, addr, nil); !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "canceled") {
		t.Errorf("with an ended context: %v", err)
	}
	l.Close()
	if _, err := s.Dial(t.Context(), addr, nil); err == nil {
		t.Error("nobody listens, and there is a connection")
	}
}

// What stands in for a connection fails with its reason, whatever is done with it.
func TestUnreachable(t *testing.T) {
	why := errors.New("why")
	u := wire.Unreachable{Err: why}
	_, read := u.Read(nil)
	_, write := u.Write(nil)
	_, raw := u.SyscallConn()
	for name, err := range map[string]error{"Read": read, "Write": write, "SyscallConn": raw} {
		if !errors.Is(err, why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

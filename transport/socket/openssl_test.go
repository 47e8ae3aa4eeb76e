package socket_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/transport/socket"
)

// A peer may change its keys, and ask for others, while it is sent to and while something waits for it. The peer is
// OpenSSL, as crypto/tls never asks.
func TestKeysChange(t *testing.T) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("openssl is not installed")
	}
	for _, size := range []int{100, 200_000} {
		t.Run(fmt.Sprint("messages of ", size, " bytes"), func(t *testing.T) {
			g := socket.NewGroup(limits)
			s := g.New()
			in, out := openssl(t, program, s)
			defer g.Wait()
			defer s.Close()
			s.Uncork()
			for i := range 10 {
				if _, err := s.Send(new(socket.Writer), socket.Batch{Frames: fmt.Appendf(nil, "%0*d.", size, i), Messages: 1}); err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(in, "K\n") // the line that has it change keys
				awaitText(t, out, "KEYUPDATE", fmt.Sprintf("%d.", i))
				_, _ = io.WriteString(in, "heard\n")
				for heard := ""; !strings.HasSuffix(heard, "heard\n"); {
					buf := make([]byte, 10)
					n, err := s.Read(buf)
					if err != nil {
						t.Fatal("read:", err)
					}
					heard += string(buf[:n])
				}
			}
		})
	}
}

// openssl connects OpenSSL's client to s, and returns what it reads and prints.
func openssl(t *testing.T, program string, s *socket.Socket) (in io.Writer, out io.Reader) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer := exec.CommandContext(t.Context(), program, "s_client", "-connect", l.Addr().String(), "-tls1_3")
	peer.WaitDelay = time.Second
	input, err := peer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	printed, print := io.Pipe()
	peer.Stdout, peer.Stderr = print, print
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = printed.Close()
		_ = peer.Process.Kill()
		_ = peer.Wait()
	})
	for {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		secure := socket.Secure(conn, certified.TLS)
		err = secure.Handshake()
		if err == nil {
			s.Attach(secure)
			return input, printed
		}
		t.Log("shake hands:", err) // with one that looks for a server that was here before
		_ = conn.Close()
	}
}

// awaitText reads until all texts have come.
func awaitText(t *testing.T, from io.Reader, texts ...string) {
	var all []byte
	buf := make([]byte, 32<<10)
	for {
		missing := 0
		for _, text := range texts {
			if !bytes.Contains(all, []byte(text)) {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		n, err := from.Read(buf)
		if err != nil {
			t.Fatalf("%d of %q are missing: %v", missing, texts, err)
		}
		all = append(all, buf[:n]...)
	}
}

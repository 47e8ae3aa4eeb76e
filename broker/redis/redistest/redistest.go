// Package redistest starts private Redis servers for tests, as
// [net/http/httptest] does for HTTP.
//
//	server := redistest.Start(t)
//	b, err := broker.Open(ctx, server.URL())
//
// A [Server] is a real redis-server process: it can be killed, paused and started
// again. A [Proxy] stands between a client and a server and breaks the network.
// [Sentinels] watch over a server with a replica. A [Fake] is no Redis: it answers what the
// test says, and needs no program.
//
// All others need the program redis-server on PATH (Debian and Ubuntu:
// apt-get install redis-server; macOS: brew install redis). Where it is missing,
// tests are skipped with that sentence, and fail if the environment variable CI
// is set.
package redistest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const missing = "redis-server is not on PATH; install it (Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis)"

// startTimeout bounds how long a server may take until it answers.
const startTimeout = 20 * time.Second

// A Server is a redis-server on a loopback port of its own with a temporary
// folder of its own. It is killed when the test ends, and what it printed is
// logged if the test failed. Its methods are for the test's goroutine, one at a
// time.
type Server struct {
	t     testing.TB
	dir   string
	port  int
	first []string // arguments before those that every server has
	args  []string // after them
	log   output
	run   *process // nil while it is down
}

// A process is one life of a server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// Start starts a server and returns when it answers. It saves nothing unless args
// say so: they are arguments of redis-server such as "--appendonly", "yes", and
// count more than the defaults. It skips or fails the test where there is no
// redis-server.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return launch(t, &Server{t: t, dir: t.TempDir(), args: args})
}

// launch gives s a port and starts it.
func launch(t testing.TB, s *Server) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	t.Cleanup(s.end)
	const attempts = 5 // somebody else may take the port first
	for range attempts {
		s.port = FreePort(t)
		if s.start() {
			return s
		}
	}
	t.Fatal("redistest: redis-server does not start")
	return nil
}

// Addr returns the server's "host:port".
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns the server's address as a redis:// URL, without user and password.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Kill ends the server as kill -9 does and waits until it is gone.
func (s *Server) Kill() {
	if s.run != nil {
		s.signal(syscall.SIGKILL)
		<-s.run.done
		s.run = nil
	}
}

// Restart starts the server again on the same port and folder, after killing it
// where it runs, and returns when it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if !s.start() {
		s.t.Fatal("redistest: redis-server does not start again")
	}
}

// Pause stops the process without ending it: connections stay open and nothing
// answers any more.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume is the end of Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.run == nil {
		s.t.Fatal("redistest: the server is down")
	}
	if err := s.run.cmd.Process.Signal(sig); err != nil && !s.run.over() {
		s.t.Fatalf("redistest: signal: %v", err)
	}
}

// start reports whether the server answers; if not, it has ended.
func (s *Server) start() bool {
	s.t.Helper()
	args := append(slices.Clone(s.first),
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	)
	cmd := exec.Command("redis-server", append(args, s.args...)...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.SysProcAttr = orphanAttr()
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	s.run = &process{cmd: cmd, done: make(chan struct{})}
	go s.run.wait()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline) && !s.run.over(); {
		if s.answers() {
			return true
		}
		time.Sleep(5 * time.Millisecond) // between attempts
	}
	s.Kill()
	return false
}

// answers reports whether the server takes commands. One that wants a password
// does.
func (s *Server) answers() bool {
	_, err := s.Do("PING")
	text := ""
	if err != nil {
		text = err.Error()
	}
	return err == nil || strings.HasPrefix(text, "NOAUTH") || strings.HasPrefix(text, "NOPERM")
}

// end is the test's cleanup.
func (s *Server) end() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("redis-server printed:\n%s", s.log.String())
	}
}

func (p *process) wait() {
	defer close(p.done)
	_ = p.cmd.Wait() // killed is how it ends
}

func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// The ports of FreePort: none of those that Linux picks by default.
const lowestPort, firstPicked = 10_000, 32_768

// handedOut counts from a place of this process's own.
var handedOut atomic.Uint32

func init() { handedOut.Store(rand.Uint32N(firstPicked - lowestPort)) }

// FreePort returns a loopback port on which nobody listens, another one each time. It is none of those
// that systems pick by themselves: these are given to connections, too, and then a server that is
// started again would not get its own. Another process may take it first all the same.
func FreePort(t testing.TB) int {
	t.Helper()
	var err error
	for range 100 {
		port := lowestPort + int(handedOut.Add(1)%(firstPicked-lowestPort))
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatalf("redistest: no free port: %v", err)
	return 0
}

// An output collects what processes print.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

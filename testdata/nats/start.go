// Package nats tests the driver of NATS on real servers. It is a module of its own, so that pregon
// itself does not depend on a NATS server.
package nats

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// program is where Build has put the server.
var program string

// Build builds the server, for TestMain, and returns what removes it.
func Build() (remove func()) {
	dir, err := os.MkdirTemp("", "nats")
	if err != nil {
		log.Fatal(err)
	}
	program = filepath.Join(dir, "server")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/pregon/pregon/testdata/nats/server").CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		log.Fatalf("build the server: %v\n%s", err, out)
	}
	return func() { _ = os.RemoveAll(dir) }
}

// A Server is a NATS server in a process of its own.
type Server struct {
	t    testing.TB
	port int
	conf string
	cmd  *exec.Cmd
}

// Start starts a server with lines of configuration beside those that every test needs. It ends with
// the test.
func Start(t testing.TB, lines ...string) *Server {
	t.Helper()
	s := &Server{t: t, port: redistest.FreePort(t), conf: t.TempDir() + "/nats.conf"}
	text := fmt.Sprintf("listen: 127.0.0.1:%d\nmax_payload: 2MB\nmax_pending: 64MB\n", s.port)
	for _, line := range lines {
		text += line + "\n"
	}
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Addr returns its "host:port".
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// Restart starts it again after Kill, with what it finds on its disk, and returns when it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.cmd = exec.Command(program, s.conf)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); !answers(s.Addr()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("the server does not answer")
		}
	}
}

// Kill ends it as a crash does.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

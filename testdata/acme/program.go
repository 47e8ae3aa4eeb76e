package acme

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds what must happen; nothing waits so long unless it has failed.
const patience = 40 * time.Second

// program is pregon, which TestMain builds.
var program string

// build builds pregon, by the go.mod of its own.
func build(folder string) error {
	program = filepath.Join(folder, "pregon")
	b := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./cmd/pregon")
	b.Dir, b.Stderr = "../..", os.Stderr
	return b.Run()
}

// ports are those of a server, which stay open while it is not there: so the authority knows them.
type ports struct{ https, http *net.TCPListener }

func openPorts(t *testing.T) ports { return ports{listen(t), listen(t)} }

// A server is a pregon that obtains certificates.
type server struct {
	t     *testing.T
	ports ports
	cmd   *exec.Cmd
	mu    sync.Mutex
	said  []string
	more  chan struct{} // is closed when there is another line, and then replaced
	over  chan struct{}
}

// start starts a server for names, which keeps what it has in a folder. Without the port for http it answers challenges
// over TLS only.
func start(t *testing.T, a *authority, p ports, folder string, names ...string) *server {
	t.Helper()
	s := &server{t: t, ports: p, more: make(chan struct{}), over: make(chan struct{})}
	s.cmd = exec.Command(program, "--acme", strings.Join(names, ","), "--acme-dir", folder, "--acme-directory", a.directory, "--acme-ca", a.trust,
		"--open", "--broker", "memory://", "--drain-notice", "0", "--drain-time", "10ms")
	called := []string{"http"}
	s.pass(p.https)
	if p.http != nil {
		called = append(called, "redirect")
		s.cmd.Args = append(s.cmd.Args, "--redirect", "127.0.0.1:0")
		s.pass(p.http)
	}
	s.cmd.Env = append(os.Environ(), "LISTEN_FDS="+strconv.Itoa(len(called)), "LISTEN_FDNAMES="+strings.Join(called, ":"), "HANDOVER_PARENT="+strconv.Itoa(os.Getpid()))
	log, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	for _, f := range s.cmd.ExtraFiles {
		_ = f.Close() // the server has its own
	}
	if err != nil {
		t.Fatal(err)
	}
	go s.read(log)
	t.Cleanup(s.stop)
	return s
}

// pass has the server inherit a socket.
func (s *server) pass(l *net.TCPListener) {
	s.t.Helper()
	f, err := l.File()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.ExtraFiles = append(s.cmd.ExtraFiles, f)
}

// read keeps the log.
func (s *server) read(log io.Reader) {
	defer close(s.over)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		s.mu.Lock()
		s.said = append(s.said, lines.Text())
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
	}
}

// says waits for the n-th line of the log that has all of some texts, and returns it.
func (s *server) says(n int, texts ...string) string {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		s.mu.Lock()
		more, said := s.more, s.said
		s.mu.Unlock()
		found := 0
		for _, line := range said {
			if hasAll(line, texts) {
				if found++; found == n {
					return line
				}
			}
		}
		select {
		case <-more:
		case <-s.over:
			s.t.Fatalf("the server ended; it did not say %q:\n%s", texts, strings.Join(said, "\n"))
		case <-timeout:
			s.t.Fatalf("the server does not say %q:\n%s", texts, strings.Join(said, "\n"))
		}
	}
}

func hasAll(line string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(line, text) {
			return false
		}
	}
	return true
}

// stop ends the server, which exits with 0.
func (s *server) stop() {
	s.t.Helper()
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	<-s.over
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the server ended with %v:\n%s", err, strings.Join(s.said, "\n"))
	}
}

// handshake asks for a name, and returns the certificate, which is to be the authority's and good for a name.
func (s *server) handshake(a *authority, asked, good string, protocols ...string) (*x509.Certificate, error) {
	dialer := &net.Dialer{Timeout: patience}
	conn, err := tls.DialWithDialer(dialer, "tcp", s.ports.https.Addr().String(), &tls.Config{
		ServerName: asked, NextProtos: protocols, InsecureSkipVerify: true, // which is done here, for another name than was asked
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	chain := conn.ConnectionState().PeerCertificates
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{DNSName: good, Roots: a.roots, Intermediates: between})
	return chain[0], err
}

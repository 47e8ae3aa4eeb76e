//go:build unix

package cmd_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Signals that ask for something while the server starts, and its broker makes it wait, do not end it.
func TestSignalsWhileItStarts(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	p := exec.Command(os.Args[0], "--config", written(t, "pregon.yaml", "rules: []\n"), "--listen", "localhost:0", "--broker", "redis://"+silent.Addr().String(),
		"--drain-notice", "0", "--drain-time", "10ms")
	p.Env = append(os.Environ(), asPregon+"=1")
	go func() {
		asked, err := silent.Accept()
		if err != nil {
			return // the test has failed
		}
		_ = p.Process.Signal(syscall.SIGHUP)
		_ = p.Process.Signal(syscall.SIGUSR2)
		_ = asked.Close()
		_ = silent.Close()
	}()
	url := start(t, p)
	resp, err := http.Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

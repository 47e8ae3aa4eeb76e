package cmd_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// build builds the program of a folder.
func build(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pregon")
	b := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".")
	b.Dir = dir
	if out, err := b.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// start starts a server, which does not outlive the test, and returns its
// address.
func start(t *testing.T, server *exec.Cmd) string {
	t.Helper()
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test has failed before its end
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	return address(t, stdout)
}

// hear listens to an event stream, or another that is read by lines, until the test ends.
func hear(t *testing.T, url string) *bufio.Reader {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return bufio.NewReader(resp.Body)
}

// await reads a stream until a line has the wanted text.
func await(t *testing.T, stream *bufio.Reader, want string) {
	t.Helper()
	for line := ""; !strings.Contains(line, want); {
		var err error
		if line, err = stream.ReadString('\n'); err != nil {
			t.Fatalf("%q did not come: %v", want, err)
		}
	}
}

// killedBy is the signal that ended a process, or -1 where it exited.
func killedBy(err error) syscall.Signal {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return -1
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return -1
	}
	return status.Signal()
}

// A module of its own that adds a broker builds a pregon which serves on it, and
// exits with 0 when it is told to stop.
func TestPlugin(t *testing.T) {
	program := build(t, filepath.Join("..", "testdata", "plugin"))
	server := exec.Command(program, "--listen", "localhost:0", "--broker", "loop://", "--drain-notice", "0", "--drain-time", "10ms")
	url := start(t, server)
	stream := hear(t, url+"/sse/chat")
	if code, _, stderr := run(t, "", "pub", "chat", "hola", "--url", url); code != 0 {
		t.Fatal(stderr)
	}
	await(t, stream, "data: hola")
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Error("the server did not exit with 0:", err)
	}
}

// A module of its own that adds a protocol builds a pregon which serves it.
func TestTransportPlugin(t *testing.T) {
	program := build(t, filepath.Join("..", "testdata", "plugin-transport"))
	url := start(t, exec.Command(program, "--listen", "localhost:0", "--broker", "memory://"))
	stream := hear(t, url+"/lines/chat")
	if code, _, stderr := run(t, "", "pub", "chat", "hola", "--url", url); code != 0 {
		t.Fatal(stderr)
	}
	await(t, stream, `{"type":"message","channel":"chat","data":"hola"}`)
}

// The first signal drains, which a request under way holds up; a second one ends
// the process at once.
func TestSecondSignal(t *testing.T) {
	server := exec.Command(build(t, "pregon"), "--listen", "localhost:0", "--broker", "memory://")
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	url := start(t, server)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := "POST /publish/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	await(t, bufio.NewReader(conn), "100 Continue") // the server waits for the body
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewReader(stderr)
	await(t, log, "draining")
	done := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, log)
		done <- server.Wait()
	}()
	// The line may come a moment before the signal has its old meaning again.
	for {
		_ = server.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-done:
			if got := killedBy(err); got != syscall.SIGTERM {
				t.Errorf("the server ended with %v", err)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// A server goes on when nobody reads any more what it prints and logs.
func TestClosedOutput(t *testing.T) {
	server := exec.Command(build(t, "pregon"), "--listen", "localhost:0", "--broker", "memory://", "--drain-notice", "0", "--drain-time", "10ms", "--log-level", "debug")
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	first, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(strings.TrimPrefix(first, "pregon is listening on "))
	_, _ = stdout.Close(), stderr.Close()
	for range 3 {
		req, err := http.NewRequest("GET", url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "logged.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusMisdirectedRequest {
			t.Error(resp.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Error("the server did not exit with 0:", err)
	}
}

// A pub that waits for a line of standard input can be stopped.
func TestPubIsStopped(t *testing.T) {
	url := serve(t, "--broker", "memory://")
	stream := hear(t, url+"/sse/chat")
	pub := exec.Command(build(t, "pregon"), "pub", "chat", "-", "--url", url)
	stdin, err := pub.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "hola\n"); err != nil {
		t.Fatal(err)
	}
	await(t, stream, "data: hola")
	if err := pub.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := pub.Wait(); killedBy(err) != syscall.SIGINT {
		t.Errorf("pub ended with %v", err)
	}
}

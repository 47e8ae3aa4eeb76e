package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// A manager is what systemd is for a service: it hears what the service says of itself (sd_notify(3)).
type manager struct {
	t    *testing.T
	path string // of its socket
	conn *net.UnixConn
}

func startManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "pregon") // a short name: that of a Unix socket has a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &manager{t: t, path: filepath.Join(dir, "notify")}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.conn.Close() })
	return m
}

// next returns what the service says next.
func (m *manager) next() string {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	said := make([]byte, 4<<10)
	n, err := m.conn.Read(said)
	if err != nil {
		m.t.Fatal("the service says nothing:", err)
	}
	return string(said[:n])
}

func (m *manager) hears(want string) {
	m.t.Helper()
	if got := m.next(); got != want {
		m.t.Errorf("the service says %q, and not %q", got, want)
	}
}

// hearsReload hears that the service reads its configuration again, since when, and that it has done so.
func (m *manager) hearsReload(began int64) {
	m.t.Helper()
	said := m.next()
	since, ok := strings.CutPrefix(said, "RELOADING=1\nMONOTONIC_USEC=")
	if at, err := strconv.ParseInt(since, 10, 64); !ok || err != nil || at < began || at > monotonic(m.t) {
		m.t.Errorf("the service says %q", said)
	}
	m.hears("READY=1")
}

// quiet fails the test where the service has said more.
func (m *manager) quiet() {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	said := make([]byte, 4<<10)
	if n, err := m.conn.Read(said); err == nil {
		m.t.Errorf("the service says %q, too", said[:n])
	}
}

// monotonic returns the time of CLOCK_MONOTONIC in microseconds.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// systemd is told, in the order in which it happens, that a service is ready, reads its configuration again, be that good
// or bad, has another main process, and stops. A service that is replaced does not say that it stops.
func TestManagerIsTold(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	config := filepath.Join(t.TempDir(), "pregon.yaml")
	writeConfig := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeConfig("rules: [{channels: [a], subscribe: anyone}]")
	var log lines
	cmd := exec.Command(buildPregon(t), "--listen", "127.0.0.1:0", "--broker", redistest.Start(t).URL(), "--config", config,
		"--drain-notice", "0", "--drain-time", "10ms")
	cmd.Env, cmd.Stderr = append(os.Environ(), "NOTIFY_SOCKET="+m.path), &log
	p := startProcess(t, cmd)
	pid := p.cmd.Process.Pid
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	m.hears("READY=1")
	for _, text := range []string{"rules: [{channels: [b], subscribe: anyone}]", "rulez:"} {
		writeConfig(text)
		began := monotonic(t)
		p.signal(syscall.SIGHUP)
		m.hearsReload(began)
	}
	writeConfig("{}")
	pid = handOver(t, &log, pid)
	said := []string{m.next(), m.next()} // by two processes
	slices.Sort(said)
	if want := []string{fmt.Sprint("MAINPID=", pid), "READY=1"}; !slices.Equal(said, want) {
		t.Errorf("the service says %q, and not %q", said, want)
	}
	if state, err := p.cmd.Process.Wait(); err != nil || !state.Success() {
		t.Error("the first process:", state, err)
	}
	m.quiet()
	_ = syscall.Kill(pid, syscall.SIGTERM)
	m.hears("STOPPING=1")
	<-p.rest
	p.over = true
	m.quiet()
}

// A program that is given its socket, as by a socket unit of systemd, serves what came there before it was started, and
// between two starts, too. Its successors get the socket likewise.
func TestSocketOfManager(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	redis := redistest.Start(t)
	for _, name := range []string{"pregon.socket", "http", ""} {
		early := askHealth(t, l.Addr().String())
		var log lines
		cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, buildPregon(t), "--listen", "127.0.0.1:1", "--broker", redis.URL(),
			"--drain-notice", "0", "--drain-time", "10ms")
		cmd.Env, cmd.Stderr, cmd.ExtraFiles = append(os.Environ(), "LISTEN_FDS=1"), &log, []*os.File{socket}
		if name != "" {
			cmd.Env = append(cmd.Env, "LISTEN_FDNAMES="+name)
		}
		p := startProcess(t, cmd)
		if p.addr != l.Addr().String() {
			t.Errorf("it serves %s, and its socket is %s", p.addr, l.Addr())
		}
		early.answered(t)
		first := p.cmd.Process.Pid
		pid := handOver(t, &log, first)
		if state, err := p.cmd.Process.Wait(); err != nil || !state.Success() {
			t.Error("the first process:", state, err)
		}
		askHealth(t, p.addr).answered(t)
		_ = syscall.Kill(pid, syscall.SIGTERM)
		<-p.rest
		p.over = true
	}
}

// A question is a request that may wait for its answer.
type question struct{ net.Conn }

func askHealth(t *testing.T, addr string) question {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return question{c}
}

func (q question) answered(t *testing.T) {
	t.Helper()
	defer q.Close()
	_ = q.SetDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(q), nil)
	if err != nil {
		t.Error(err)
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}

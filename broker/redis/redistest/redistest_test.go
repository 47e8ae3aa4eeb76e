package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server answers as soon as Start returns, and takes the arguments it is given.
func TestStart(t *testing.T) {
	s := redistest.Start(t, "--maxclients", "17")
	if got := s.MustDo("CONFIG", "GET", "maxclients"); got != "maxclients\n17" {
		t.Errorf("CONFIG GET returned %q", got)
	}
	if got := s.MustDo("CONFIG", "GET", "save"); got != "save\n" {
		t.Errorf("by default the server saves: %q", got)
	}
	if want := "redis://" + s.Addr(); s.URL() != want {
		t.Errorf("URL is %q, want %q", s.URL(), want)
	}
	if _, err := s.Do("NONSENSE"); err == nil || !strings.HasPrefix(err.Error(), "ERR unknown command") {
		t.Errorf("Do returned %v, want Redis' error reply", err)
	}
}

// A killed server is gone, and starts again at the same place with what it had
// saved in its folder.
func TestKillAndRestart(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s.MustDo("SET", "key", "value")
	s.Kill()
	if _, err := s.Do("PING"); err == nil {
		t.Error("the server answers after Kill")
	}
	s.Restart()
	if got := s.MustDo("GET", "key"); got != "value" {
		t.Errorf("after the restart the key has the value %q", got)
	}
	first := s.MustDo("INFO", "server")
	s.Restart() // also where it runs
	if first == s.MustDo("INFO", "server") {
		t.Error("Restart did not restart a server that runs")
	}
}

// A paused server accepts connections and answers nothing until it is resumed.
func TestPause(t *testing.T) {
	s := redistest.Start(t)
	c := dial(t, s.Addr())
	s.Pause()
	ask(t, c)
	if !quiet(t, c) {
		t.Error("the server answers while it is paused")
	}
	s.Resume()
	listen(t, c)
}

// A proxy forwards; while it is silent nothing arrives and nothing is closed; a
// connection that was silent stays so, and new ones work again after Restore.
func TestProxy(t *testing.T) {
	p := redistest.StartProxy(t, redistest.Start(t).Addr())
	old := dial(t, p.Addr())
	ask(t, old)
	listen(t, old)

	p.Silence()
	ask(t, old)
	during := dial(t, p.Addr())
	ask(t, during)
	if !quiet(t, old) || !quiet(t, during) {
		t.Error("something arrives during Silence")
	}

	p.Restore()
	fresh := dial(t, p.Addr())
	ask(t, fresh)
	listen(t, fresh)
	if !quiet(t, old) {
		t.Error("a connection that was silent speaks after Restore")
	}

	p.Cut()
	if _, err := fresh.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after Cut: error %v, want that of a closed connection", err)
	}
	again := dial(t, p.Addr())
	ask(t, again)
	listen(t, again)
}

// While a Proxy is mute the target hears nothing, and clients hear it; nothing is closed.
func TestMute(t *testing.T) {
	s := redistest.Start(t)
	p := redistest.StartProxy(t, s.Addr())
	old := dial(t, p.Addr())
	if _, err := io.WriteString(old, "SUBSCRIBE c\r\n"); err != nil {
		t.Fatal(err)
	}
	hear(t, old, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")

	p.Mute()
	s.MustDo("PUBLISH", "c", "x")
	hear(t, old, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n")
	during := dial(t, p.Addr())
	ask(t, during)
	if !quiet(t, during) {
		t.Error("the target answers what a mute client has asked")
	}

	p.Restore()
	fresh := dial(t, p.Addr())
	ask(t, fresh)
	listen(t, fresh)
}

// Without redis-server on PATH a test is skipped, but fails where CI is set, and
// either says how to get one.
func TestMissing(t *testing.T) {
	for _, c := range []struct{ ci, want string }{{"", "skip"}, {"true", "fail"}} {
		t.Setenv("PATH", t.TempDir())
		t.Setenv("CI", c.ci)
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			redistest.Start(r)
		}()
		<-done
		if r.outcome != c.want || !strings.Contains(r.text, "apt-get install redis-server") {
			t.Errorf("CI=%q: %s: %q; want %s and how to install it", c.ci, r.outcome, r.text, c.want)
		}
	}
}

// A recorder is a testing.TB that notes how the test was ended.
type recorder struct {
	testing.TB
	outcome, text string
}

func (r *recorder) Skip(args ...any)  { r.end("skip", args[0].(string)) }
func (r *recorder) Fatal(args ...any) { r.end("fail", args[0].(string)) }

func (r *recorder) end(outcome, text string) {
	r.outcome, r.text = outcome, text
	runtime.Goexit()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ask(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "PING\r\n"); err != nil {
		t.Fatal(err)
	}
}

// hear fails the test unless the target says what is wanted next.
func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v, want %q", got[:n], err, want)
	}
}

// listen fails the test unless the answer to ask comes.
func listen(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "+PONG\r\n" {
		t.Fatalf("read %q, %v", answer, err)
	}
}

// quiet reports whether nothing comes, not even the end, for a moment that is
// long for loopback.
func quiet(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Sentinels name the master, and the other server after a failover, which somebody
// asks for or which they begin when the master is killed.
func TestSentinels(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(s *redistest.Sentinels){
		"asked for":     (*redistest.Sentinels).Failover,
		"master killed": (*redistest.Sentinels).KillMaster,
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.StartSentinels(t, 3)
			first, second := s.Servers[0], s.Servers[1]
			if s.Master() != first {
				t.Fatal("the master is not the first server")
			}
			fail(s)
			for deadline := time.Now().Add(30 * time.Second); s.Master() != second; {
				if time.Now().After(deadline) {
					t.Fatal("the second server does not become the master")
				}
				time.Sleep(10 * time.Millisecond) // between attempts
			}
			if role := second.MustDo("ROLE"); !strings.HasPrefix(role, "master") {
				t.Errorf("the new master says that it is a %q", role)
			}
		})
	}
}

// A master that is silent for a while, as on a busy machine, is not taken for dead.
func TestSentinelsArePatient(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinels(t, 1)
	s.Master().MustDo("CLIENT", "PAUSE", "3000", "ALL")
	about := ""
	for silent := 0; silent < 1500; time.Sleep(10 * time.Millisecond) { // between attempts
		_, about, _ = strings.Cut(s.Watch[0].MustDo("SENTINEL", "MASTER", redistest.MasterName), "\nflags\n")
		_, since, _ := strings.Cut(about, "\nlast-ok-ping-reply\n")
		if _, err := fmt.Sscan(since, &silent); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(about, "master\n") {
		t.Errorf("the Sentinel says of the master: %.20q", about)
	}
}

package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// A want is how a node comes to lack descriptors.
type want struct {
	most    int                         // that it has at the start
	exhaust func(t *testing.T, pid int) // what is left of them is taken away, too
	room    bool                        // the node has seen to it that a key can come, and that it can connect to Redis
	secure  bool                        // it serves TLS
}

// A node whose descriptors are used up, by clients that come again and again where they are refused, is
// neither busy with that nor full of words about it. Its listeners stay and hear everything, a key
// publishes, and once the others have gone, there is room as before, without anybody's help.
func TestDescriptorsExhausted(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]want{
		"by its own limit":           {most: 200, exhaust: func(*testing.T, int) {}, room: true},
		"by its own limit, with TLS": {most: 200, exhaust: func(*testing.T, int) {}, room: true, secure: true},
		"by the system":              {most: 1000, exhaust: func(t *testing.T, pid int) { limitDescriptors(t, pid, openDescriptors(t, pid)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exhaust(t, w)
		})
	}
}

func exhaust(t *testing.T, w want) {
	const key = "key-of-the-backend-00001"
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	var log lines
	redis := redistest.Start(t)
	dial, tlsFlags := new(net.Dialer).DialContext, []string(nil)
	if w.secure {
		cert, private, trust := certificateFiles(t)
		dial, tlsFlags = (&tls.Dialer{Config: trust}).DialContext, []string{"--tls-cert", cert, "--tls-key", private}
	}
	cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, w.most), buildPregon(t),
		"--listen", "localhost:0", "--broker", redis.URL(), "--history", "5m", "--publish-key", "@"+secret, "--log-level", "debug",
		"--drain-notice", "0", "--drain-time", "10ms")
	cmd.Args = append(cmd.Args, tlsFlags...)
	cmd.Stderr = &log
	p := startProcess(t, cmd)
	pid := p.cmd.Process.Pid

	c := newChaos(t, p.addr)
	c.dial = dial
	c.load.client.Transport = keyed{key, &http.Transport{DialContext: dial, MaxConnsPerHost: 8, MaxIdleConnsPerHost: 8}}
	c.load.pace(200)
	c.steady(12)
	c.add("live", func(ctx context.Context, v *visitor) { v.listenWS(ctx, overLive, forever) })
	c.publish(true)
	c.goesOn()
	before := openDescriptors(t, pid)

	others := newThrong(dial)
	others.grow(p.addr, 100)
	comesTrue(t, "there are others", func() bool { return others.in.Load() >= 60 })
	w.exhaust(t, pid)
	others.grow(p.addr, 200)
	computed, began := processorTime(t, pid), time.Now()
	for time.Since(began) < 1500*time.Millisecond {
		c.goesOn()
		if w.room {
			publishAnew(t, dial, p.addr, key)
		}
		if open := openDescriptors(t, pid); open > w.most-maxBroker {
			t.Errorf("%d descriptors are open of %d", open, w.most)
		}
	}
	redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub") // and somebody else is first to take its descriptor
	c.goesOn()
	if w.room {
		c.heard()
	}
	lasted, spent := time.Since(began), processorTime(t, pid)-computed
	if spent > lasted*3/4 { // handshakes of TLS are work, too
		t.Errorf("it has computed for %v of %v", spent, lasted)
	}
	t.Logf("%d listen; %d answers were refusals, and %d connections closed without one; the node has computed for %v of %v",
		others.in.Load(), others.refusals.Load(), others.unanswered.Load(), spent, lasted)

	others.disperse()
	limitDescriptors(t, pid, w.most)
	comesTrue(t, "descriptors are free again", func() bool { return openDescriptors(t, pid) <= before+toRedis })
	late := newThrong(dial)
	late.grow(p.addr, 30)
	comesTrue(t, "there is room for others", func() bool { return late.in.Load() == 20 })
	late.disperse()
	c.finish(true, true)
	p.terminate()
	checkExhaustedLog(t, &log, w)
}

const (
	maxBroker = 4  // descriptors that are left for more connections to Redis
	toRedis   = 20 // connections that a node on two processors may have there
)

// checkExhaustedLog checks that a node has said once that it lacks descriptors.
func checkExhaustedLog(t *testing.T, log *lines, w want) {
	t.Helper()
	for text, wanted := range map[string]bool{"no room for more": w.room, "cannot be accepted": !w.room} {
		said := strings.Count(log.containing(text), "\n")
		if wanted && said != 1 || !wanted && said > 0 {
			t.Errorf("it has said %d times: %s", said, text)
		}
	}
	if w.room && log.containing("too many open files") != "" {
		t.Error(log.containing("too many open files"))
	}
	warned := log.containing("level=WARN") + log.containing("level=ERROR")
	if strings.Count(warned, "\n") > 10 {
		t.Errorf("it has said too much:\n%s", warned)
	}
	if tried := strings.Count(log.containing("http: Accept error"), "\n"); tried > 30 { // it waits up to a second
		t.Errorf("it has tried %d times to accept", tried)
	}
	t.Log(warned)
}

// publishAnew publishes with a key over a connection of its own. A connection that is closed without an
// answer is tried again.
func publishAnew(t *testing.T, dial dialer, addr, key string) {
	t.Helper()
	if !await(func() bool {
		conn, err := dial(t.Context(), "tcp", addr)
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, "POST /publish/other?message=x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+key+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		status, _ := bufio.NewReader(conn).ReadString('\n')
		if status != "" && !strings.Contains(status, " 200 ") {
			t.Logf("a key is answered %q", status)
		}
		return strings.Contains(status, " 200 ")
	}) {
		t.Fatal("no key can publish")
	}
}

// A keyed transport makes requests with a key, over few connections.
type keyed struct {
	key  string
	pool *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+k.key)
	return k.pool.RoundTrip(r)
}

// A dialer opens a connection.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// A throng is clients that want to listen, and come again where they are refused.
type throng struct {
	dial       dialer
	ctx        context.Context
	leave      context.CancelFunc
	there      sync.WaitGroup
	in         atomic.Int64 // those that listen
	refusals   atomic.Int64 // answers that were none of 101
	unanswered atomic.Int64 // connections that were closed without an answer
}

func newThrong(dial dialer) *throng {
	c := &throng{dial: dial}
	c.ctx, c.leave = context.WithCancel(context.Background())
	return c
}

// grow adds so many clients. A third of them say nothing.
func (c *throng) grow(addr string, clients int) {
	for i := range clients {
		c.there.Go(func() {
			for c.ctx.Err() == nil {
				c.listen(addr, i%3 == 2)
				pause(c.ctx, time.Duration(200+rand.IntN(400))*time.Millisecond)
			}
		})
	}
}

// listen returns when the client is refused or disconnected, or the throng leaves.
func (c *throng) listen(addr string, silent bool) {
	conn, err := c.dial(c.ctx, "tcp", addr)
	if err != nil {
		c.unanswered.Add(1)
		return
	}
	defer context.AfterFunc(c.ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	if !silent {
		_, _ = io.WriteString(conn, handshakeTo("/ws/throng"))
	}
	in := bufio.NewReader(conn)
	switch status, _ := in.ReadString('\n'); {
	case strings.Contains(status, " 101 "):
		c.in.Add(1)
		_, _ = io.Copy(io.Discard, in)
		c.in.Add(-1)
	case status == "":
		c.unanswered.Add(1)
	default:
		c.refusals.Add(1)
	}
}

// disperse has all leave.
func (c *throng) disperse() {
	c.leave()
	c.there.Wait()
}

// openDescriptors returns how many a process has open.
func openDescriptors(t *testing.T, pid int) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// limitDescriptors bounds how many a process may have open.
func limitDescriptors(t *testing.T, pid, most int) {
	t.Helper()
	var l unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &l); err != nil {
		t.Fatal(err)
	}
	l.Cur = uint64(most)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &l, nil); err != nil {
		t.Fatal(err)
	}
}

// processorTime returns how long a process has computed.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
	user, _ := strconv.Atoi(fields[12])
	system, _ := strconv.Atoi(fields[13])
	return time.Duration(user+system) * 10 * time.Millisecond // ticks of the system, a hundred per second
}

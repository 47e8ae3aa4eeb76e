package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// A pipeListener accepts one end of pipes, which have the time of a bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

func listenOnPipes() pipeListener {
	ctx, cancel := context.WithCancel(context.Background())
	return pipeListener{make(chan net.Conn), ctx, cancel}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error { l.close(); return nil }

func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l pipeListener) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// A body that comes too slowly is answered as that, and the connection closed;
// one that takes its time, but not too long, is published.
func TestFoundSlowBody(t *testing.T) {
	for _, c := range []struct {
		bytes, status int
		code          string
	}{{100, 408, "body_too_slow"}, {29, 200, ""}} {
		synctest.Test(t, func(t *testing.T) {
			b, l := memory.New(), listenOnPipes()
			s, err := server.New(context.Background(), server.Options{Broker: b, Logger: slog.New(slog.DiscardHandler), DrainTime: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- s.Serve(ctx, l) }()
			defer func() { cancel(); <-served; _ = s.Close(); _ = b.Close() }()

			conn := l.dial()
			var writing sync.WaitGroup
			defer writing.Wait()
			defer conn.Close()
			writing.Go(func() {
				_, _ = fmt.Fprintf(conn, "POST /publish/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", c.bytes)
				for range c.bytes {
					time.Sleep(time.Second)
					if _, err := conn.Write([]byte("x")); err != nil {
						return
					}
				}
			})
			answer := bufio.NewReader(conn)
			resp, err := http.ReadResponse(answer, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			checkAnswer(t, badInput{status: c.status, code: c.code}, resp, string(body))
			if c.status == 408 {
				if _, err := answer.ReadByte(); err == nil || !resp.Close {
					t.Error("the connection was not closed")
				}
			}
		})
	}
}

// What has come of all bodies together is bounded, whatever their length is said
// to be. Short ones are always taken, and long ones again when others have gone.
func TestFoundBodiesTogether(t *testing.T) {
	n := start(t, server.Options{MaxMessage: 64 << 10, MaxBodies: 1 << 20})
	long := strings.Repeat("x", 60<<10)
	begin := fmt.Sprintf("POST /publish/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(long))
	var halves []net.Conn
	refused := 0
	for range 60 { // of which 44 KiB each count
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, begin+long[1:]); err != nil {
			t.Fatal(err)
		}
		halves = append(halves, conn)
	}
	for refused == 0 { // until as many as can have come
		resp, body := n.raw(post("/publish/c", long))
		if resp.StatusCode == http.StatusOK {
			continue
		}
		refused++
		checkAnswer(t, badInput{status: 503, code: "too_many_bodies"}, resp, body)
		if resp.Header.Get("Retry-After") == "" || !resp.Close {
			t.Error(resp.Header)
		}
	}
	n.publish("c", strings.Repeat("x", 16<<10))
	if status, body := n.post("/publish", "application/json", `{"channel":"c","data":"short"}`); status != 200 {
		t.Error(status, body)
	}
	for _, conn := range halves {
		_ = conn.Close()
	}
	for end := time.Now().Add(patience); ; {
		resp, body := n.raw(post("/publish/c", long))
		if resp.StatusCode == http.StatusOK {
			return
		} else if time.Now().After(end) {
			t.Fatal("still refused:", resp.Status, body)
		}
	}
}

// Of a request whose length was given in two ways, nothing that follows is
// executed; a proxy may have taken it for a part of the first.
func TestFoundTwoLengths(t *testing.T) {
	n := start(t, server.Options{})
	c := n.ws("/ws/c")
	smuggled := post("/publish/c", "smuggled")
	for _, request := range []string{
		"POST /publish/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"POST /publish/c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, request+smuggled); err != nil {
			t.Fatal(err)
		}
		all, _ := io.ReadAll(conn)
		_ = conn.Close()
		if got := strings.Count(string(all), "HTTP/1.1 "); got != 1 || !strings.Contains(string(all), "Connection: close") {
			t.Errorf("%d answers: %s", got, all)
		}
	}
	n.publish("c", "canary")
	for got := ""; got != "[c] canary"; {
		if got = read(t, c); strings.Contains(got, "smuggled") {
			t.Error("heard", got)
		}
	}
}

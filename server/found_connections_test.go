//go:build unix

package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server with few descriptors, whatever connections it is given, answers those
// who come next, and says in one line that it has no room.
func TestFoundConnectionsBeyondTheLimit(t *testing.T) {
	program := buildPregon(t)
	const (
		probe  = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
		listen = "GET /sse/chat HTTP/1.1\r\nHost: localhost\r\n\r\n"
		begin  = "POST /publish/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
	)
	for name, c := range map[string]struct {
		fill    func(t *testing.T, addr string)
		publish int // the status
	}{
		"idle":   {func(t *testing.T, addr string) { occupy(t, addr, 600, probe) }, 200},
		"silent": {func(t *testing.T, addr string) { occupy(t, addr, 600, "") }, 200},
		"listening, and idle": {func(t *testing.T, addr string) {
			occupy(t, addr, 300, listen)
			occupy(t, addr, 300, probe)
		}, 200},
		"silent, and some that send": {func(t *testing.T, addr string) {
			occupy(t, addr, 600, "")
			occupy(t, addr, 200, begin)
		}, 200},
		"all sending": {func(t *testing.T, addr string) { occupy(t, addr, 300, begin) }, 503},
		"all sending over HTTP/2": {func(t *testing.T, addr string) {
			sendOverHTTP2(t, addr, 200)
			sendOverHTTP2(t, addr, 200)
		}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			var out lines
			cmd := exec.Command("sh", "-c", `ulimit -n 300 && exec "$0" "$@"`, program,
				"--listen", "127.0.0.1:0", "--broker", "memory://", "--drain-notice", "0", "--drain-time", "10ms")
			cmd.Stderr = &out
			p := startProcess(t, cmd)
			c.fill(t, p.addr)
			end := time.Now().Add(patience)
			web := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}
			defer web.CloseIdleConnections()
			for range 3 {
				type ask struct {
					method, path string
					status       int
				}
				asks := []ask{{"POST", "/publish/chat?message=x", c.publish}, {"GET", "/healthz", 200}}
				if c.publish == 503 { // an EventSource is to come back
					asks = append(asks, ask{"GET", "/sse/chat", 200})
				}
				for _, ask := range asks {
					req, _ := http.NewRequest(ask.method, "http://"+p.addr+ask.path, nil)
					resp, err := web.Do(req)
					for ; err != nil && c.publish == 503 && time.Now().Before(end); resp, err = web.Do(req) {
						time.Sleep(10 * time.Millisecond) // it was closed: others are being refused
					}
					if err != nil {
						t.Fatal(err)
					}
					body, _ := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode != ask.status || ask.status == 503 && !resp.Close {
						t.Errorf("%s: %s %v %s", ask.path, resp.Status, resp.Header, body)
					}
				}
				web.CloseIdleConnections()
			}
			for out.containing("no room") == "" && time.Now().Before(end) {
				time.Sleep(time.Millisecond) // it comes through a pipe
			}
			if got := out.containing("no room"); strings.Count(got, "\n") != 1 {
				t.Errorf("logged %q", got)
			}
			if got := out.containing("too many open files"); got != "" {
				t.Errorf("logged %q", got)
			}
		})
	}
}

// occupy opens connections until the test ends, and says the same on each, if
// anything, until it is answered.
func occupy(t *testing.T, addr string, n int, request string) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if request == "" {
			continue
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = fmt.Fprint(c, request)
		_, _ = bufio.NewReader(c).ReadString('\n') // an answer, or the end
	}
}

// sendOverHTTP2 begins requests on one connection, whose bodies never come. It returns when the server
// has asked for each body, or has answered without.
func sendOverHTTP2(t *testing.T, addr string, requests int) {
	t.Helper()
	n := (&node{t: t, addr: addr}).overHTTP2()
	n.warm()
	two := n.pool
	two.ExpectContinueTimeout = patience
	body, never := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	var begun, ended sync.WaitGroup
	for range requests {
		begun.Add(1)
		begin := sync.OnceFunc(begun.Done)
		ended.Go(func() {
			defer begin()
			r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: begin}),
				http.MethodPost, "http://"+addr+"/publish/chat", io.NopCloser(body))
			r.ContentLength = 9
			r.Header.Set("Expect", "100-continue")
			if resp, err := two.RoundTrip(r); err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	t.Cleanup(func() { cancel(); _ = never.Close(); ended.Wait(); two.CloseIdleConnections() })
	begun.Wait()
}

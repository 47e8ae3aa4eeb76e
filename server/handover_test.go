//go:build unix

package server_test

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
)

var (
	handoverTimes    = flag.Int("handover.times", 0, "how many hand-overs TestHandover makes")
	handoverConnects = flag.Int("handover.connects", 0, "how many connects TestHandover makes at least")
)

var takenOver = regexp.MustCompile(`another process has taken over" pid=(\d+)`)

var operatorsAt = regexp.MustCompile(`operators may ask" address=(\S+)`)

// A program that is replaced on its machine, again and again, refuses and resets no connection:
// each one, with its request, is served by one of the two processes. They exit with 0.
func TestHandover(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]string{"one socket": "127.0.0.1:0", "localhost": "localhost:0"} {
		t.Run(name, func(t *testing.T) {
			var log lines
			cmd := exec.Command(buildPregon(t), "--listen", listen, "--broker", redistest.Start(t).URL(), "--history", "5m", "--admin", listen,
				"--drain-notice", "100ms", "--drain-time", "100ms")
			cmd.Stderr = &log
			p := startProcess(t, cmd)
			pid := p.cmd.Process.Pid
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })

			c := startConnecting(p.addr)
			times := longForm(*handoverTimes, 3)
			for i := range times {
				pid = handOver(t, &log, pid)
				if i == 0 {
					if state, err := p.cmd.Process.Wait(); err != nil || !state.Success() { // and not for its heirs
						t.Error("the first process:", state, err)
					}
				}
			}
			comesTrue(t, "enough connects", func() bool { return c.made() >= longForm(*handoverConnects, 500) })
			for _, fault := range c.stop() {
				t.Error(fault)
			}
			at := operatorsAt.FindStringSubmatch(log.containing("operators may ask"))[1]
			if resp, err := http.Get("http://" + at + "/metrics"); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
				t.Error("the last one has no operators:", resp, err)
			}
			t.Logf("%d connects during %d hand-overs", c.made(), times)
			_ = syscall.Kill(pid, syscall.SIGTERM)
			<-p.rest // the last one has ended
			p.over = true
		})
	}
}

// handOver has a process replaced, and returns the id of the next one. They share a log. It asks again where the next one has
// found the broker too slow, as it may be on a busy machine.
func handOver(t *testing.T, log *lines, pid int) (next int) {
	t.Helper()
	successors := func() [][]string { return takenOver.FindAllStringSubmatch(log.containing("taken over"), -1) }
	failures := func() int { return strings.Count(log.containing("level=ERROR"), "this one goes on") }
	ask := func() {
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
	}
	before, failed := len(successors()), failures()
	ask()
	comesTrue(t, "another process has taken over", func() bool {
		if now := failures(); now > failed {
			failed = now
			ask()
		}
		return len(successors()) > before
	})
	next, _ = strconv.Atoi(successors()[before][1])
	return next
}

// Where no other process gets ready, the one there goes on, and says why.
func TestHandoverThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broker string
		spoil  func(program string) error
		why    string
	}{
		"broken program":          {"", func(p string) error { return os.WriteFile(p, []byte("#!/bin/sh\nexit 3\n"), 0o700) }, "exit status 3"},
		"no program":              {"", os.Remove, "start "},
		"a broker in the process": {"memory://", func(string) error { return nil }, "is in this one"},
	} {
		t.Run(name, func(t *testing.T) {
			program := t.TempDir() + "/pregon"
			if err := os.Link(buildPregon(t), program); err != nil {
				text, _ := os.ReadFile(buildPregon(t))
				if err := os.WriteFile(program, text, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if c.broker == "" {
				c.broker = redistest.Start(t).URL()
			}
			var log lines
			cmd := exec.Command(program, "--listen", "127.0.0.1:0", "--broker", c.broker, "--drain-notice", "0", "--drain-time", "10ms")
			cmd.Stderr = &log
			p := startProcess(t, cmd)
			if err := spoil(program, c.spoil); err != nil {
				t.Fatal(err)
			}
			p.signal(syscall.SIGUSR2)
			comesTrue(t, "said why", func() bool { return strings.Contains(log.containing("level=ERROR"), c.why) })
			if err := connectOnce(p.addr); err != nil {
				t.Error(err)
			}
			p.terminate()
		})
	}
}

// spoil puts something else in the place of a program that runs, which its file outlives.
func spoil(program string, how func(string) error) error {
	if err := os.Rename(program, program+".old"); err != nil {
		return err
	}
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		return err
	}
	return how(program)
}

// A connecting opens one connection after the other, each for one request, from several at once.
type connecting struct {
	mu     sync.Mutex
	count  int
	faults []string
	done   chan struct{}
	tasks  sync.WaitGroup
}

func startConnecting(addr string) *connecting {
	c := &connecting{done: make(chan struct{})}
	for range 4 {
		c.tasks.Go(func() { c.run(addr) })
	}
	return c
}

func (c *connecting) run(addr string) {
	for {
		select {
		case <-c.done:
			return
		default:
		}
		err := connectOnce(addr)
		c.mu.Lock()
		c.count++
		if err != nil {
			c.faults = append(c.faults, fmt.Sprintf("connect %d: %v", c.count, err))
		}
		c.mu.Unlock()
	}
}

func (c *connecting) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *connecting) stop() []string {
	close(c.done)
	c.tasks.Wait()
	return c.faults
}

// connectOnce publishes by a connection of its own. That the broker is too slow, as on a busy machine, is an answer, too.
func connectOnce(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "POST /publish/c?message=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", http.StatusOK)) && !strings.Contains(string(answer), `"broker_unavailable"`) {
		return fmt.Errorf("answered %q", answer)
	}
	return nil
}

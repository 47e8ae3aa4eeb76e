package server_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A process is a node in a process of its own.
type process struct {
	t    *testing.T
	addr string
	cmd  *exec.Cmd
	rest chan struct{} // closed when its output has ended
	over bool
}

// builtIn is the folder of the program that tests run. TestMain removes it.
var builtIn string

// builtPregon builds the program, once for all tests.
var builtPregon = sync.OnceValues(func() (program string, err error) {
	if builtIn, err = os.MkdirTemp("", "pregon-test"); err != nil {
		return "", err
	}
	program = filepath.Join(builtIn, "pregon")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "../cmd/pregon").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// buildPregon returns the path of the program.
func buildPregon(t *testing.T) string {
	t.Helper()
	program, err := builtPregon()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// startPregon starts a node on a Redis, with history.
func startPregon(t *testing.T, program, redis string) *process {
	t.Helper()
	args := []string{"--listen", "127.0.0.1:0", "--broker", redis,
		"--history", "5m", "--history-size", "10000", "--drain-time", "200ms", "--log-level", "error"}
	if program != *upgradeOld { // which may not know it
		args = append(args, "--drain-notice", "0")
	}
	return startProcess(t, exec.Command(program, args...))
}

// startProcess starts a node by a command. It does not outlive the test.
func startProcess(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, rest: make(chan struct{}), cmd: cmd}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test has ended before
		if !p.over {
			_ = p.cmd.Process.Kill()
			<-p.rest
			_ = p.cmd.Wait()
		}
	})
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	go func() {
		defer close(p.rest)
		_, _ = io.Copy(io.Discard, lines)
	}()
	_, address, ok := strings.Cut(strings.TrimSpace(first), "pregon is listening on http")
	if err != nil || !ok {
		t.Fatalf("the node printed %q: %v", first, err)
	}
	_, p.addr, _ = strings.Cut(address, "://")
	return p
}

// terminate asks the process to end, and fails the test where it does not exit with
// 0.
func (p *process) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	<-p.rest
	p.over = true
	if err := p.cmd.Wait(); err != nil {
		p.t.Error("a node that was asked to end:", err)
	}
}

// signal sends the process a signal.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends the process as a crash does.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.rest
	p.over = true
	_ = p.cmd.Wait() // which says that it was killed
}

// A fleet is the nodes of a chaos, each in a process of its own.
type fleet struct {
	chaos   *chaos
	redis   string
	running []*process
}

// startFleet starts a node on a Redis for each of the programs.
func startFleet(c *chaos, redis string, programs ...string) *fleet {
	f := &fleet{chaos: c, redis: redis}
	for _, program := range programs {
		p := startPregon(c.t, program, redis)
		f.running = append(f.running, p)
		c.nodes = append(c.nodes, p.addr)
	}
	return f
}

// replace starts a node in place of another, sends clients there, and ends the other,
// which must exit with 0.
func (f *fleet) replace(i int, program string) {
	f.chaos.t.Helper()
	fresh := startPregon(f.chaos.t, program, f.redis)
	f.chaos.mu.Lock()
	f.chaos.nodes[i] = fresh.addr
	f.chaos.mu.Unlock()
	f.running[i].terminate()
	f.running[i] = fresh
}

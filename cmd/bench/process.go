package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTime = 30 * time.Second // until a server has told its address
	stopTime  = 10 * time.Second // until one that was told to stop is killed
)

// exitUsage is how a server ends that was not understood, as by a bad broker URL.
const exitUsage = 2

// Greeting begins the line in which a server tells its address.
const Greeting = "pregon is listening on "

// A process is a server that was started for one round.
type process struct {
	target target
	cmd    *exec.Cmd
	log    *tail
	done   chan struct{} // closed once it has ended
}

// startProcess returns when the server has told its address. The caller stops
// it.
func startProcess(ctx context.Context, cmd *exec.Cmd) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	address := &greeting{found: make(chan string, 1)}
	p := &process{cmd: cmd, log: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = address, p.log, childAttr()
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread() // a child that dies with its parent dies with the parent's thread
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // whether it served is seen elsewhere
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if err := p.await(ctx, address.found); err != nil {
		p.stop()
		return nil, fmt.Errorf("start the server: %w", err)
	}
	return p, nil
}

func (p *process) await(ctx context.Context, address <-chan string) (err error) {
	select {
	case found := <-address:
		p.target, err = newTarget(found, p.cmd.Process.Pid)
		return err
	case <-p.done:
		err = fmt.Errorf("it has ended: %s", p.log.lastLine())
		if p.cmd.ProcessState.ExitCode() == exitUsage {
			err = fmt.Errorf("%w%w", err, silent{ErrOptions})
		}
		return err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("it has not told its address: %s", p.log.lastLine())
		}
		return errInterrupted
	}
}

// stop ends the process and waits for it.
func (p *process) stop() {
	if p.cmd.Process.Signal(syscall.SIGTERM) == nil {
		select {
		case <-p.done:
			return
		case <-time.After(stopTime):
		}
	}
	_ = p.cmd.Process.Kill() // fails only where it has ended
	<-p.done
}

// A greeting is a writer that finds the address in what a server prints.
type greeting struct {
	text  []byte
	found chan string // takes one address
	done  bool
}

// Write implements io.Writer.
func (g *greeting) Write(p []byte) (int, error) {
	if g.done {
		return len(p), nil
	}
	g.text = append(g.text, p...)
	_, after, ok := bytes.Cut(g.text, []byte(Greeting))
	if line, _, whole := bytes.Cut(after, []byte("\n")); ok && whole {
		g.done = true
		g.found <- strings.TrimSpace(string(line))
	}
	g.text = g.text[max(0, len(g.text)-maxTail):]
	return len(p), nil
}

// maxTail is how many bytes of a server's log are kept.
const maxTail = 4 << 10

// A tail is a writer that keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(p), nil
}

func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "pregon: ")
}

// explain adds the last that the server has logged.
func (p *process) explain(err error) error {
	if line := p.log.lastLine(); line != "" {
		return fmt.Errorf("%w (the server says: %s)", err, line)
	}
	return err
}

//go:build unix

package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pregon/pregon/server"
)

// readyTime is how long a new process may take: more than an unhurried start, with a broker to be
// examined.
const readyTime = 30 * time.Second

// readyLine is what the new process says.
const readyLine = "ready\n"

// Signals returns a channel on which the wish for another process comes, SIGUSR2, until stop is called.
func Signals() (wishes <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR2)
	return c, func() { signal.Stop(c) }
}

// Replace starts the program anew, with the same arguments, and waits until it is about to accept from the same
// sockets. It returns its process id. With an error everything is as it was: the new process is gone.
func (l *Listeners) Replace(ctx context.Context) (pid int, err error) {
	files, called, err := l.files()
	defer func() { closeAll(files) }()
	if err != nil {
		return 0, err
	}
	listening, ready, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("open a pipe: %w", err)
	}
	defer func() { _ = listening.Close() }()
	files = append(files, ready)
	next := exec.Command(l.program, os.Args[1:]...)
	next.Args[0] = os.Args[0]
	next.Stdin, next.Stdout, next.Stderr = os.Stdin, os.Stdout, os.Stderr
	next.ExtraFiles = files
	next.Env = append(os.Environ(),
		envDescriptors+"="+strconv.Itoa(len(called)), envNames+"="+strings.Join(called, ":"),
		envParent+"="+strconv.Itoa(os.Getpid()), envReady+"="+strconv.Itoa(firstDescriptor+len(called)))
	if err := next.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", l.program, err)
	}
	_ = ready.Close() // the new process has its own
	if err := awaitReady(ctx, listening); err != nil {
		_ = next.Process.Kill()
		return 0, fmt.Errorf("the new process %w (%w)", err, ended(next.Wait()))
	}
	return next.Process.Pid, nil
}

// awaitReady waits until the other end says that it is ready, for no longer than readyTime.
func awaitReady(ctx context.Context, from *os.File) error {
	if err := from.SetReadDeadline(time.Now().Add(readyTime)); err != nil {
		return fmt.Errorf("cannot be waited for: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = from.SetReadDeadline(time.Now()) })()
	line := make([]byte, len(readyLine))
	n, err := from.Read(line)
	switch {
	case string(line[:n]) == readyLine:
		return nil
	case ctx.Err() != nil:
		return errors.New("was given up, as this one is to stop")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("was not ready within %v", readyTime)
	}
	return errors.New("ended before it was ready")
}

// ended says how a process did.
func ended(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// files returns a descriptor for each of the sockets that were taken, and their names.
func (l *Listeners) files() (files []*os.File, called []string, err error) {
	for _, t := range l.taken {
		for _, socket := range server.Sockets(t.listener) {
			tcp, ok := socket.(*net.TCPListener)
			if !ok {
				return files, nil, fmt.Errorf("the listener of %s cannot be passed on", t.name)
			}
			f, err := duplicate(tcp)
			if err != nil {
				return files, nil, fmt.Errorf("pass on the listener of %s: %w", t.name, err)
			}
			files, called = append(files, f), append(called, t.name)
		}
	}
	return files, called, nil
}

// duplicate returns a descriptor of l's socket. TCPListener.File would not do: giving what it returns to
// a process makes the socket blocking, in this process, too, where nothing could close l any more.
func duplicate(l *net.TCPListener) (f *os.File, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	failed := raw.Control(func(fd uintptr) {
		var copied int
		if copied, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			f = os.NewFile(uintptr(copied), "listener")
		}
	})
	return f, errors.Join(failed, err)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // a copy, or closed already
	}
}

// adopt makes a listener of a descriptor, which it closes.
func adopt(fd uintptr) (net.Listener, error) {
	f := os.NewFile(fd, "socket")
	defer func() { _ = f.Close() }() // the listener has a copy
	kind, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil {
		return nil, fmt.Errorf("it is no socket: %w", err)
	}
	accepts, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if kind != syscall.SOCK_STREAM || err != nil || accepts == 0 {
		return nil, errors.New("it is no stream socket that listens (ListenStream=, with Accept=no)")
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if _, tcp := l.(*net.TCPListener); !tcp {
		_ = l.Close()
		return nil, errors.New("it is no TCP socket")
	}
	return l, nil
}

// pipe opens the pipe to the process that has started this one.
func pipe(descriptor string) (*os.File, error) {
	fd, err := strconv.Atoi(descriptor)
	if err != nil || fd < firstDescriptor {
		return nil, errors.New("HANDOVER_READY is no descriptor")
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready"), nil
}

package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pregon/pregon/server"
)

// The names of listeners, and what else each may be called in LISTEN_FDNAMES.
const (
	HTTP     = "http"
	Admin    = "admin"
	Redirect = "redirect"
)

var names = map[string]string{
	HTTP: HTTP, "pregon": HTTP, "unknown": HTTP, // which is what sd_listen_fds_with_names(3) says of one without
	Admin: Admin, Redirect: Redirect,
}

// ErrInherited is wrapped by what is wrong with the sockets that the process was given.
var ErrInherited = errors.New("sockets that were passed on (LISTEN_FDS)")

// Listeners are those of a process. It belongs to one goroutine until it serves, and to the one that
// calls Replace then.
type Listeners struct {
	program   string // as it was found at the start: an upgrade puts another one there
	inherited map[string][]net.Listener
	taken     []taken
	ready     *os.File // where another process waits to be told; else nil
}

// A taken listener is one that Listen has returned.
type taken struct {
	name     string
	listener net.Listener
}

// Inherit takes the sockets that the process was given, and unsets the variables that say so. An
// error wraps ErrInherited.
func Inherit() (*Listeners, error) {
	l := &Listeners{program: program(), inherited: map[string][]net.Listener{}}
	e := takeEnvironment()
	if !e.ours() {
		return l, nil
	}
	if err := l.inherit(e); err != nil {
		l.Close()
		return nil, fmt.Errorf("%w: %w", ErrInherited, err)
	}
	return l, nil
}

// program returns the path by which the program was started. A symbolic link stays one: an upgrade
// may point it elsewhere.
func program() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		path, _ = os.Executable() // Replace tells of an empty one
	}
	return path
}

// firstDescriptor is SD_LISTEN_FDS_START.
const firstDescriptor = 3

// maxDescriptors bounds what may be passed on: two sockets for each name are four times enough.
const maxDescriptors = 24

func (l *Listeners) inherit(e environment) error {
	n, err := strconv.Atoi(e.descriptors)
	if err != nil || n < 0 || n > maxDescriptors {
		return fmt.Errorf("their number is none from 0 to %d", maxDescriptors)
	}
	called := slices.Repeat([]string{HTTP}, n)
	if e.names != "" {
		called = strings.Split(e.names, ":")
	}
	if len(called) != n {
		return fmt.Errorf("there are %d, with %d names in LISTEN_FDNAMES", n, len(called))
	}
	if e.ready != "" {
		if l.ready, err = pipe(e.ready); err != nil {
			return err
		}
	}
	for i, name := range called {
		known := names[strings.TrimSuffix(name, ".socket")]
		if known == "" {
			return fmt.Errorf("%q is none of pregon, http, admin and redirect", name)
		}
		socket, err := adopt(uintptr(firstDescriptor + i))
		if err != nil {
			return fmt.Errorf("descriptor %d, %s: %w", firstDescriptor+i, name, err)
		}
		l.inherited[known] = append(l.inherited[known], socket)
	}
	return nil
}

// Listen returns the inherited listener of a name, and where there is none what open returns. The
// caller closes it.
func (l *Listeners) Listen(name string, open func() (net.Listener, error)) (net.Listener, error) {
	sockets := l.inherited[name]
	if len(sockets) == 0 {
		opened, err := open()
		if err == nil {
			l.taken = append(l.taken, taken{name, opened})
		}
		return opened, err
	}
	adopted, err := server.Adopt(sockets)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInherited, name, err)
	}
	delete(l.inherited, name)
	l.taken = append(l.taken, taken{name, adopted})
	return adopted, nil
}

// Unused returns an error where there is an inherited socket that nobody has asked for: what comes
// there would wait for ever.
func (l *Listeners) Unused() error {
	for name := range l.inherited {
		return fmt.Errorf("%w: there is one for %s, which nothing here serves", ErrInherited, name)
	}
	return nil
}

// HandedOver reports whether another process goes on serving where this one does not get ready.
func (l *Listeners) HandedOver() bool { return l.ready != nil }

// Ready tells the process that has started this one, and systemd, that it serves now.
func (l *Listeners) Ready() error {
	if l.ready == nil {
		return Notify("READY=1")
	}
	_, err := l.ready.WriteString(readyLine)
	err = errors.Join(err, l.ready.Close())
	l.ready = nil
	return errors.Join(err, Notify("READY=1"))
}

// Close closes what was inherited and not asked for. It is called at the end, too, where Ready was not.
func (l *Listeners) Close() {
	for _, sockets := range l.inherited {
		for _, socket := range sockets {
			_ = socket.Close() // nothing was accepted from it
		}
	}
	clear(l.inherited)
	if l.ready != nil {
		_ = l.ready.Close() // which says that it failed
		l.ready = nil
	}
}

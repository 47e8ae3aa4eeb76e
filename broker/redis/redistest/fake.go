package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// What the answer of a Fake may be besides the bytes to write.
const (
	Silent = ""
	HangUp = "hang up"
)

// A Fake is a server that answers what the test says and notes what it is sent. Its
// methods may be called concurrently.
type Fake struct {
	HasRole bool          // it knows the command ROLE; set before anything is sent to it
	Pinged  chan struct{} // has a token after a PING

	listener net.Listener // nil without a port
	answer   func(args []string) string
	running  sync.WaitGroup

	mu    sync.Mutex
	ended bool
	pong  string // the answer to PING
	conns []net.Conn
	seen  [][]string
}

// StartFake starts a Fake on a loopback port. Its answer to each command is that of
// answer, except to the handshake: that goes as with an old Redis without a password. It
// ends with the test.
func StartFake(t testing.TB, answer func(args []string) string) *Fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := NewFake(answer)
	f.listener = l
	f.running.Go(f.accept)
	t.Cleanup(f.Stop)
	return f
}

// NewFake returns a Fake without a port, which answers as that of StartFake on what Pipe
// returns. So it can be used with testing/synctest. The caller stops it.
func NewFake(answer func(args []string) string) *Fake {
	return &Fake{answer: answer, Pinged: make(chan struct{}, 1), pong: "+PONG\r\n"}
}

// Addr returns the Fake's "host:port".
func (f *Fake) Addr() string { return f.listener.Addr().String() }

// Pipe returns a connection to the Fake.
func (f *Fake) Pipe() net.Conn {
	client, server := net.Pipe()
	end := &pipeEnd{Conn: server, out: make(chan []byte, pipeWrites), closed: make(chan struct{})}
	f.take(end, end.drain)
	return client
}

// pipeWrites is how many writes of the Fake a pipe holds.
const pipeWrites = 1024

// A pipeEnd is the end of a net.Pipe to which writing does not wait for a reader, as with
// sockets.
type pipeEnd struct {
	net.Conn
	out    chan []byte
	once   sync.Once
	closed chan struct{}
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	select {
	case p.out <- slices.Clone(b):
		return len(b), nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p *pipeEnd) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Conn.Close()
}

// drain writes until p is closed.
func (p *pipeEnd) drain() {
	for {
		select {
		case b := <-p.out:
			p.Conn.Write(b)
		case <-p.closed:
			return
		}
	}
}

func (f *Fake) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.take(c)
	}
}

// take serves c from now on, and runs what c needs. A Fake that has ended closes it: a client may
// still be connecting then.
func (f *Fake) take(c net.Conn, needs ...func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		c.Close()
		return
	}
	f.conns = append(f.conns, c)
	f.running.Go(func() { f.serve(c) })
	for _, run := range needs {
		f.running.Go(run)
	}
}

func (f *Fake) serve(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.seen = append(f.seen, args)
		f.mu.Unlock()
		answer := f.reply(args)
		if answer == HangUp {
			return
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func (f *Fake) reply(args []string) string {
	switch args[0] {
	case "hello":
		return "-ERR unknown command 'HELLO'\r\n"
	case "role":
		if f.HasRole {
			return f.answer(args)
		}
		return "-ERR unknown command 'ROLE'\r\n"
	case "ping":
		select {
		case f.Pinged <- struct{}{}:
		default:
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.pong
	default:
		return f.answer(args)
	}
}

// AnswerPing sets the answer to PING.
func (f *Fake) AnswerPing(pong string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pong = pong
}

// Say writes to all connections.
func (f *Fake) Say(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		io.WriteString(c, text)
	}
}

// Cut closes all connections.
func (f *Fake) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
	f.conns = nil
}

// Stop ends the Fake. What it was sent is then complete.
func (f *Fake) Stop() {
	if f.listener != nil {
		f.listener.Close()
	}
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.Cut()
	f.running.Wait()
}

// Commands returns those of one name that have come.
func (f *Fake) Commands(name string) [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.seen), func(args []string) bool { return args[0] != name })
}

func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		data := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, err
		}
		args[i] = string(data[:size])
	}
	args[0] = strings.ToLower(args[0])
	return args, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("not a command")
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// Confirm is Redis' answer to SUBSCRIBE and UNSUBSCRIBE.
func Confirm(args []string) string {
	var b strings.Builder
	for i, channel := range args[1:] {
		fmt.Fprintf(&b, "*3\r\n%s%s:%d\r\n", Bulk(args[0]), Bulk(channel), i+1)
	}
	return b.String()
}

// Published is what Redis sends to a subscriber.
func Published(channel, data string) string {
	return "*3\r\n" + Bulk("message") + Bulk(channel) + Bulk(data)
}

// Bulk is a string as Redis answers it.
func Bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

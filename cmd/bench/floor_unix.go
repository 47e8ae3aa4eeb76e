//go:build unix

package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
)

// A floor is the least that a server can do: one write(2) of a ready frame for
// each subscriber, on the goroutine of the publication. There is no queue, no
// broker and no care for slow clients.
type floor struct {
	mu       sync.Mutex
	channels map[string]*floorChannel
	conns    map[net.Conn]struct{}
	handlers sync.WaitGroup
}

type floorChannel struct {
	mu          sync.Mutex
	wrapping    wrapping
	descriptors []int
}

// ServeFloor serves WebSocket at /ws/{channel} and POST /publish/{channel} on l
// until ctx ends. It answers as a server does, and cares for nothing else: it is
// what results are held against, and not for use. It closes l.
func ServeFloor(ctx context.Context, l net.Listener) error {
	f := &floor{channels: map[string]*floorChannel{}, conns: map[net.Conn]struct{}{}}
	defer f.handlers.Wait()
	defer f.closeAll()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			_ = l.Close() // the first error is the news
			return fmt.Errorf("floor: %w", err)
		}
		f.mu.Lock()
		f.conns[conn] = struct{}{}
		f.mu.Unlock()
		f.handlers.Go(func() { f.serve(conn) })
	}
}

func (f *floor) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		_ = conn.Close()
	}
}

// serve answers requests until one is a handshake. Subscribers stay open until
// the end: a floor lives for one round.
func (f *floor) serve(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 4<<10)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			_ = conn.Close()
			return
		}
		if channel, ok := strings.CutPrefix(r.URL.Path, "/ws/"); ok {
			f.subscribe(conn, channel, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			f.publish(strings.TrimPrefix(r.URL.Path, "/publish/"), body)
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
		if err != nil {
			_ = conn.Close()
			return
		}
	}
}

// channel returns the channel of that name, made where it is new.
func (f *floor) channel(name string, query url.Values) *floorChannel {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.channels[name] == nil {
		f.channels[name] = &floorChannel{wrapping: wrap(query.Get("format"), name)}
	}
	return f.channels[name]
}

// subscribe answers the handshake. From then on the connection blocks, so that a
// write is one system call.
func (f *floor) subscribe(conn net.Conn, name string, r *http.Request) {
	c := f.channel(name, r.URL.Query())
	raw := rawConn(conn)
	if raw == nil {
		_ = conn.Close()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		acceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n") // a client that has gone misses nothing
	_ = raw.Control(func(fd uintptr) {
		if syscall.SetNonblock(int(fd), false) == nil {
			c.descriptors = append(c.descriptors, int(fd))
		}
	})
}

// rawConn returns nil where conn has no descriptor.
func rawConn(conn net.Conn) syscall.RawConn {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

func (f *floor) publish(name string, message []byte) {
	c := f.channel(name, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	payload := c.wrapping.before + string(message) + c.wrapping.after
	frame := append(frameHeader(len(payload)), payload...)
	for _, fd := range c.descriptors {
		writeAll(fd, frame)
	}
}

// frameHeader is that of a text frame (RFC 6455, section 5.2).
func frameHeader(length int) []byte {
	switch {
	case length < 126:
		return []byte{finBit | opText, byte(length)}
	case length < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{finBit | opText, 126}, uint16(length))
	}
	return binary.BigEndian.AppendUint64([]byte{finBit | opText, 127}, uint64(length))
}

// writeAll writes p, in one system call where the kernel has room. A client that
// has gone gets nothing more.
func writeAll(fd int, p []byte) {
	for len(p) > 0 {
		n, err := syscall.Write(fd, p)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
		p = p[max(n, 0):]
	}
}

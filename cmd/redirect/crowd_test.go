package redirect_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/cmd/redirect"
)

// A crowd of clients that say nothing keeps nobody waiting: the oldest are closed, and no more than there is room for stay.
func TestSilentCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		l := make(pipes)
		done := make(chan error, 1)
		go func() { done <- redirect.New(redirect.Options{Logger: slog.New(slog.DiscardHandler)}).Serve(ctx, l) }()
		const silent, room = 500, 64
		ended := make(chan struct{}, silent)
		for range silent {
			conn := l.dial()
			defer func() { _ = conn.Close() }()
			go func() { _, _ = conn.Read(make([]byte, 1)); ended <- struct{}{} }()
		}
		synctest.Wait()
		if len(ended) != silent-room {
			t.Errorf("%d of %d that say nothing were closed, where there is room for %d", len(ended), silent, room)
		}
		began := time.Now()
		conn := l.dial()
		defer func() { _ = conn.Close() }()
		go func() { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: rt.example.com\r\n\r\n") }()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusPermanentRedirect || time.Since(began) > 0 {
			t.Errorf("%v %v after %v", resp, err, time.Since(began))
		}
		stop()
		close(l)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// pipes is a listener in memory, which ends when the channel is closed.
type pipes chan net.Conn

func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours
}

func (p pipes) Accept() (net.Conn, error) {
	if conn, open := <-p; open {
		return conn, nil
	}
	return nil, errors.Join(net.ErrClosed)
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

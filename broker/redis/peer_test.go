package redis_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// A peer that is not Redis is an error within the timeouts, for publishing and
// for subscribing.
func TestNotRedis(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	for _, c := range []struct {
		name, addr string
		want       error
	}{
		{"HTTP server", web.Listener.Addr().String(), broker.ErrDenied},
		{"greets like a mail server", greeter(t, "220 mail.example ESMTP\r\n"), broker.ErrDenied},
		{"says nothing", greeter(t, ""), broker.ErrUnavailable},
		{"announces 10 GB", greeter(t, "$9999999999\r\n"), broker.ErrDenied},
		{"announces a billion elements", greeter(t, "*1000000000\r\n"), broker.ErrDenied},
		{"nests without end", greeter(t, strings.Repeat("*1\r\n", 1<<16)), broker.ErrDenied},
		{"never ends its line", greeter(t, "+"+strings.Repeat("x", 1<<20)), broker.ErrDenied},
		{"speaks RESP3 unasked", greeter(t, "%1\r\n+a\r\n+b\r\n"), broker.ErrDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBroker(t, impatient(c.addr))
			ctx := guard(t)
			_, err := b.Publish(ctx, broker.Message{Channel: "chat"})
			if !errors.Is(err, c.want) {
				t.Errorf("Publish: error %v, want one that matches %v", err, c.want)
			}
			f, err := b.Feed(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Subscribe(ctx, "chat"); !errors.Is(err, c.want) {
				t.Errorf("Subscribe: error %v, want one that matches %v", err, c.want)
			}
			if ctx.Err() != nil {
				t.Error("it took until the context ended")
			}
		})
	}
}

// greeter is a server that says hello to every connection and then only listens.
func greeter(t *testing.T, hello string) (addr string) {
	t.Helper()
	return serve(t, func(c net.Conn) {
		if _, err := io.WriteString(c, hello); err == nil {
			io.Copy(io.Discard, c)
		}
	})
}

// serve runs handle for every connection to a new loopback port.
func serve(t testing.TB, handle func(c net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, handle)
}

func serveOn(t testing.TB, l net.Listener, handle func(c net.Conn)) (addr string) {
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		conns   []net.Conn
	)
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().String()
}

// rediss speaks TLS, believes the certificates that ca names, and nothing else:
// no other certificate, no wrong name, no plain text.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer web.Close()
	secure := tlsFront(t, web.TLS.Certificates, server.Addr())
	_, port, err := net.SplitHostPort(secure)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}

	b := open(t, "rediss://"+secure+"?ca="+ca)
	f := newFeed(t, b, "chat")
	publish(t, b, "chat", "hello")
	hear(t, f, "chat", "hello")

	for name, url := range map[string]string{
		"unknown certificate": "rediss://" + secure,
		"wrong name":          "rediss://localhost:" + port + "?ca=" + ca,
		"plain text":          "rediss://" + server.Addr() + "?ca=" + ca,
		"TLS without asking":  "redis://" + secure,
	} {
		b := open(t, url)
		ctx := guard(t)
		_, err := b.Publish(ctx, broker.Message{Channel: "chat"})
		if !errors.Is(err, broker.ErrDenied) && !errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil {
			t.Errorf("%s: error %v, want one that matches ErrDenied or ErrUnavailable", name, err)
		}
		b.Close()
	}
}

// tlsFront puts TLS before the server at addr.
func tlsFront(t *testing.T, certificates []tls.Certificate, addr string) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates})
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, func(c net.Conn) {
		target, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		var back sync.WaitGroup
		back.Go(func() { io.Copy(c, target) })
		io.Copy(target, c)
		target.Close()
		back.Wait()
	})
}

// A unix socket is as good as a port, and one that is not there is an error.
func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "redis") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	redistest.Start(t, "--unixsocket", socket)
	b := open(t, "unix://"+socket+"?db=1")
	f := newFeed(t, b, "chat")
	publish(t, b, "chat", "hello")
	hear(t, f, "chat", "hello")

	for _, path := range []string{dir + "/absent", dir} {
		_, err := open(t, "unix://"+path).Publish(guard(t), broker.Message{Channel: "chat"})
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("error %v, want one that matches ErrUnavailable", err)
		}
	}
}

// A database that Redis does not have is told by Redis.
func TestNoSuchDatabase(t *testing.T) {
	server := redistest.Start(t)
	b := open(t, server.URL()+"/99")
	_, err := b.Publish(guard(t), broker.Message{Channel: "chat"})
	if !errors.Is(err, broker.ErrDenied) {
		t.Errorf("error %v, want one that matches ErrDenied", err)
	}
}

package server_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/pregon/pregon/server"
)

// A server on localhost is there on both loopback addresses, on one port, and
// gives up both of them.
func TestFoundLocalhostIsBoth(t *testing.T) {
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this system has no ::1:", err)
	}
	_ = six.Close()
	for range 3 {
		l, err := server.Listen(context.Background(), "LocalHost:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		n := startOn(t, l, server.Options{})
		for _, host := range []string{"127.0.0.1", "::1"} {
			n.addr = net.JoinHostPort(host, port)
			if resp, body := n.raw("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"); resp == nil || resp.StatusCode != 421 {
				t.Errorf("%s: %v %s", host, resp, body) // both are loopback
			}
			n.publish("c", "x")
		}
		n.stop()
		again, err := server.Listen(context.Background(), net.JoinHostPort("localhost", port))
		if err != nil {
			t.Fatal("the port is not free:", err)
		}
		if _, err := server.Listen(context.Background(), net.JoinHostPort("localhost", port)); err == nil {
			t.Error("a port was opened twice")
		}
		conn, err := net.Dial("tcp", net.JoinHostPort("::1", port)) // waits in the listener when that is closed
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(again.Close(), again.Close()); err != nil {
			t.Error(err)
		}
		late, err := again.Accept()
		for ; err == nil; late, err = again.Accept() { // it was accepted ahead of that
			_ = late.Close()
		}
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a connection outlived its listener")
		}
		_ = conn.Close()
	}
}

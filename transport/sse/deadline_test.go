package sse_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
	"github.com/pregon/pregon/transport/sse"
)

// The times that an http.Server has for requests do not end a stream over HTTP/2.
func TestStreamOutlivesRequests(t *testing.T) {
	t.Parallel()
	sockets := socket.NewGroup(socket.Limits{Bytes: 64 << 10, Messages: 1 << 10, WriteTimeout: time.Minute, Linger: time.Minute})
	c := newCapture()
	tr := sse.New(transport.Deps{Sockets: sockets})
	f, _ := transport.FormatByName("raw")
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = tr.Serve(w, r, transport.SubscribeRequest{Subscriptions: []transport.Subscription{{Channel: "c"}}, Format: f, Client: c})
	}))
	const times = time.Second // TLS has to be agreed upon within that
	web.EnableHTTP2, web.Config.ReadTimeout, web.Config.WriteTimeout = true, times, times
	web.StartTLS()
	defer func() { web.Close(); tr.Wait(); sockets.Wait() }()
	resp, err := web.Client().Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	subscriber := <-c.joined
	for began := time.Now(); time.Since(began) < 3*times/2; {
		message := subscriber.Encoding.Message(broker.Message{Channel: "c", Data: []byte("hola")})
		if _, err := subscriber.Socket.Send(new(socket.Writer), socket.Batch{Frames: message, Messages: 1}); err != nil {
			t.Fatal(err)
		}
		for line := ""; line != "data: hola\n"; {
			if line, err = lines.ReadString('\n'); err != nil {
				t.Fatal("after", time.Since(began), err)
			}
		}
	}
	subscriber.Socket.CloseAfterFlush(nil)
}

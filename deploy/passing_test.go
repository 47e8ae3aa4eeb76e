package deploy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A listener hears the messages of a channel.
type listener interface {
	hear() (string, error)
}

type socketListener struct{ *websocket.Conn }

func (s socketListener) hear() (string, error) {
	_, frame, err := s.ReadMessage()
	_, text, _ := strings.Cut(string(frame), "] ") // behind the channel
	return text, err
}

type streamListener struct{ lines *bufio.Reader }

func (s streamListener) hear() (string, error) {
	event := ""
	for {
		line, err := s.lines.ReadString('\n')
		field, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case err != nil:
			return "", err
		case field == "":
			event = "" // the next one
		case field == "event":
			event = value
		case field == "data" && event == "":
			return strings.TrimSpace(value), nil
		}
	}
}

// listeners returns a WebSocket and an event stream of a channel, which end with the test.
func listeners(t *testing.T, address, channel string) map[string]listener {
	t.Helper()
	socket, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+address+"/ws/"+channel, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	stream := open(t, http.DefaultClient, "http://"+address+"/sse/"+channel)
	return map[string]listener{"a WebSocket": socketListener{socket}, "an event stream": streamListener{bufio.NewReaderSize(stream.Body, 1<<16)}}
}

// open begins an event stream, which ends with the test.
func open(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	return resp
}

// publish sends a message to a channel, by any server or proxy.
func publish(t *testing.T, address, channel, text string) {
	t.Helper()
	resp, err := http.Post("http://"+address+"/publish/"+channel, "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s has not published: %s", address, resp.Status)
	}
}

// Through each proxy a message of 1 MiB is published, and heard by all.
func TestProxiesPassOneMebibyte(t *testing.T) {
	through(t, func(t *testing.T, p proxy) {
		backend := serve(t)
		at := p.start(t, backend, backend)
		audience := listeners(t, at.plain, "large")
		large := strings.Repeat("0123456789abcdef", 1<<16)
		publish(t, at.plain, "large", large)
		for name, l := range audience {
			if got, err := l.hear(); err != nil || got != large {
				t.Errorf("%s: %v, and %d bytes have come", name, err, len(got))
			}
		}
	})
}

// For a minute nothing at all is said on a connection, not even a ping, and each proxy leaves it open.
func TestProxiesPassSilence(t *testing.T) {
	through(t, func(t *testing.T, p proxy) {
		backend := serve(t, "--ping-interval", "10m", "--pong-timeout", "11m")
		at := p.start(t, backend, backend)
		audience := listeners(t, at.plain, "silent")
		<-time.After(time.Minute)
		publish(t, backend.address, "silent", "still there")
		for name, l := range audience {
			if got, err := l.hear(); err != nil || got != "still there" {
				t.Errorf("%s: %v, %q", name, err, got)
			}
		}
	})
}

// The limit for an address is that of who is connected to the proxy, whatever a client says for whom it asks.
func TestProxiesTellAddresses(t *testing.T) {
	through(t, func(t *testing.T, p proxy) {
		backend := serve(t, "--max-connections-per-address", "2")
		at := p.start(t, backend, backend)
		for i, c := range []struct {
			from, says string
			want       int
		}{
			{"127.0.0.2", "", http.StatusSwitchingProtocols},
			{"127.0.0.2", "192.0.2.1", http.StatusSwitchingProtocols},
			{"127.0.0.2", "192.0.2.2", http.StatusTooManyRequests},
			{"127.0.0.2", "127.0.0.1", http.StatusTooManyRequests},
			{"127.0.0.3", "127.0.0.2", http.StatusSwitchingProtocols},
		} {
			dialer := websocket.Dialer{NetDialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}).DialContext}
			header := http.Header{}
			if c.says != "" {
				header = http.Header{"X-Forwarded-For": {c.says}, "X-Real-Ip": {c.says}, "Forwarded": {"for=" + c.says}}
			}
			socket, resp, err := dialer.DialContext(t.Context(), "ws://"+at.plain+"/ws/addresses", header)
			if err == nil {
				t.Cleanup(func() { _ = socket.Close() })
			}
			if err != nil && !errors.Is(err, websocket.ErrBadHandshake) {
				t.Fatal(err)
			}
			if resp.StatusCode != c.want {
				t.Errorf("connection %d, of %s, which says that it is %q: %s", i, c.from, c.says, resp.Status)
			}
		}
	})
}

// With TLS each proxy speaks HTTP/2, so that a browser may have more streams than six: all are on one connection.
func TestProxiesSpeakHTTP2(t *testing.T) {
	through(t, func(t *testing.T, p proxy) {
		backend := serve(t)
		at := p.start(t, backend, backend)
		pem, err := os.ReadFile(filepath.Join(at.folder, "tls.crt"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		connections := 0
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			connections++
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
		defer transport.CloseIdleConnections()
		var audience []listener
		for i := range 30 {
			resp := open(t, &http.Client{Transport: transport}, fmt.Sprintf("https://%s/sse/many", at.secure))
			if resp.ProtoMajor != 2 {
				t.Fatalf("stream %d is %s", i, resp.Proto)
			}
			audience = append(audience, streamListener{bufio.NewReader(resp.Body)})
		}
		publish(t, at.plain, "many", "to all")
		for i, l := range audience {
			if got, err := l.hear(); err != nil || got != "to all" {
				t.Errorf("stream %d: %v, %q", i, err, got)
			}
		}
		if connections != 1 {
			t.Errorf("there are %d connections", connections)
		}
	})
}

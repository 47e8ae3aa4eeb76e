package bench

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Buffers that stay with each subscriber. That of a WebSocket is small, as reads are
// larger and pass it by; those of an event stream, which is in chunks, do not.
const (
	responseBuffer = 1 << 10
	streamBuffer   = 16 << 10
)

// acceptGUID is what a WebSocket server adds to the key of a handshake (RFC 6455,
// section 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// openWebSocket does the handshake of RFC 6455, section 4.1, and returns what the
// frames are read from.
func openWebSocket(conn net.Conn, t target, path string) (io.Reader, error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	resp, in, err := request(conn, t, path, responseBuffer,
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+key+"\r\n")
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return nil, answerError(resp)
	case resp.Header.Get("Sec-WebSocket-Accept") != acceptKey(key):
		return nil, errors.New("the server's answer to the WebSocket handshake has a wrong Sec-WebSocket-Accept")
	}
	return in, nil
}

// openEventStream returns what the events are read from.
func openEventStream(conn net.Conn, t target, path string) (io.Reader, error) {
	resp, _, err := request(conn, t, path, streamBuffer, "Accept: text/event-stream\r\n")
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, answerError(resp)
	}
	return resp.Body, nil
}

// request sends a GET and reads the head of the answer, through a buffer of that size.
func request(conn net.Conn, t target, path string, buffer int, headers string) (*http.Response, *bufio.Reader, error) {
	_ = conn.SetDeadline(time.Now().Add(dialTime)) // fails only where the next write does, too
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", path, t.url.Host, t.authorization, headers); err != nil {
		return nil, nil, fmt.Errorf("send the request: %w", err)
	}
	in := bufio.NewReaderSize(conn, buffer)
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	return resp, in, nil
}

// answerError is what a server said about a request that it refused.
func answerError(resp *http.Response) error {
	var problem struct{ Detail string }
	body := io.LimitReader(resp.Body, 1<<16)
	if json.NewDecoder(body).Decode(&problem) != nil || problem.Detail == "" {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return fmt.Errorf("the server answered %s: %s", resp.Status, problem.Detail)
}

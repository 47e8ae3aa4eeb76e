package sse

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/pregon/pregon/transport"
)

// Clients come back after at least minRetry, and up to retrySpread later, so that
// those of a server that has stopped do not all come back at once.
const (
	minRetry    = 500 * time.Millisecond
	retrySpread = 2500 * time.Millisecond
)

// answerTime is how long a client may take to read the answer of Retry.
const answerTime = 5 * time.Second

// response is the answer up to the first event: the headers, those that were set
// before included, and the lines of opening.
func (e *encoding) response(set http.Header, opening []byte) []byte {
	h := set.Clone()
	setHeaders(h)
	h.Set("Connection", "close")
	h.Del("Content-Encoding") // of a middleware that compresses, past which the connection goes
	h.Del("Content-Length")
	if e.chunked {
		h.Set("Transfer-Encoding", "chunked")
	}
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // a Builder takes everything
	b.WriteString("\r\n")
	b.Write(e.block(opening))
	return []byte(b.String())
}

// setHeaders sets the headers that an event stream has over any version of HTTP.
func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // or nginx would collect events before sending
}

// retryAfter returns the line that tells EventSource when to come back. No blank line
// follows, as after a comment: the line counts at once.
func retryAfter(least time.Duration) []byte {
	return fmt.Appendf(nil, "retry: %d\n", (least + rand.N(retrySpread)).Milliseconds())
}

var _ transport.Retrier = (*Transport)(nil)

// Retry implements transport.Retrier. The answer is a stream that ends at once, and
// not well: see the package's documentation. A comment in it says why.
func (t *Transport) Retry(w http.ResponseWriter, r *http.Request, p *transport.Problem) {
	lines := retryAfter(max(minRetry, time.Duration(p.RetryAfter)*time.Second))
	lines = fmt.Appendf(lines, ": %s\n", oneLine.Replace(p.Error()))
	switch conn, err := takeOver(w, r); {
	case err == nil:
		defer conn.Close()
		e := t.encodingOf(r, transport.Formats()[0], true) // no message is encoded
		_ = conn.SetDeadline(time.Now().Add(answerTime))   // fails only where the write does, too
		_, _ = conn.Write(e.response(w.Header(), lines))   // a client that has gone is no error of ours
	case transport.CheckFlush(w) == nil:
		c := transport.NewStream(w, r)
		defer c.Release()
		setHeaders(w.Header())
		_ = c.SetWriteDeadline(time.Now().Add(answerTime))
		_, _ = c.Write(lines)
	default:
		p.ServeHTTP(w, r)
	}
}

// takeOver takes the connection of r over from net/http, where that is possible.
func takeOver(w http.ResponseWriter, r *http.Request) (net.Conn, error) {
	if !canTakeOver(w, r) {
		return nil, http.ErrNotSupported
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	return conn, err
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

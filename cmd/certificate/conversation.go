package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// answerTime is how long the authority may take for an answer, and maxAnswer how much of one is read.
const (
	answerTime = 30 * time.Second
	maxAnswer  = 1 << 20
)

// badNonce is the type of a problem that is part of the protocol (RFC 8555, section 6.5).
const badNonce = "urn:ietf:params:acme:error:badNonce"

// A conversation is the way to the authority. It logs why that refuses something, which autocert keeps to
// itself, and ends with Watch, for which autocert has no way.
type conversation struct {
	transport *http.Transport
	log       *slog.Logger

	mu    sync.Mutex
	ctx   context.Context // nil until begin
	said  string          // the last reason that was logged
	since time.Time
}

func newConversation(roots *x509.CertPool, log *slog.Logger) *conversation {
	return &conversation{log: log, transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, // a few requests in months
	}}
}

// begin lets requests through until ctx ends.
func (c *conversation) begin(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
}

// RoundTrip implements http.RoundTripper.
func (c *conversation) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	until := c.ctx
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if until != nil {
		defer context.AfterFunc(until, cancel)()
	}
	resp, err := c.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close() // it has been read
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	c.listen(resp.StatusCode, body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// A problem is what an authority says of a request, or of a challenge (RFC 8555, sections 6.7 and 8).
type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// listen logs what went wrong, where an answer says so.
func (c *conversation) listen(status int, body []byte) {
	var answer struct {
		problem
		Error      *problem `json:"error"`
		Challenges []struct {
			Type  string   `json:"type"`
			Error *problem `json:"error"`
		} `json:"challenges"`
		Identifier struct {
			Value string `json:"value"`
		} `json:"identifier"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return // a certificate
	}
	switch {
	case status >= http.StatusBadRequest && answer.problem.Type != badNonce:
		c.tell(answer.problem, "status", status)
	case answer.Error != nil:
		c.tell(*answer.Error)
	}
	for _, challenge := range answer.Challenges {
		if challenge.Error != nil {
			c.tell(*challenge.Error, "host", answer.Identifier.Value, "challenge", challenge.Type)
		}
	}
}

// maxDetail is how many bytes of a stranger's sentence stand in the log.
const maxDetail = 500

// tell logs a reason. It comes with several answers in a row, of which the first is logged.
func (c *conversation) tell(p problem, of ...any) {
	c.mu.Lock()
	again := p.Detail == c.said && time.Since(c.since) < refusedRetry
	if !again {
		c.said, c.since = p.Detail, time.Now()
	}
	c.mu.Unlock()
	if !again {
		c.log.Warn("acme: the authority refuses", append(of, "reason", p.Type, "detail", p.Detail[:min(len(p.Detail), maxDetail)])...)
	}
}

package bench

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// streamsPerConnection is how many event streams share a connection over HTTP/2.
const streamsPerConnection = 100

// A shared connection is that of up to streamsPerConnection subscribers over HTTP/2. Its first
// one opens it.
type shared struct {
	pool    *http.Transport
	opening sync.Mutex // held by the first until the others can use its connection
	opened  bool
}

func newShared(t target) *shared {
	p := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{RootCAs: t.authorities}}
	p.Protocols.SetHTTP2(true)
	p.Protocols.SetUnencryptedHTTP2(true)
	return &shared{pool: p}
}

// stream opens an event stream.
func (s *shared) stream(ctx context.Context, t target, path string, credential string) (*sharedStream, error) {
	s.opening.Lock()
	if s.opened {
		s.opening.Unlock()
	} else {
		defer s.opening.Unlock()
		s.opened = true
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, end)()
	defer time.AfterFunc(dialTime, end).Stop()
	r, err := http.NewRequestWithContext(life, http.MethodGet, t.url.Scheme+"://"+t.url.Host+path, nil)
	if err != nil {
		end()
		return nil, err
	}
	r.Header.Set("Accept", "text/event-stream")
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	resp, err := s.pool.RoundTrip(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = answerError(resp)
	}
	if err != nil {
		end()
		return nil, err
	}
	return &sharedStream{body: resp.Body, end: end}, nil
}

// A sharedStream is one stream of a shared connection, as far as a subscriber needs it.
type sharedStream struct {
	net.Conn // nil: nothing else of it is used
	body     io.ReadCloser
	end      context.CancelFunc
}

// Read implements net.Conn.
func (s *sharedStream) Read(p []byte) (int, error) { return s.body.Read(p) }

// Close implements net.Conn.
func (s *sharedStream) Close() error {
	s.end()
	return s.body.Close()
}

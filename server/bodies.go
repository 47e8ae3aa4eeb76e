package server

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/pregon/pregon/transport"
)

// bodies bounds what the bodies of all requests under way take together. It counts
// what has come, not what a client says will come. Where there are rules a quarter is left to
// keys: no crowd of strangers keeps a backend from publishing.
type bodies struct {
	most int64
	used atomic.Int64

	refused atomic.Uint64
}

var errBodies = errors.New("server: the bodies of all requests take too much")

// bounded has what is read of the body of a request count until next has returned.
// Its first bytes are free, so that there is always room for a short one.
func (b *bodies) bounded(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		counted := &countedBody{ReadCloser: r.Body, bodies: b, free: knownBody, most: b.most}
		if x := exchangeOf(r); !x.access.IsOpen() && x.caller.Identity().Kind != transport.Backend {
			counted.most -= b.most / 4
		}
		defer func() { b.used.Add(-counted.counts) }()
		r.Body = counted
		return next(w, r)
	}
}

// A countedBody is the body of one request.
type countedBody struct {
	io.ReadCloser
	bodies *bodies
	free   int64 // bytes that do not count
	most   int64 // of all bodies, beyond which this one is not read
	counts int64 // bytes that do
}

// Read implements io.Reader.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.free -= int64(n); c.free >= 0 {
		return n, err
	}
	more := -c.free
	c.free = 0
	c.counts += more
	if c.bodies.used.Add(more) > c.most {
		c.bodies.refused.Add(1)
		return 0, errBodies
	}
	return n, err
}

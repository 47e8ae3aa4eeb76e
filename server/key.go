package server

import (
	"errors"
	"net/http"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

const keyHeader = "Idempotency-Key"

// headerKey returns the key in the header of r, and the empty string where there
// is none.
func (s *Server) headerKey(r *http.Request) (string, error) {
	keys := r.Header.Values(keyHeader)
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		return "", badKey()
	}
	return keys[0], s.checkKey(keys[0])
}

// checkKey returns the answer to a key that cannot be used.
func (s *Server) checkKey(key string) error {
	if err := s.node.CheckKey(key); err != nil {
		return keyProblem(err)
	}
	return nil
}

// keyProblem is the answer to an error that matches broker.ErrKey.
func keyProblem(err error) *transport.Problem {
	if errors.Is(err, errors.ErrUnsupported) {
		return badRequest("no_history", "This server keeps no history, so it cannot know a key again.")
	}
	return badKey()
}

func badKey() *transport.Problem {
	return badRequest("bad_key", "A key is given once, as 1 to 255 visible characters of ASCII, with spaces only between them.")
}

// itemKey returns the key of an item of a batch, which may have none.
func (s *Server) itemKey(fields map[string][]byte) (string, error) {
	raw, ok := fields["key"]
	if !ok {
		return "", nil
	}
	key, ok := item.Text(raw)
	if !ok {
		return "", badKey()
	}
	return key, s.checkKey(key)
}

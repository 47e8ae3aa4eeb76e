package server

import (
	"encoding/json"
	"net/http"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
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

// checkKey refuses a key that makes no sense, and any key where none can be kept:
// the caller would take a retry for safe.
func (s *Server) checkKey(key string) error {
	if !validKey(key) {
		return badKey()
	}
	if !s.node.KeepsHistory() {
		return bad("no_history", "This server keeps no history, so it cannot know a key again.")
	}
	return nil
}

// validKey reports whether key is 1 to MaxKey visible characters of ASCII, with
// spaces inside, which survive every header and log.
func validKey(key string) bool {
	if key == "" || len(key) > broker.MaxKey || key[0] == ' ' || key[len(key)-1] == ' ' {
		return false
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

func badKey() *transport.Problem {
	return bad("bad_key", "A key is given once, as 1 to 255 visible characters of ASCII, with spaces only between them.")
}

// itemKey returns the key of an item of a batch, which may have none.
func (s *Server) itemKey(fields map[string]json.RawMessage) (string, error) {
	raw, ok := fields["key"]
	if !ok {
		return "", nil
	}
	key, ok := jsonText(raw)
	if !ok {
		return "", badKey()
	}
	return key, s.checkKey(key)
}

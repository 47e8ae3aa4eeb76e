package server

import (
	"net/http"
	"sync/atomic"

	"github.com/pregon/pregon/transport"
)

// answers bounds what the answers with messages and members take together, which a client need not read: over HTTP/2 one
// connection may have hundreds of them wait. Where there are rules a quarter is left to keys.
type answers struct {
	most int64
	used atomic.Int64
}

// write answers r with JSON. Short answers are free, so that there is always room for one.
func (a *answers) write(w http.ResponseWriter, r *http.Request, body []byte) error {
	most, counts := a.most, int64(max(0, len(body)-knownBody))
	if x := exchangeOf(r); !x.access.IsOpen() && x.caller.Identity().Kind != transport.Backend {
		most -= most / 4
	}
	defer a.used.Add(-counts)
	if a.used.Add(counts) > most && counts > 0 {
		return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "too_many_bodies", RetryAfter: 1,
			Detail: "As many long answers wait for their clients as this server has room for; try again, or ask for less by limit."}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff") // there is anything in messages and infos
	_, _ = w.Write(body)                                // a caller that has gone gets none
	return nil
}

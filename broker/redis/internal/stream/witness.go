package stream

import (
	"slices"
	"time"

	"github.com/pregon/pregon/broker/redis/internal/seal"
)

// witnesses are those of what this node has published and heard.
func (s *Server) witnesses() []seal.Witness {
	all := s.opts.Heard()
	if accepted := s.accepted.Load(); accepted != nil {
		all = append(all, *accepted)
	}
	return slices.DeleteFunc(all, func(w seal.Witness) bool { return w.Position.IsZero() })
}

// testimony are a witness's words among the arguments of script.Record. What is older
// than age may have expired.
func testimony(w seal.Witness, age time.Duration) []any {
	return []any{w.Position.Epoch, w.Position.Seq, w.Fields, w.Seen.UnixMicro(), bit(time.Since(w.Seen) >= age)}
}

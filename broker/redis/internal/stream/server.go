package stream

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/script"
	"github.com/pregon/pregon/broker/redis/internal/seal"
)

// Options are the settings of a Server.
type Options struct {
	Client    *goredis.Client
	Prefix    string           // of every name on Redis
	Retention broker.Retention // of every channel, until Retain

	// Dials returns how often Client has made a connection, or a Feed has. A new one may be to
	// another server, or to another life of it.
	Dials func() int64

	// Heard returns the witnesses of what this node has heard.
	Heard func() []seal.Witness

	// SecretChanged is called after a new secret has taken the place of another:
	// authentic messages may have been taken for forged ones.
	SecretChanged func()
}

// A Server is what this node knows of the server that keeps its histories: its present
// life, the secret of the deployment, and the epochs that were seen.
type Server struct {
	opts    Options
	record  string // its key
	secrets seal.Secrets
	epochs  epochs
	policy  atomic.Pointer[broker.RetentionPolicy]

	accepted atomic.Pointer[seal.Witness] // of the newest publication
	embedded atomic.Bool                  // the server is that of package miniredis
	function string                       // see teach

	taught atomic.Pointer[string] // the record of the life that was taught last
}

// NewServer returns a Server of which nothing is known yet.
func NewServer(o Options) *Server {
	s := &Server{
		opts: o, record: script.RecordKey(o.Prefix), function: script.Library(o.Prefix),
		secrets: seal.Secrets{Changed: o.SecretChanged},
	}
	s.Retain(o.Retention, nil)
	return s
}

// Retain is for [broker.Retainer]. The record learns of it with the next publication.
func (s *Server) Retain(longest broker.Retention, of func(channel string) broker.Retention) {
	s.policy.Store(broker.NewRetentionPolicy(s.opts.Retention, longest, of))
}

// Secrets are those of the deployment, as far as they are known.
func (s *Server) Secrets() *seal.Secrets { return &s.secrets }

// Note remembers the epoch of a position that a publication has, as far as this node
// can tell.
func (s *Server) Note(p broker.Position) { s.epochs.note(p) }

// Meet asks the server for its life, where that was never done.
func (s *Server) Meet(ctx context.Context) error {
	if len(s.secrets.Known()) > 0 {
		return nil
	}
	_, err := s.acquire(ctx)
	return err
}

// Rewrites reports whether Meet would have the record say another window than nodes have written there. Where it cannot
// be asked, Meet says why.
func (s *Server) Rewrites(ctx context.Context) bool {
	record, err := s.opts.Client.Get(ctx, s.record).Result()
	if err != nil {
		return false
	}
	words, longest := strings.Fields(record), s.policy.Load().Longest()
	return len(words) == 6 && (words[4] != strconv.Itoa(longest.MaxMessages) || words[5] != lifetime(longest.MaxAge))
}

// acquire asks the server for its life, and makes it know the script. All of it is
// on one connection, so it is about one server.
func (s *Server) acquire(ctx context.Context) (l *life, err error) {
	defer reply.Contain(&err)
	conn := s.opts.Client.Conn()
	defer conn.Close()
	a, err := ask(ctx, conn)
	if err != nil {
		return nil, err
	}
	s.embedded.Store(a.identity == embedded)
	policy := s.policy.Load()
	longest := policy.Longest()
	keys := []string{s.record}
	words := []any{a.identity, bit(a.durable), bit(a.alone), s.epochs.floor(), s.secrets.Propose(), longest.MaxMessages, lifetime(longest.MaxAge)}
	for _, w := range s.witnesses() {
		keys = append(keys, s.key(w.Channel))
		words = append(words, testimony(w, policy.Life(policy.Of(w.Channel)))...)
	}
	record, err := conn.Eval(ctx, script.Record, keys, words...).Text()
	if err != nil {
		return nil, err
	}
	if l, err = parseRecord(record); err != nil {
		return nil, err
	}
	l.dials, l.longest = s.opts.Dials(), longest
	if l.sha, err = conn.ScriptLoad(ctx, script.Publish(l.record, l.epoch, l.secret)).Result(); err != nil {
		return nil, err
	}
	s.epochs.begin(l.epoch)
	s.secrets.Learn(l.secret)
	if before := s.taught.Swap(&l.record); before == nil || *before != l.record {
		s.teach(ctx, conn)
	}
	return l, nil
}

// key returns the name of the stream of a channel.
func (s *Server) key(channel string) string { return script.StreamKey(s.opts.Prefix, channel) }

// lifetime returns how long keys of a history live after they were last used, in
// milliseconds, where their channel is to be remembered for life: no message goes before
// that, however seldom it is said.
func lifetime(life time.Duration) string { return milliseconds(2 * life) }

package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/script"
)

// maxNumber is the highest epoch or number that is believed: Lua's numbers are
// floating point.
const maxNumber = 1<<53 - 1

// maxAhead is how far an epoch may be ahead of the clock and of the run's. Epochs begin as the time in microseconds, and clocks may differ.
const maxAhead = 24 * time.Hour

// A run is what publishing needs to know of one life of a server: from its start
// to its end, or until another takes over.
type run struct {
	record string // of script.Record, to the secret
	epoch  uint64 // which the server's streams have at least, or begin
	secret string // of the deployment, see seal
	sha    string // of the publishScript that only this run knows
	dials  int64  // when it was asked: a connection that was made later may be to another
}

// acquire asks the server for its run, and makes it know the script. All of it is
// on one connection, so it is about one server.
func (k *keeper) acquire(ctx context.Context) (r *run, err error) {
	defer reply.Contain(&err)
	conn := k.client.Conn()
	defer conn.Close()
	s, err := askServer(ctx, conn)
	if err != nil {
		return nil, err
	}
	k.embedded.Store(s.identity == embedded)
	keys := []string{k.record}
	words := []any{s.identity, bit(s.durable), bit(s.alone), k.floor(), k.secrets.Propose(), k.opts.History.Messages, k.lifetime()}
	for _, w := range k.present() {
		keys = append(keys, w.stream)
		words = append(words, w.words(k.opts.History.Age)...)
	}
	record, err := conn.Eval(ctx, script.Record, keys, words...).Text()
	if err != nil {
		return nil, err
	}
	if r, err = parseRecord(record); err != nil {
		return nil, err
	}
	r.dials = k.dials()
	if r.sha, err = conn.ScriptLoad(ctx, script.Publish(r.record, r.epoch, r.secret)).Result(); err != nil {
		return nil, err
	}
	k.base.Store(r.epoch)
	k.note(broker.Position{Epoch: r.epoch})
	k.secrets.Learn(r.secret)
	if before := k.taught.Swap(&r.record); before == nil || *before != r.record {
		k.teach(ctx, conn)
	}
	return r, nil
}

// parseRecord returns the run that a record is of.
func parseRecord(record string) (*run, error) {
	words := strings.Fields(record)
	if len(words) != 6 || word(words[3]) != words[3] {
		return nil, reply.ErrBadReply
	}
	epoch, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil || epoch == 0 || strings.Trim(words[0]+words[2], identityLetters) != "" {
		return nil, reply.ErrBadReply
	}
	return &run{record: strings.Join(words[:4], " "), epoch: epoch, secret: words[3]}, nil
}

// identityLetters are all that an identity consists of.
const identityLetters = "-/0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// meet asks the server for its run, where that was never done.
func (k *keeper) meet(ctx context.Context) error {
	if len(k.secrets.Known()) > 0 {
		return nil
	}
	_, err := k.acquire(ctx)
	return err
}

// A server is what one says of itself.
type server struct {
	identity string // of its life, and of its time as a master within that
	durable  bool   // what it has acknowledged survives a crash
	alone    bool   // it is nobody's replica, has none, and took over from nobody
}

// askServer asks over conn. The embedded server of package miniredis does not know
// the question, and has no life before or after its process.
func askServer(ctx context.Context, conn *goredis.Conn) (server, error) {
	pipe := conn.Pipeline()
	about := pipe.Info(ctx, "server")
	appends := pipe.ConfigGet(ctx, "appendonly")
	syncs := pipe.ConfigGet(ctx, "appendfsync")
	replication := pipe.Info(ctx, "replication")
	_, _ = pipe.Exec(ctx) // each has its own error
	if err := about.Err(); err != nil {
		if reply.IsReply(err) && strings.HasPrefix(err.Error(), "section (") {
			return server{identity: embedded}, nil
		}
		return server{}, err
	}
	runID, version := field(about.Val(), "run_id"), field(about.Val(), "redis_version")
	major, _, _ := strings.Cut(version, ".")
	switch n, err := strconv.Atoi(major); {
	case err != nil || runID == "":
		return server{}, reply.ErrBadReply
	case n < reply.LeastMajor:
		return server{}, reply.TooOld(n)
	}
	links := replication.Val()
	return server{
		identity: word(runID) + "/" + word(field(links, "master_replid2")), // which changes with a promotion
		durable:  appends.Val()["appendonly"] == "yes" && syncs.Val()["appendfsync"] == "always",
		alone: field(links, "role") == "master" && field(links, "connected_slaves") == "0" &&
			strings.Trim(field(links, "master_replid2"), "0") == "" && field(links, "master_replid2") != "",
	}, nil
}

// field returns the value of a line "name:value" of what INFO says.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// embedded is the identity of the server of package miniredis.
const embedded = "-"

// word keeps of text the letters and digits, so that it can stand in a script.
func word(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return -1
	}, text)
}

// note remembers the epoch of a position that a publication has, as far as this node
// can tell.
func (k *keeper) note(p broker.Position) {
	for old := k.seen.Load(); p.Epoch > old && !k.seen.CompareAndSwap(old, p.Epoch); old = k.seen.Load() {
	}
}

// floor returns an epoch above all that this node has seen. The clock of Redis
// alone would not do: it may have been set back.
func (k *keeper) floor() string { return strconv.FormatUint(min(k.seen.Load()+1, maxNumber), 10) }

// horizon returns the highest epoch that may be one. It depends on nothing that another
// program can move by adding entries.
func (k *keeper) horizon() uint64 {
	return min(max(k.base.Load(), uint64(time.Now().UnixMicro()))+uint64(maxAhead.Microseconds()), maxNumber)
}

// end returns the id behind all that a node reads of a stream. Other programs may have
// added entries behind it.
func (k *keeper) end() string { return strconv.FormatUint(k.horizon(), 10) }

// position returns the position that the id of an entry stands for, and notes it. It
// reports false where a publication cannot have it.
func (k *keeper) position(id string) (broker.Position, bool) {
	p, err := broker.ParsePosition(id)
	if err != nil || p.Epoch > k.horizon() || p.Seq > maxNumber {
		return broker.Position{}, false
	}
	k.note(p)
	return p, true
}

package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
)

// leastMajor is the first version of Redis that a history works with: before it
// XADD does not number within an epoch.
const leastMajor = 7

// maxFloor is the highest epoch that is passed to a script as a number. Lua's are
// floating point.
const maxFloor = 1<<53 - 1

// A run is what publishing needs to know of one life of a server: from its start
// to its end, or until another takes over.
type run struct {
	epoch uint64 // which the server's streams have at least, or begin
	sha   string // of the publishScript that only this run knows
	dials int64  // when it was asked: a connection that was made later may be to another
}

// acquire asks the server for its run, and makes it know the script. All of it is
// on one connection, so it is about one server.
func (k *keeper) acquire(ctx context.Context) (r *run, err error) {
	defer contain(&err)
	conn := k.client.Conn()
	defer conn.Close()
	s, err := askServer(ctx, conn)
	if err != nil {
		return nil, err
	}
	keys, words := []string{k.record}, []any{s.identity, bit(s.durable), bit(s.alone), k.floor()}
	for _, w := range k.present() {
		keys = append(keys, w.stream)
		words = append(words, w.words(k.opts.History.Age)...)
	}
	pipe := conn.Pipeline()
	epoch := pipe.Eval(ctx, runScript, keys, words...)
	sha := pipe.ScriptLoad(ctx, publishScriptOf(s.identity))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	text, _ := epoch.Text()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || sha.Val() == "" {
		return nil, errBadReply
	}
	k.note(broker.Position{Epoch: n})
	return &run{epoch: n, sha: sha.Val(), dials: k.dials()}, nil
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
		if isReply(err) && strings.HasPrefix(err.Error(), "section (") {
			return server{identity: "-"}, nil
		}
		return server{}, err
	}
	runID, version := field(about.Val(), "run_id"), field(about.Val(), "redis_version")
	major, _, _ := strings.Cut(version, ".")
	switch n, err := strconv.Atoi(major); {
	case err != nil || runID == "":
		return server{}, errBadReply
	case n < leastMajor:
		return server{}, oldError(n)
	}
	links := replication.Val()
	return server{
		identity: runID + "/" + field(links, "master_replid2"), // which changes with a promotion
		durable:  appends.Val()["appendonly"] == "yes" && syncs.Val()["appendfsync"] == "always",
		alone: field(links, "role") == "master" && field(links, "connected_slaves") == "0" &&
			strings.Trim(field(links, "master_replid2"), "0") == "" && field(links, "master_replid2") != "",
	}, nil
}

// An oldError is the major version of a Redis that is too old for a history.
type oldError int

func (e oldError) Error() string {
	return fmt.Sprintf("history needs Redis %d or newer, this is %d", leastMajor, int(e))
}

func (oldError) Unwrap() error { return broker.ErrDenied }

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

// note remembers the epoch of a position that was seen.
func (k *keeper) note(p broker.Position) {
	for old := k.seen.Load(); p.Epoch > old && !k.seen.CompareAndSwap(old, p.Epoch); old = k.seen.Load() {
	}
}

// floor returns an epoch above all that this node has seen. The clock of Redis
// alone would not do: it may have been set back.
func (k *keeper) floor() string { return strconv.FormatUint(min(k.seen.Load()+1, maxFloor), 10) }

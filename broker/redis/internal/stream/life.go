package stream

import (
	"context"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// A life is what publishing needs to know of one life of a server: from its start
// to its end, or until another takes over. The record in Redis, and scripts, call it
// a run.
type life struct {
	record string // of script.Record, up to the secret
	epoch  uint64 // which the server's streams have at least, or begin
	secret string // of the deployment, see seal
	sha    string // of the script.Publish that only this life knows
	dials  int64  // when it was asked: a connection that was made later may be to another

	longest broker.Retention // that the record has, if it is this node's
}

// parseRecord returns the life that a record is of.
func parseRecord(record string) (*life, error) {
	words := strings.Fields(record)
	if len(words) != 6 || word(words[3]) != words[3] {
		return nil, reply.ErrBadReply
	}
	epoch, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil || epoch == 0 || strings.Trim(words[0]+words[2], identityLetters) != "" {
		return nil, reply.ErrBadReply
	}
	return &life{record: strings.Join(words[:4], " "), epoch: epoch, secret: words[3]}, nil
}

// identityLetters are all that an identity consists of.
const identityLetters = "-/0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// An account is what a server says of itself.
type account struct {
	identity string // of its life, and of its time as a master within that
	durable  bool   // what it has acknowledged survives a crash
	alone    bool   // it is nobody's replica, has none, and took over from nobody
}

// ask asks a server over conn. The embedded server of package miniredis does not know
// the question, and has no life before or after its process.
func ask(ctx context.Context, conn *goredis.Conn) (account, error) {
	pipe := conn.Pipeline()
	about := pipe.Info(ctx, "server")
	appends := pipe.ConfigGet(ctx, "appendonly")
	syncs := pipe.ConfigGet(ctx, "appendfsync")
	replication := pipe.Info(ctx, "replication")
	_, _ = pipe.Exec(ctx) // each has its own error
	if err := about.Err(); err != nil {
		if reply.IsEmbedded(err) {
			return account{identity: embedded}, nil
		}
		return account{}, err
	}
	runID, version := reply.Field(about.Val(), "run_id"), reply.Field(about.Val(), "redis_version")
	major, _, _ := strings.Cut(version, ".")
	switch n, err := strconv.Atoi(major); {
	case err != nil || runID == "":
		return account{}, reply.ErrBadReply
	case n < reply.LeastMajor:
		return account{}, reply.TooOld(n)
	}
	links := replication.Val()
	return account{
		identity: word(runID) + "/" + word(reply.Field(links, "master_replid2")), // which changes with a promotion
		durable:  appends.Val()["appendonly"] == "yes" && syncs.Val()["appendfsync"] == "always",
		alone: reply.Field(links, "role") == "master" && reply.Field(links, "connected_slaves") == "0" &&
			strings.Trim(reply.Field(links, "master_replid2"), "0") == "" && reply.Field(links, "master_replid2") != "",
	}, nil
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

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

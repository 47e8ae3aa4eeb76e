package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// Diagnose implements [broker.Diagnoser].
func (b *Broker) Diagnose(ctx context.Context) (findings []broker.Finding, err error) {
	defer reply.Contain(&err)
	if b.closed() {
		return nil, fmt.Errorf("redis: diagnose: %w", broker.ErrClosed)
	}
	if err := b.shard.client.Ping(ctx).Err(); err != nil {
		if reply.IsReply(err) && strings.HasPrefix(err.Error(), "NOPERM") {
			findings = append(findings, b.opts.use().Finding())
		}
		return findings, fmt.Errorf("redis: diagnose: %w", reply.Outcome(err, false))
	}
	e := b.examine(ctx)
	for _, look := range []func() broker.Finding{
		e.version, e.persistence, e.eviction, e.outputBuffer, e.replication,
	} {
		findings = append(findings, look())
	}
	if reply.Field(e.info, "redis_mode") == "cluster" {
		findings = append(findings, e.cluster())
	}
	if !e.embedded {
		findings = append(findings, b.guard(ctx), b.opts.use().Finding())
	}
	return append(findings, b.shard.master.Findings(ctx)...), nil
}

// Unmade implements [broker.Maker]. A node writes its window into a record, for what other programs publish.
func (b *Broker) Unmade(ctx context.Context) (what string, err error) {
	defer reply.Contain(&err)
	if b.shard.history == nil || !b.shard.history.Rewrites(ctx) {
		return "", nil
	}
	return "another window for what other programs publish", nil
}

// An examination is what Redis says of itself. What it does not say is empty.
type examination struct {
	history  bool   // is asked for
	watched  bool   // by Sentinels
	info     string // sections server and replication
	embedded bool
	settings map[string]string
}

// examine asks. Each question may be refused.
func (b *Broker) examine(ctx context.Context) *examination {
	e := &examination{history: !b.opts.History.IsZero(), watched: b.opts.Master != "", settings: map[string]string{}}
	for _, section := range []string{"server", "replication"} {
		text, err := b.shard.client.Info(ctx, section).Result()
		e.info += text + "\n"
		e.embedded = e.embedded || reply.IsEmbedded(err)
	}
	for _, name := range []string{"appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "client-output-buffer-limit"} {
		for k, v := range b.shard.client.ConfigGet(ctx, name).Val() {
			e.settings[k] = v
		}
	}
	return e
}

func (e *examination) version() broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "version"}
	version := reply.Field(e.info, "redis_version")
	n, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	switch {
	case e.embedded:
		f.Detail = "This is the embedded Redis, for demos and tests: nothing outlives the process, and no other node can use it."
	case err != nil:
		f.Severity, f.Detail = broker.SeverityWarning, "The server does not say its version."
	case n < reply.LeastMajor && e.history:
		f.Severity, f.Detail, f.Advice = broker.SeverityFailure, "Redis "+printable(version)+" is too old for a history.", "Use Redis 7 or newer."
	case n < reply.LeastMajor:
		f.Severity, f.Detail, f.Advice = broker.SeverityWarning, "Redis "+printable(version)+" works, but not with a history.", "Use Redis 7 or newer."
	default:
		f.Detail = "Redis " + printable(version) + "."
	}
	return f
}

func (e *examination) persistence() broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "persistence"}
	aof, fsync := e.settings["appendonly"], e.settings["appendfsync"]
	switch {
	case e.embedded:
		f.Severity, f.Detail = broker.SeverityWarning, "None: a history is gone with the process."
	case aof == "":
		f.Severity, f.Detail, f.Advice = broker.SeverityWarning, "CONFIG GET is refused, so it is assumed that a crash may lose what was acknowledged.", "Let this user run CONFIG GET."
	case aof == "yes" && fsync == "always":
		f.Detail = "appendonly yes, appendfsync always: what was acknowledged survives a crash."
	case aof == "yes":
		f.Severity, f.Detail = broker.SeverityWarning, "appendonly yes, appendfsync "+printable(fsync)+": a crash may lose the last moments of what was acknowledged. Clients are told."
		f.Advice = "Set appendfsync always where nothing acknowledged may be lost."
	default:
		f.Severity, f.Detail = broker.SeverityWarning, "appendonly no: a restart loses all or part of a history. Clients are told."
		f.Advice = "Set appendonly yes and appendfsync always where nothing acknowledged may be lost."
	}
	if !e.history && f.Severity == broker.SeverityWarning && (aof != "" || e.embedded) {
		f.Severity, f.Advice = broker.SeverityOK, ""
		f.Detail = "Without a history nothing is kept that could be lost."
	}
	return f
}

func (e *examination) eviction() broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "memory"}
	most, policy := e.settings["maxmemory"], e.settings["maxmemory-policy"]
	switch {
	case most == "":
		f.Detail = "No limit is known."
	case most == "0":
		f.Detail = "maxmemory is not set."
	case policy == "noeviction":
		f.Severity, f.Detail = broker.SeverityWarning, "maxmemory "+printable(most)+", noeviction: when that is full, publishing is answered with 503."
		f.Advice = "Watch the memory of Redis."
	default:
		f.Severity, f.Detail = broker.SeverityWarning, "maxmemory "+printable(most)+", "+printable(policy)+": when that is full, Redis deletes histories, and clients are told."
		f.Advice = "Set maxmemory-policy noeviction, or give Redis more memory."
	}
	return f
}

// smallBuffer is the least output buffer of subscribers, in bytes, below which a
// node that is late for a moment is soon cut off.
const smallBuffer = 8 << 20

func (e *examination) outputBuffer() broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "subscribers"}
	words := strings.Fields(e.settings["client-output-buffer-limit"])
	for i := 0; i+3 < len(words); i += 4 {
		if words[i] != "pubsub" {
			continue
		}
		hard, _ := strconv.ParseInt(words[i+1], 10, 64)
		f.Detail = fmt.Sprintf("client-output-buffer-limit pubsub %s %s %s.", words[i+1], words[i+2], words[i+3])
		if hard > 0 && hard < smallBuffer {
			f.Severity, f.Advice = broker.SeverityWarning, "Raise it to 32mb 8mb 60 or more."
			f.Detail += " A node that is late for a moment is cut off, and misses what comes until it is back."
		}
		return f
	}
	f.Detail = "No limit of the output to subscribers is known."
	return f
}

func (e *examination) replication() broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "replicas"}
	role, replicas := reply.Field(e.info, "role"), reply.Field(e.info, "connected_slaves")
	switch {
	case role == "slave":
		f.Severity, f.Detail, f.Advice = broker.SeverityFailure, "This is a replica, which takes no publications with a history.", "Name the master in the URL."
		if !e.history {
			f.Severity = broker.SeverityWarning
		}
	case replicas != "" && replicas != "0":
		f.Severity = broker.SeverityWarning
		f.Detail = printable(replicas) + " replicas. They are asynchronous: a failover may lose what was acknowledged. Clients are told."
		if e.history {
			f.Detail += " It may lose a key, too: a publication that is repeated with it is then heard again."
		}
	case e.watched:
		f.Severity, f.Detail = broker.SeverityWarning, "None: the Sentinels have no server to replace this one with."
	default:
		f.Detail = "None."
	}
	return f
}

// cluster is about a Redis Cluster.
func (e *examination) cluster() broker.Finding {
	if e.history {
		return broker.Finding{Severity: broker.SeverityFailure, Subject: "cluster", Detail: "A Redis Cluster keeps no history.",
			Advice: "Use one Redis, or one with Sentinels."}
	}
	return broker.Finding{Severity: broker.SeverityWarning, Subject: "cluster",
		Detail: notPromised,
		Advice: "Give every node the address of the same master, or use one Redis, or one with Sentinels."}
}

// printable keeps of what a server says only what version numbers and settings
// consist of.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, text)
}

package topology

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// vote returns what more than half of the Sentinels say, and where so many do not
// answer, more than half of those that do. A Sentinel that is cut off from the
// others keeps naming the old master, so the first answer is not good enough.
func (s *Sentinels) vote(ctx context.Context) (string, error) {
	var failure error
	votes, voters := map[string]int{}, 0
	for addr, err := range s.answers(ctx) {
		if err != nil {
			if failure == nil || errors.Is(failure, broker.ErrDenied) { // which waiting cures if another is only away
				failure = err
			}
			continue
		}
		voters++
		if votes[addr]++; votes[addr] > len(s.addrs)/2 {
			return addr, nil
		}
	}
	for addr, n := range votes {
		if n > voters/2 {
			return addr, nil
		}
	}
	if voters > 0 {
		return "", reply.ErrDisagree
	}
	return "", failure
}

// answers asks all Sentinels at once and yields each one's answer as it comes.
// It takes half of DialTimeout at most: that is the end for those that are silent,
// and there is time left to connect.
func (s *Sentinels) answers(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(addr string, err error) bool) {
		ctx, cancel := context.WithTimeout(ctx, s.opts.Server.DialTimeout/2)
		type answer struct {
			addr string
			err  error
		}
		said := make(chan answer, len(s.addrs))
		var asking sync.WaitGroup
		defer asking.Wait()
		defer cancel()
		for _, sentinel := range s.addrs {
			asking.Go(func() {
				addr, err := s.ask(ctx, sentinel)
				said <- answer{addr, err}
			})
		}
		for range s.addrs {
			if a := <-said; !yield(a.addr, a.err) {
				return
			}
		}
	}
}

// ask asks one Sentinel, on a connection of its own, until ctx ends.
func (s *Sentinels) ask(ctx context.Context, sentinel string) (addr string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("ask Sentinel %s: %w", sentinel, reply.Outcome(err, false))
		}
	}()
	defer reply.Contain(&err)
	c, err := s.opts.Server.Dial(ctx, sentinel, s.opts.TLS)
	if err != nil {
		return "", err
	}
	defer c.Close()
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	defer unhook()
	settings := s.opts.Server
	settings.Addr, settings.DB, settings.Greet = sentinel, 0, nil
	settings.Username, settings.Password = s.opts.Username, s.opts.Password
	options := settings.Client(wire.HandOver(c))
	options.PoolSize = 1
	client := goredis.NewSentinelClient(options)
	defer client.Close()
	words, err := client.GetMasterAddrByName(ctx, s.opts.Name).Result()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, goredis.Nil):
		return "", reply.ErrNoMaster
	case err != nil:
		return "", err
	case len(words) != 2 || !IsHost(words[0]) || !IsPort(words[1]):
		return "", reply.ErrBadReply
	}
	return net.JoinHostPort(words[0], words[1]), nil
}

// fewSentinels is how many Sentinels are too few: of two, none may fail.
const fewSentinels = 2

// Findings implements Master: it says whether the Sentinels are there and of one mind.
func (s *Sentinels) Findings(ctx context.Context) []broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "sentinels"}
	votes, most := map[string]int{}, 0
	for addr, err := range s.answers(ctx) {
		if err == nil {
			votes[addr]++
			most = max(most, votes[addr])
		}
	}
	f.Detail = fmt.Sprintf("%d of %d Sentinels name the same master.", most, len(s.addrs))
	switch {
	case most < len(s.addrs):
		f.Severity = broker.SeverityWarning
		f.Advice = "Look after the others: without a majority there is no failover."
	case most <= fewSentinels:
		f.Severity = broker.SeverityWarning
		f.Advice = "Run three or more, and name them all in the URL, so that one may fail."
	}
	return []broker.Finding{f}
}

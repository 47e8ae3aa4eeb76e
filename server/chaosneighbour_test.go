package server_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A neighbour is another program that publishes on Redis, with one connection at a
// time, so that its messages to a channel are in order.
type neighbour struct {
	load   *load
	client *goredis.Client
	at     atomic.Value // the address of its server
}

// newNeighbour starts one. master finds the server, before each connection.
func (c *chaos) newNeighbour(t *testing.T, master func() (string, error)) *neighbour {
	n := &neighbour{load: c.load}
	n.at.Store("")
	n.client = goredis.NewClient(&goredis.Options{
		Protocol: 2, DisableIdentity: true, PoolSize: 1, MaxRetries: -1, DialerRetries: 1,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			addr, err := master()
			if err != nil {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
			}
			n.at.Store(addr)
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
	})
	t.Cleanup(func() { _ = n.client.Close() })
	return n
}

// Two more outcomes of a publication.
var (
	errUnheard = errors.New("nobody has heard it")
	errSplit   = errors.New("it was accepted by a master that has been replaced")
)

// bare publishes by PUBLISH, which is accepted where a node hears it. Where the server
// has been replaced and some nodes have left it, the others hear it alone.
func (n *neighbour) bare(p *publisher, number int) error {
	receivers, err := n.client.Publish(context.Background(), channelName(p.channel), p.text(number)).Result()
	switch {
	case err != nil:
		return outcomeOf(err)
	case receivers == 0:
		return errUnheard
	case n.replaced() && receivers < int64(len(n.load.chaos.nodes)):
		return errSplit
	}
	return nil
}

// command publishes by the one command with all guarantees.
func (n *neighbour) command(p *publisher, number int) error {
	text := p.text(number)
	cursor, err := n.client.FCall(context.Background(), "pregon_publish", []string{channelName(p.channel)}, text).Text()
	switch {
	case err != nil:
		return outcomeOf(err)
	case n.replaced():
		return errSplit
	}
	n.load.remember(text, cursor)
	return nil
}

// replaced reports whether the server that has answered is not the master any more.
func (n *neighbour) replaced() bool { return n.at.Load() == n.load.chaos.replaced.Load() }

// outcomeOf says what an error means. An error that Redis has answered with means that
// nothing was done, but for one.
func outcomeOf(err error) error {
	var reply goredis.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "UNHEARD"):
		return errUnknown
	case errors.As(err, &reply), errors.As(err, &dial) && dial.Op == "dial":
		return errRefused
	default:
		return errUnknown
	}
}

// neighbours adds other programs to the load: some publish beside the histories of the
// first channels, and some by the one command to others.
func (c *chaos) neighbours(t *testing.T, master func() (string, error)) {
	add := func(channel, rate int) (*publisher, *neighbour) {
		p := c.load.add(channel)
		p.interval = time.Second / time.Duration(rate)
		return p, c.newNeighbour(t, master)
	}
	for channel := range strangerChannels {
		p, n := add(channel, strangerRate/strangerChannels)
		p.stranger, p.again = true, func(error) bool { return false }
		p.say = func(number int) error { return n.bare(p, number) }
	}
	for channel := firstCommandChannel; channel < firstCommandChannel+commandChannels; channel++ {
		p, n := add(channel, commandRate/commandChannels)
		p.again = func(err error) bool { return errors.Is(err, errRefused) }
		p.say = func(number int) error { return n.command(p, number) }
	}
}

// hasStrangers reports whether strangers publish to a channel.
func hasStrangers(channel int) bool { return channel < strangerChannels }

const (
	strangerChannels    = 7 // the first
	strangerRate        = 70
	firstCommandChannel = 10
	commandChannels     = 5
	commandRate         = 25
)

// Package miniredis is the driver for an embedded Redis: nothing to install and
// nothing to configure. It starts one (github.com/alicebob/miniredis) inside the
// process and runs the driver of package redis on it, so what is tried out on it
// is the code that runs on Redis.
//
// It is good for demos, tests and a first look, for one process on one machine.
// It is not good for more: nothing outlives the process, other machines cannot
// reach it, it handles one command at a time, and its speed says nothing about
// that of Redis.
//
//	b, err := miniredis.New()                       // one node
//	b, err := broker.Open(ctx, "miniredis://")      // the same
//	b, err := broker.Open(ctx, "miniredis://?history=5m")
//
//	server, err := miniredis.Start()                // several nodes that hear each other
//	b1, err := server.Node()
//	b2, err := server.Node()
//
// The embedded server listens on a free port of 127.0.0.1 and wants a random
// password. Its clock is that of the machine, and what is set to expire does.
package miniredis

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"

	"github.com/alicebob/miniredis/v2"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
)

func init() { broker.Register("miniredis", open) }

// open opens miniredis://, a node on a server of its own. The two parameters of
// history may follow.
func open(_ context.Context, u *url.URL) (broker.Broker, error) {
	if u.User != nil || u.Host != "" || u.Path != "" || u.Opaque != "" || u.Fragment != "" {
		return nil, fmt.Errorf(`%w: miniredis: nothing but parameters may follow "miniredis://"`, broker.ErrURL)
	}
	if err := broker.CheckParams(u, broker.ParamHistory, broker.ParamHistorySize); err != nil {
		return nil, err
	}
	history, err := broker.ParseRetention(u)
	if err != nil {
		return nil, err
	}
	return NewWith(history)
}

// A Server is an embedded Redis. Methods may be called concurrently.
type Server struct {
	embedded *miniredis.Miniredis
	password string
}

// Start starts a Server. The caller closes it, after the nodes on it.
func Start() (*Server, error) {
	s := &Server{embedded: miniredis.NewMiniRedis(), password: rand.Text()}
	s.embedded.RequireAuth(s.password)
	s.embedded.ClockTTL(true)
	if err := s.embedded.Start(); err != nil {
		return nil, fmt.Errorf("miniredis: start: %w", err)
	}
	return s, nil
}

// Options returns what [redis.New] needs to connect to the Server, its password
// included.
func (s *Server) Options() redis.Options {
	return redis.Options{Addr: s.embedded.Addr(), Password: s.password}
}

// Node opens one more Broker on the Server. The caller closes it.
func (s *Server) Node() (*redis.Broker, error) { return redis.New(s.Options()) }

// Close ends the Server and the connections to it, and waits until nothing of it
// runs any more. Closing again is no error.
func (s *Server) Close() error {
	s.embedded.Close()
	return nil
}

// A Broker is a node on a Server of its own. It implements [broker.Broker].
type Broker struct {
	*redis.Broker
	server *Server
}

// New starts a Server and opens the one node on it. The caller closes the Broker,
// which ends both.
func New() (*Broker, error) { return NewWith(broker.Retention{}) }

// NewWith is New for a node that keeps history.
func NewWith(history broker.Retention) (*Broker, error) {
	s, err := Start()
	if err != nil {
		return nil, err
	}
	o := s.Options()
	o.History = history
	node, err := redis.New(o)
	if err != nil {
		s.Close()
		return nil, err
	}
	return &Broker{Broker: node, server: s}, nil
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	err := b.Broker.Close()
	b.server.Close()
	return err
}

// IsEmbedded implements broker.Embedded.
func (*Broker) IsEmbedded() {}

package redis

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/acl"
	"github.com/pregon/pregon/broker/redis/internal/topology"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// Defaults of Options.
const (
	DefaultDialTimeout = 2 * time.Second
	DefaultTimeout     = 3 * time.Second
	DefaultHeartbeat   = 2 * time.Second
)

// Options are the settings of a Broker. Only Addr is needed.
type Options struct {
	Network string // "tcp", the default, or "unix"
	Addr    string // "host:port", or the path of a socket; with Master, a Sentinel

	// Master, where not empty, is the name by which Sentinels know the server:
	// those at Addr and at Sentinels, each a "host:port". Then the server's
	// address is what they say. Name them all: most of them are to agree. The
	// Sentinels must not be changed after New.
	Master    string
	Sentinels []string

	// SentinelUsername and SentinelPassword are what the Sentinels want, as
	// Username and Password are what the server wants.
	SentinelUsername string
	SentinelPassword string

	// SentinelTLS, where not nil, is used on every connection to a Sentinel, as
	// TLS on those to the server.
	SentinelTLS *tls.Config

	Username string // empty for Redis' default user
	Password string
	DB       int // at least 0; pub/sub is the same in all databases

	// TLS, where not nil, is used on every connection to the server. A ServerName
	// that is empty is taken from Addr, or from what the Sentinels say. It must
	// not be changed after New.
	TLS *tls.Config

	// Prefix stands before every channel name on Redis.
	Prefix string

	// History is what Redis keeps of each channel. Zero keeps nothing; see the
	// package comment for what else it needs.
	History broker.Retention

	// DialTimeout bounds one attempt to connect, TLS included, and for a Feed
	// also the authentication that follows. Asking the Sentinels is a part of it
	// and takes no more than half. Zero means DefaultDialTimeout.
	DialTimeout time.Duration

	// Timeout bounds the wait of a publication for its turn, each write and each
	// answer. A context can shorten it. Zero means DefaultTimeout.
	Timeout time.Duration

	// Heartbeat is how long a Feed's connection may be silent before Redis is
	// asked for a sign of life, and then how long that may take. It is also how
	// often the Sentinels are asked whether the master is still the same. Zero
	// means DefaultHeartbeat.
	Heartbeat time.Duration

	// Logger gets one line when a Feed's link is lost and one when it is
	// restored. Nil means slog.Default().
	Logger *slog.Logger
}

// complete returns o with its defaults filled in, or says what is wrong with it.
func (o Options) complete() (Options, error) {
	switch {
	case o.Addr == "":
		return o, errors.New("redis: Options.Addr is empty")
	case o.Master == "" && len(o.Sentinels) > 0:
		return o, errors.New("redis: Options.Sentinels without Options.Master")
	case o.Master != "" && o.Network != "" && o.Network != "tcp":
		return o, errors.New("redis: Options.Master needs the Network tcp")
	case slices.Contains(o.Sentinels, ""):
		return o, errors.New("redis: an address in Options.Sentinels is empty")
	case o.DB < 0:
		return o, errors.New("redis: Options.DB is negative")
	case o.DialTimeout < 0, o.Timeout < 0, o.Heartbeat < 0:
		return o, errors.New("redis: a timeout in Options is negative")
	case !o.History.IsZero() && (o.History.MaxMessages < 1 || o.History.MaxAge < time.Millisecond):
		return o, errors.New("redis: Options.History keeps no message, or for no time")
	}
	if o.Network == "" {
		o.Network = "tcp"
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = DefaultDialTimeout
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = DefaultHeartbeat
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// logger returns Logger, with what tells one Broker from another.
func (o Options) logger() *slog.Logger {
	l := o.Logger.With("address", o.Addr)
	if o.Master != "" {
		l = l.With("master", o.Master)
	}
	return l
}

// settings are those of all connections to the server.
func (o Options) settings() wire.Settings {
	s := wire.Settings{
		Network: o.Network, Addr: o.Addr,
		Username: o.Username, Password: o.Password, DB: o.DB,
		DialTimeout: o.DialTimeout, Timeout: o.Timeout,
	}
	if o.Master != "" {
		s.Greet = topology.DemandMaster
	}
	return s
}

// master is where the server is.
func (o Options) master() topology.Master {
	if o.Master == "" {
		return topology.Fixed{Settings: o.settings(), TLS: o.TLS}
	}
	return topology.NewSentinels(topology.SentinelOptions{
		Name: o.Master, Addrs: append([]string{o.Addr}, o.Sentinels...),
		Server: o.settings(), ServerTLS: o.TLS,
		Username: o.SentinelUsername, Password: o.SentinelPassword, TLS: o.SentinelTLS,
		Interval: o.Heartbeat,
	})
}

// use returns what the user of an ACL is for.
func (o Options) use() acl.Use {
	return acl.Use{Prefix: o.Prefix, History: !o.History.IsZero(), Sentinels: o.Master != "", Database: o.DB != 0}
}

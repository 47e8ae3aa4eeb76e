package wire

import (
	"context"
	"crypto/tls"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Version is the version of the protocol that all connections speak.
const Version = 2

// Settings are what the connections of one Broker have in common.
type Settings struct {
	Network string // "tcp" or "unix"
	Addr    string // as configured; Dial is told where a connection goes

	Username string
	Password string
	DB       int

	DialTimeout time.Duration // of one attempt to connect, TLS included
	Timeout     time.Duration // of one write, and of one answer

	// Greet is called by go-redis with a new connection, before it is used for anything
	// else. It may be nil.
	Greet func(context.Context, *goredis.Conn) error
}

// Client returns what go-redis is told, for publishing and for links alike: speak
// RESP2, send nothing but what we ask for, try everything once.
func (s Settings) Client(dial DialFunc) *goredis.Options {
	return &goredis.Options{
		Network:               s.Network,
		Addr:                  s.Addr,
		Dialer:                dial,
		OnConnect:             s.Greet,
		Username:              s.Username,
		Password:              s.Password,
		DB:                    s.DB,
		Protocol:              Version,
		DisableIdentity:       true,
		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           s.DialTimeout,
		ReadTimeout:           s.Timeout,
		WriteTimeout:          s.Timeout,
		PoolTimeout:           s.Timeout,
		PipelinePoolSize:      -1,
		ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

// Dial connects to addr, and with secure shakes hands, within DialTimeout.
func (s Settings) Dial(ctx context.Context, addr string, secure *tls.Config) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.DialTimeout)
	defer cancel()
	return dial(ctx, s.Network, addr, secure)
}

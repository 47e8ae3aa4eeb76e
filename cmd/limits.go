package cmd

import (
	"errors"
	"net/netip"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
)

// perAddress is how many connections an address may have by default where proxies say whose they
// are. Without them it may be the proxy's, so there is no limit until one is set.
const perAddress = 100

// limitFlags are what single callers may have.
type limitFlags struct {
	MaxConnectionsPerAddress *int `placeholder:"N" help:"Most connections from one address, or one /64 of IPv6; 0 for any number. Default 0, but 100 with --trust-proxy. Keys are not counted."`
	MaxChannels              int  `default:"1000" placeholder:"N" help:"Most channels of one connection. Default ${default}."`
	PublishRate              rate `placeholder:"N/s" help:"How fast each subject, or each address without one, may publish, such as 5/s, 300/m or 1000/h; any rate without it. Keys are not bounded by it."`
}

func (f *limitFlags) check() error {
	switch {
	case f.MaxConnectionsPerAddress != nil && *f.MaxConnectionsPerAddress < 0:
		return errors.New("--max-connections-per-address: must not be negative")
	case f.MaxChannels < 1:
		return errors.New("--max-channels: must be at least 1")
	}
	return nil
}

// limits returns what f says, where these proxies are believed.
func (f *limitFlags) limits(trusted []netip.Prefix) server.Limits {
	l := server.Limits{Channels: f.MaxChannels, PublishRate: access.Rate(f.PublishRate)}
	switch {
	case f.MaxConnectionsPerAddress != nil:
		l.ConnectionsPerAddress = *f.MaxConnectionsPerAddress
	case len(trusted) > 0:
		l.ConnectionsPerAddress = perAddress
	}
	return l
}

// A rate is an access.Rate as it is typed.
type rate access.Rate

var errRate = errors.New("write a number of messages in a second, minute or hour, such as 5/s, 300/m or 1000/h")

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *rate) UnmarshalText(text []byte) error {
	read, err := access.ParseRate(string(text))
	if err != nil {
		return errRate
	}
	*r = rate(read)
	return nil
}

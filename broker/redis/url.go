package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/topology"
)

// Ports where a URL has none.
const (
	defaultPort  = "6379"
	sentinelPort = "26379"
)

// Parameters of Sentinel.
const (
	paramMaster    = "master"
	paramSentinels = "sentinels"
)

func init() {
	for _, scheme := range []string{"redis", "rediss", "unix"} {
		broker.Register(scheme, open)
	}
}

// open is the broker.Driver of the three schemes.
func open(_ context.Context, u *url.URL) (broker.Broker, error) {
	o, err := ParseURL(u)
	if err != nil {
		return nil, err
	}
	return New(o)
}

// ParseURL returns the Options that a URL of one of the schemes redis, rediss and
// unix stands for; the package comment has their form. It contacts nothing and
// reads no file but the one that the parameter ca names. Its errors wrap
// [broker.ErrURL], name the part that is wrong, and repeat none of the URL.
func ParseURL(u *url.URL) (Options, error) {
	parse, known := parseTCP, []string{"prefix", paramMaster, paramSentinels}
	switch u.Scheme {
	case "redis":
	case "rediss":
		parse, known = parseTLS, append(known, "ca")
	case "unix":
		parse, known = parseUnix, []string{"prefix", "db"}
	default:
		return Options{}, urlError(u, "the scheme is not redis, rediss or unix")
	}
	known = append(known, broker.ParamHistory, broker.ParamHistorySize)
	if err := broker.CheckParams(u, known...); err != nil {
		return Options{}, err
	}
	history, err := broker.ParseRetention(u)
	if err != nil {
		return Options{}, err
	}
	var o Options
	if err := errors.Join(parse(u, &o), parseUser(u, &o)); err != nil {
		return Options{}, err
	}
	o.Prefix, o.History = u.Query().Get("prefix"), history
	return o, nil
}

func parseTCP(u *url.URL, o *Options) (err error) {
	host, port := u.Hostname(), u.Port()
	switch {
	case port != "":
	case u.Query().Has(paramMaster):
		port = sentinelPort
	default:
		port = defaultPort
	}
	if host == "" {
		return urlError(u, "the host is missing")
	}
	if !topology.IsPort(port) {
		return urlError(u, "the port is not between 1 and 65535")
	}
	if len(u.Path) > 1 {
		if o.DB, err = parseDB(u.Path[1:]); err != nil {
			return urlError(u, "the database in the path is not a non-negative integer")
		}
	}
	o.Network, o.Addr = "tcp", net.JoinHostPort(host, port)
	return parseSentinel(u, o)
}

// parseSentinel takes the parameters that make the host a Sentinel.
func parseSentinel(u *url.URL, o *Options) error {
	query := u.Query()
	o.Master = query.Get(paramMaster)
	switch {
	case query.Has(paramMaster) && o.Master == "":
		return urlError(u, "the parameter master is empty")
	case !query.Has(paramSentinels):
		return nil
	case o.Master == "":
		return urlError(u, "the parameter sentinels needs the parameter master")
	}
	o.Sentinels = strings.Split(query.Get(paramSentinels), ",")
	for _, addr := range o.Sentinels {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || !topology.IsHost(host) || !topology.IsPort(port) {
			return urlError(u, "the parameter sentinels is not host:port,host:port and so on")
		}
	}
	return nil
}

// parseTLS sets TLS for the Sentinels, too: otherwise a forged answer would send the
// password to a server of the attacker's, with a certificate of its own.
func parseTLS(u *url.URL, o *Options) error {
	if err := parseTCP(u, o); err != nil {
		return err
	}
	o.TLS = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	if o.Master != "" {
		o.TLS.ServerName = "" // each has its own
		o.SentinelTLS = o.TLS
	}
	if !u.Query().Has("ca") {
		return nil
	}
	pem, err := os.ReadFile(u.Query().Get("ca"))
	if err != nil {
		return urlError(u, "the file of the parameter ca cannot be read")
	}
	o.TLS.RootCAs = x509.NewCertPool()
	if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return urlError(u, "the file of the parameter ca has no PEM certificate")
	}
	return nil
}

func parseUnix(u *url.URL, o *Options) (err error) {
	switch {
	case u.Host != "":
		return urlError(u, "the path does not begin with a slash; write unix:///path")
	case len(u.Path) <= 1:
		return urlError(u, "the path of the socket is missing")
	}
	if db := u.Query().Get("db"); u.Query().Has("db") {
		if o.DB, err = parseDB(db); err != nil {
			return urlError(u, "the parameter db is not a non-negative integer")
		}
	}
	o.Network, o.Addr = "unix", u.Path
	return nil
}

// parseUser takes the user and the password, and refuses what is likely to be a
// password in the wrong place.
func parseUser(u *url.URL, o *Options) error {
	if u.Fragment != "" || u.RawFragment != "" {
		return urlError(u, "it has a fragment; a # in a password is written %23")
	}
	if u.User == nil {
		return nil
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	if o.Username != "" && o.Password == "" {
		return urlError(u, "it has a user and no password; a password alone is written :password@host")
	}
	return nil
}

func parseDB(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

func urlError(u *url.URL, what string) error {
	return fmt.Errorf("%w: %s: %s", broker.ErrURL, u.Scheme, what)
}

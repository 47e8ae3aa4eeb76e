package cmd

import (
	"net"
	"net/netip"
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/config"
	"github.com/pregon/pregon/server/tracing"
)

// options are those of the server.
func (c *serveCommand) options(b broker.Broker, addr net.Addr, e *entry, tracer *tracing.Tracer, settings map[string]map[string]string) server.Options {
	changing := c.reloadable(e.admission, addr)
	return server.Options{
		Broker: b, Logger: e.log, Version: version, Tracer: tracer, Settings: settings,
		Access: changing.Access, Cookie: changing.Cookie, AllowOrigins: changing.AllowOrigins, Hosts: changing.Hosts,
		Open: c.Access.Open, NoConsole: c.NoConsole, AccessLog: e.accessLog, NoMetrics: c.Admin != "", TrustProxies: c.trusted(e.admission.config), Limits: changing.Limits,
		MaxMessage: int64(c.MaxMessage), MaxConnections: c.MaxConnections,
		Compress: c.Compress, QueueBytes: int(c.QueueBytes), DropOldest: c.SlowClients == "drop-oldest", CatchUp: c.SlowClients == catchUp, WriteTimeout: c.WriteTimeout,
		PingInterval: c.PingInterval, PongTimeout: c.PongTimeout, DrainNotice: c.DrainNotice, DrainTime: c.DrainTime,
	}
}

// reloadable is what a reload may change. Lists of flags and of the file add up; the one
// cookie is that of the flag, if there is one.
func (c *serveCommand) reloadable(a *admission, addr net.Addr) server.Reloadable {
	cookie := c.Cookie
	if cookie == "" {
		cookie = a.config.Cookie
	}
	return server.Reloadable{
		Access: a.policy, Cookie: cookie,
		AllowOrigins: slices.Concat(c.AllowOrigin, a.config.Origins), Hosts: slices.Concat(c.hosts(addr), a.config.Hosts),
		Limits: c.Limits.limits(c.trusted(a.config)),
	}
}

// trusted returns the networks of the proxies that are believed.
func (c *serveCommand) trusted(file config.Config) []netip.Prefix {
	networks := slices.Clone(file.TrustProxies)
	for _, text := range c.TrustProxy {
		if network, err := config.ParseNetwork(text); err == nil { // which Validate has seen to
			networks = append(networks, network)
		}
	}
	return networks
}

// hosts returns the names of the server. On loopback, where others are refused in
// any case, the one that it was told to listen on is among them.
func (c *serveCommand) hosts(addr net.Addr) []string {
	names := slices.Concat(c.Host, c.TLS.ACME.Hosts)
	name, _, err := net.SplitHostPort(c.Listen)
	if err != nil || !isLoopback(addr) || server.CheckHost(name) != nil {
		return names
	}
	return append(names, name)
}

func isLoopback(addr net.Addr) bool {
	a, tcp := addr.(*net.TCPAddr)
	return tcp && a.IP.IsLoopback()
}

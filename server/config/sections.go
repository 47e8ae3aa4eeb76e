package config

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
)

// config reads a whole file.
func (r *reader) config(text []byte) Config {
	var c Config
	document := r.parse(text)
	if document == nil {
		return c // whose fault is told
	}
	known := fields{
		"cookie":        r.cookie(&c.Cookie),
		"origins":       r.texts(&c.Origins, isOrigin),
		"hosts":         r.texts(&c.Hosts, isHost),
		"trust-proxies": r.networks(&c.TrustProxies),
		"keys":          func(n *yaml.Node) { c.Keys = r.keys(n) },
		"tokens":        func(n *yaml.Node) { c.Issuers = r.issuers(n) },
		"rules":         func(n *yaml.Node) { c.Rules = r.rules(n) },
	}
	for _, name := range r.options.Settings {
		known[name] = r.setting(&c, name)
	}
	found := r.object(document, known)
	if found["tokens"] == nil && !r.options.Tokens && len(r.faults) == 0 {
		r.warnOfNoTokens(document, found["rules"], c.Rules)
	}
	return c
}

// warnOfNoTokens tells where a file without tokens has rules that ask for them, which nobody can
// have; and where it has no rules either, and so lets anyone listen.
func (r *reader) warnOfNoTokens(document, at *yaml.Node, rules []access.Rule) {
	switch {
	case at == nil:
		r.warn(document, "anyone may listen to everything, as there are neither rules nor tokens, unless --jwt-key or --jwks is given; write rules")
	case slices.ContainsFunc(rules, asksForTokens):
		r.warn(at, "rules ask for tokens, but the file has no tokens: nobody can have one unless --jwt-key or --jwks is given")
	}
}

// setting returns what reads a setting that is a flag as well.
func (r *reader) setting(c *Config, name string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		text, ok := r.text(n)
		if !ok {
			return
		}
		if r.options.Check != nil {
			if err := r.options.Check(name, text); err != nil {
				r.fault(n, "%s: %s", name, Plain(err))
				return
			}
		}
		if c.Settings == nil {
			c.Settings = map[string]Setting{}
		}
		c.Settings[name] = Setting{text, n.Line, n.Column}
	}
}

// cookie returns what reads the name of a cookie (RFC 6265, section 4.1.1) into a variable.
func (r *reader) cookie(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		name, ok := r.text(n)
		if !ok {
			return
		}
		if (&http.Cookie{Name: name, Value: "x"}).Valid() != nil || len(name) > maxName {
			r.fault(n, "this must be the name of a cookie")
			return
		}
		*to = name
	}
}

// networks returns what reads addresses and networks in CIDR notation into a variable.
func (r *reader) networks(to *[]netip.Prefix) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.list(n, func(item *yaml.Node) {
			text, ok := r.text(item)
			if !ok {
				return
			}
			network, err := ParseNetwork(text)
			if err != nil {
				r.fault(item, "%s", Plain(err))
				return
			}
			*to = append(*to, network)
		})
	}
}

var errNetwork = errors.New("write an address or a network, such as 10.0.0.0/8 or fd00::/8")

// ParseNetwork reads an address, or a network in CIDR notation (RFC 4632, section 3.1). An
// IPv4 one in the form of IPv6 is IPv4.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil || network.Addr().Is4In6() || network != network.Masked() {
		return netip.Prefix{}, errNetwork
	}
	return network, nil
}

func isOrigin(text string) error {
	if server.CheckOrigin(text) != nil {
		return errors.New("this must be https://host[:port], https://*.host[:port], null or *")
	}
	return nil
}

func isHost(text string) error {
	if server.CheckHost(text) != nil {
		return errors.New("this must be a host name without a port, in its ASCII form")
	}
	return nil
}

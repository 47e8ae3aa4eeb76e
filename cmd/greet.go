package cmd

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/pregon/pregon/server/access"
)

// greet prints where the server is, who may use it, and how to see a first message arrive.
func (c *serveCommand) greet(w io.Writer, addr net.Addr, a *admission) {
	web, socket := "http", "ws"
	if c.TLS.on() {
		web, socket = "https", "wss"
	}
	listen, publish := c.credentialFor(a, access.Subscribe), c.credentialFor(a, access.Publish)
	fmt.Fprintf(w, `pregon is listening on %[1]s://%[3]s
broker: %[4]s
access: %[5]s

Try it:
  wscat%[6]s -c %[2]s://%[3]s/ws/noticias
  curl%[6]s -N %[1]s://%[3]s/sse/noticias
  curl%[7]s -X POST "%[1]s://%[3]s/publish/noticias?message=Hola+desde+el+backend"
or open %[1]s://%[3]s in a browser. Ctrl-C stops.
`, web, socket, c.host(addr), redacted(c.Broker), c.openness(a), listen, publish)
}

// credentialFor is what curl and wscat need to do something with the channel of the example,
// empty where anyone may.
func (c *serveCommand) credentialFor(a *admission, action access.Action) string {
	if a.policy.Decide(access.Stranger, action, "noticias").Allowed() {
		return ""
	}
	key := "KEY"
	if path, isFile := strings.CutPrefix(c.Access.PublishKey, "@"); isFile {
		key = "$(cat " + quoted(path) + ")"
	}
	return fmt.Sprintf(` -H "Authorization: Bearer %s"`, key)
}

// openness says in one line who may do what.
func (c *serveCommand) openness(a *admission) string {
	switch {
	case a.policy.IsOpen():
		return "everyone who reaches this server may publish and listen"
	case a.config.Rules == nil && !a.policy.TakesTokens():
		return "publishing needs a key, anyone may listen"
	case a.config.Rules == nil:
		return "publishing and listening need a token that grants the channel, or a key"
	}
	if len(a.config.Rules) == 0 {
		return "only keys may publish and listen"
	}
	return "as the rules say: " + summary(a.config)
}

// host is what to write in a URL: the name that the user gave, or localhost for
// all addresses, with the port that the system gave.
func (c *serveCommand) host(addr net.Addr) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	host, _, _ := net.SplitHostPort(c.Listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

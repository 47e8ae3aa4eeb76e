package cmd

import (
	"fmt"
	"io"
	"net"
)

// greet prints where the server is and how to see a first message arrive.
func (c *serveCommand) greet(w io.Writer, addr net.Addr) {
	web, socket := "http", "ws"
	if c.TLSCert != "" {
		web, socket = "https", "wss"
	}
	at := c.host(addr)
	fmt.Fprintf(w, `pregon is listening on %[1]s://%[3]s
broker: %[4]s

Try it:
  wscat -c %[2]s://%[3]s/ws/noticias
  curl -N %[1]s://%[3]s/sse/noticias
  curl -X POST "%[1]s://%[3]s/publish/noticias?message=Hola+desde+el+backend"
or open %[1]s://%[3]s in a browser. Ctrl-C stops.
`, web, socket, at, redacted(c.Broker))
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

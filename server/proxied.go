package server

import (
	"net"
	"net/http"
	"strings"

	"github.com/pregon/pregon/transport"
)

// isForwarded reports whether a proxy has passed a request on, as far as it says so (RFC 7239).
func isForwarded(h http.Header) bool {
	for name := range h { // in their canonical form
		if name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// checkProxied refuses what a proxy has passed on to a server that lets everybody do everything,
// because only programs of this machine could reach it: now others can.
func (s *Server) checkProxied(r *http.Request) error {
	x := exchangeOf(r)
	switch {
	case s.options.Open, !x.access.IsOpen(), r.Context().Value(loopbackKey{}) == nil:
		return nil
	case isProbe(r.URL.Path), !isForwarded(r.Header):
		return nil
	}
	p := &transport.Problem{Status: http.StatusForbidden, Code: "open_behind_proxy",
		Detail: "This server is open to its own machine only, and a proxy has passed the request on; see --publish-key, --config and --open."}
	s.tellRefused(r, s.foreign, p, "a proxy has passed it on, and everybody may do everything here; protect the server with a key, or say with --open that it shall be open")
	return p
}

// isLocal reports whether r surely comes from this machine: by a loopback address, not by way
// of a proxy, and not from a page of a stranger's whose name resolves to that address.
func (s *Server) isLocal(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback() && !isForwarded(r.Header) && len(s.options.TrustProxies) == 0 && !exchangeOf(r).hosts.public() && exchangeOf(r).hosts.has(r.Host)
}

package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/pregon/pregon/transport"
)

// A page of another site whose name its owner lets resolve to 127.0.0.1 is, to
// the browser, of the same origin as a server there (DNS rebinding). Only the Host
// header tells that the request is not meant for us. So a server on a loopback
// address, which nothing else protects, answers for names that are surely its own,
// and so does every server that is told its names.

// hosts are the names of Options.Hosts, in lower case.
type hosts struct{ names []string }

var errHost = errors.New("it is not a host name without a port, in its ASCII form")

// CheckHost reports whether name may stand in Options.Hosts.
func CheckHost(name string) error {
	_, err := parseHosts([]string{name})
	return err
}

func parseHosts(list []string) (hosts, error) {
	var h hosts
	for _, name := range list {
		if !validHost(name) {
			return h, fmt.Errorf("%w: the host %q: %w", ErrOptions, name, errHost)
		}
		h.names = append(h.names, bracketed(plainHost(name)))
	}
	return h, nil
}

// plainHost returns a host name as it is compared: in lower case, without the dot
// that ends a fully qualified one.
func plainHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// bracketed returns a host as URLs have it.
func bracketed(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]"
	}
	return host
}

// has reports whether a Host header is one of ours: an IP address, localhost, or a
// name of the list, with any port. A request without the header comes from no
// browser.
func (h hosts) has(header string) bool {
	host := hostOf(header)
	return host == "" || isIP(host) || host == "localhost" || slices.Contains(h.names, host)
}

// public reports whether there are names by which others than this machine may ask.
func (h hosts) public() bool {
	return slices.ContainsFunc(h.names, func(name string) bool { return name != "localhost" && !isIP(strings.Trim(name, "[]")) })
}

// hostOf returns the host of a Host header without its port.
func hostOf(header string) string {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	}
	return plainHost(host)
}

// shownHost returns a Host header as a log may have it.
func shownHost(header string) string {
	if host := hostOf(header); validHost(host) {
		return host
	}
	return "(not a host name)"
}

// loopbackKey marks the context of requests that came to a loopback address.
type loopbackKey struct{}

// baseContext is for http.Server.
func baseContext(l net.Listener) context.Context {
	ctx := context.Background()
	if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsLoopback() {
		ctx = context.WithValue(ctx, loopbackKey{}, true)
	}
	return ctx
}

// checkHost refuses requests for hosts that are not this server's. Probes of
// health come by whatever name there is.
func (s *Server) checkHost(r *http.Request) error {
	hosts := exchangeOf(r).hosts
	guarded := len(hosts.names) > 0 || r.Context().Value(loopbackKey{}) != nil
	if !guarded || isProbe(r.URL.Path) || hosts.has(r.Host) {
		return nil
	}
	p := hostRefused()
	s.tellRefused(r, s.foreign, p, "the host is not known as this server's; if it is, name it with --host", "host", shownHost(r.Host))
	return p
}

func hostRefused() *transport.Problem {
	return &transport.Problem{Status: http.StatusMisdirectedRequest, Code: "host_not_allowed",
		Detail: "This server does not answer for the host of this request; see --host."}
}

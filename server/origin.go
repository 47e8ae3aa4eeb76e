package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pregon/pregon/transport"
)

// origins are the origins whose pages may use the server beside its own.
type origins struct {
	all      bool            // "*"
	null     bool            // "null"
	listed   []string        // as canonical writes them
	patterns []originPattern // "https://*.example.com"
}

// An originPattern stands for the origins whose host has one or more labels in
// front of a suffix.
type originPattern struct{ scheme, suffix, port string }

// An admission says what a page of some origin may do.
type admission int

const (
	refused      admission = iota
	anonymous              // it may use the server without the user's cookies
	credentialed           // it may use it with them
)

var errOrigin = errors.New(`it is not "*", "null", or of the form https://host[:port], where host may begin with "*."`)

// CheckOrigin reports whether origin may stand in Options.AllowOrigins.
func CheckOrigin(origin string) error {
	_, err := parseOrigins([]string{origin})
	return err
}

// parseOrigins checks a list of origins.
func parseOrigins(list []string) (origins, error) {
	var o origins
	for _, entry := range list {
		if err := o.add(entry); err != nil {
			return o, fmt.Errorf("%w: the allowed origin %q: %w", ErrOptions, entry, err)
		}
	}
	return o, nil
}

func (o *origins) add(entry string) error {
	switch entry {
	case "*":
		o.all = true
		return nil
	case "null":
		o.null = true
		return nil
	}
	exact, wildcard := entry, false
	if scheme, host, ok := strings.Cut(entry, "://*."); ok {
		exact, wildcard = scheme+"://"+host, true
	}
	scheme, host, port, ok := splitOrigin(exact)
	switch {
	case !ok || !validHost(host) || wildcard && isIP(host):
		return errOrigin
	case wildcard:
		o.patterns = append(o.patterns, originPattern{scheme, "." + host, port})
	default:
		o.listed = append(o.listed, scheme+"://"+net.JoinHostPort(host, port))
	}
	return nil
}

// admit returns what a page of origin may do, the server's own pages aside. Where
// only "*" or "null" lets it in that is not everything: these stand for any page
// there is.
func (o *origins) admit(origin string) admission {
	scheme, host, port, ok := splitOrigin(origin)
	switch {
	case ok && validHost(host) && (slices.Contains(o.listed, scheme+"://"+net.JoinHostPort(host, port)) || o.matches(scheme, host, port)):
		return credentialed
	case o.all, o.null && origin == "null":
		return anonymous
	}
	return refused
}

func (o *origins) matches(scheme, host, port string) bool {
	return slices.ContainsFunc(o.patterns, func(p originPattern) bool {
		return p.scheme == scheme && p.port == port && len(host) > len(p.suffix) && strings.HasSuffix(host, p.suffix)
	})
}

// canonical returns an origin (RFC 6454) in lower case with its port.
func canonical(origin string) (string, bool) {
	scheme, host, port, ok := splitOrigin(origin)
	return scheme + "://" + net.JoinHostPort(host, port), ok
}

// splitOrigin returns the parts of an origin: the host in lower case or, where it
// is an IP address, as RFC 5952 writes it, and the port that the scheme implies
// where there is none.
func splitOrigin(origin string) (scheme, host, port string, ok bool) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(origin, "#") || u.User != nil || u.Opaque != "" {
		return "", "", "", false
	}
	host, port = strings.ToLower(u.Hostname()), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	}
	switch {
	case port != "":
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
			return "", "", "", false
		}
	case u.Scheme == "https":
		port = "443"
	case u.Scheme == "http":
		port = "80"
	}
	return u.Scheme, host, port, true
}

// validHost reports whether host is an IP address, or a name as it stands in
// URLs: labels of ASCII letters, digits, "-" and "_". International names are in
// their ASCII form there, which begins with "xn--".
func validHost(host string) bool {
	if isIP(host) {
		return true
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// checkOrigin refuses requests that a page of another site makes with the user's
// browser, and lets pages of allowed sites read the answers. Programs other than
// browsers send no Origin.
func (s *Server) checkOrigin(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		sent := r.Header.Values("Origin")
		if len(sent) == 0 {
			return next(w, r)
		}
		how := refused
		if len(sent) == 1 {
			how = exchangeOf(r).admit(sent[0], r)
		}
		switch how {
		case refused:
			p := originRefused()
			s.tellRefusedOrigin(r, p, sent[0])
			return p
		case credentialed:
			exchangeOf(r).credentialed = true
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		h.Set("Access-Control-Allow-Origin", sent[0])
		h.Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
		return next(w, r)
	}
}

func originRefused() *transport.Problem {
	return &transport.Problem{Status: http.StatusForbidden, Code: "origin_not_allowed",
		Detail: "Pages of this origin may not use this server; see --allow-origin, and --host behind a proxy."}
}

// tellRefusedOrigin logs both names that did not match: behind a proxy that does
// not pass Host on, that is what explains it.
func (s *Server) tellRefusedOrigin(r *http.Request, p *transport.Problem, origin string) {
	s.tellRefused(r, s.foreign, p, "the page's origin is not this server's; let the proxy pass Host on, or name the server with --host or the origin with --allow-origin",
		"origin", shownOrigin(origin), "host", shownHost(r.Host))
}

// shownOrigin returns an origin as a log may have it.
func shownOrigin(origin string) string {
	scheme, host, port, ok := splitOrigin(origin)
	switch {
	case origin == "null":
		return origin
	case !ok || !validHost(host) || len(scheme) > 32:
		return "(not an origin)"
	case scheme == "https" && port == "443", scheme == "http" && port == "80", port == "":
		return scheme + "://" + bracketed(host)
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// admit returns what a page of origin may do that makes r.
func (n *settings) admit(origin string, r *http.Request) admission {
	if n.isOwn(origin, r) {
		return credentialed
	}
	return n.origins.admit(origin)
}

// isOwn reports whether origin is the server's own: that of the host which the
// request is for, or of one that Options.Hosts has. The page may have come over
// https while we speak http: a proxy in front ends TLS. The other way round it is
// not our page.
func (n *settings) isOwn(origin string, r *http.Request) bool {
	c, ok := canonical(origin)
	if !ok {
		return false // such as "null"
	}
	for _, scheme := range []string{"https", "http"} {
		for _, host := range append([]string{r.Host}, n.hosts.names...) {
			if own, ok := canonical(scheme + "://" + host); ok && own == c {
				return true
			}
		}
		if r.TLS != nil {
			break
		}
	}
	return false
}

// allowedHeaders are what pages may send beside what they always may.
const allowedHeaders = "Authorization, Cache-Control, Content-Type, " + keyHeader + ", Last-Event-ID, traceparent"

// preflight returns the handler that tells a browser whether a page may make a
// request of one of the given methods.
func (s *Server) preflight(methods []string) handler {
	allowed := strings.Join(methods, ", ")
	return s.checkOrigin(func(w http.ResponseWriter, _ *http.Request) error {
		h := w.Header()
		h.Set("Allow", allowed+", "+http.MethodOptions)
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", allowedHeaders)
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

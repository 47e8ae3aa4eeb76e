package server

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pregon/pregon/transport"
)

// origins are the origins whose pages may use the server beside its own.
type origins struct {
	all    bool
	listed []string // as canonical writes them
}

// parseOrigins checks a list of origins.
func parseOrigins(list []string) (origins, error) {
	var o origins
	for _, entry := range list {
		if entry == "*" {
			o.all = true
			continue
		}
		c, ok := canonical(entry)
		if !ok {
			return o, fmt.Errorf("%w: an allowed origin is not of the form https://host[:port]", ErrOptions)
		}
		o.listed = append(o.listed, c)
	}
	return o, nil
}

// canonical returns an origin (RFC 6454) in lower case with its port.
func canonical(origin string) (string, bool) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	case u.Scheme == "http":
		port = "80"
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port), true
}

// guard refuses requests that a page of another site makes with the user's
// browser, and lets pages of allowed sites read the answers. Programs other than
// browsers send no Origin.
func (s *Server) guard(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		sent := r.Header.Values("Origin")
		if len(sent) == 0 {
			return next(w, r)
		}
		w.Header().Add("Vary", "Origin")
		if len(sent) > 1 || !s.allows(sent[0], r) {
			return &transport.Problem{Status: http.StatusForbidden, Code: "origin_not_allowed",
				Detail: "Pages of this origin may not use this server; see --allow-origin."}
		}
		w.Header().Set("Access-Control-Allow-Origin", sent[0])
		return next(w, r)
	}
}

// allows reports whether a page of origin may make r.
func (s *Server) allows(origin string, r *http.Request) bool {
	c, ok := canonical(origin)
	if !ok {
		return false // such as "null"
	}
	if s.origins.all || slices.Contains(s.origins.listed, c) {
		return true
	}
	// The page may have come over https while we speak http: a proxy in front
	// ends TLS. The other way round it is not our page.
	for _, scheme := range []string{"https", "http"} {
		if own, ok := canonical(scheme + "://" + r.Host); ok && own == c {
			return true
		}
		if r.TLS != nil {
			break
		}
	}
	return false
}

// preflight answers a browser that asks whether a page may publish.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) error {
	return s.guard(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Access-Control-Allow-Methods", "POST")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type, "+keyHeader)
		w.Header().Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return nil
	})(w, r)
}

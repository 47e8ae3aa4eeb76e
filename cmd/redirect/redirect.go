// Package redirect answers on a port without TLS, and sends all that comes there to https.
//
// It is no part of the server: it has no channels, reads no bodies, and a connection is closed behind its
// one answer, so that the few there may be are soon free again. Where the server's names are known, a request for another one is
// refused (RFC 9110, section 15.5.20), as nothing good can come of sending a browser there.
//
// A credential in the query is left out of the address: it has been seen by everybody on the way, and is
// not to work as if nothing were.
package redirect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// Bounds of a connection.
const (
	requestTime = 5 * time.Second
	maxHeader   = 8 << 10 // bytes; net/http adds 4 KiB
)

// httpsPort is that of addresses without one.
const httpsPort = "443"

// challenges is where an authority of certificates asks (RFC 8555, section 8.3).
const challenges = "/.well-known/acme-challenge/"

// Options are what New makes a Server of.
type Options struct {
	// Port is that of https, for those that name another port than 80 in a request: nothing
	// stands between them and this machine. All others are sent to 443.
	Port string
	// Challenges answers authorities of certificates, if it is not nil. Their requests have their
	// Host without a port.
	Challenges http.Handler
	Logger     *slog.Logger
}

// A Server redirects. It may be used concurrently.
type Server struct {
	options Options
	names   atomic.Pointer[[]string]
}

// New makes a Server, which knows no names yet.
func New(o Options) *Server {
	s := &Server{options: o}
	s.SetNames(nil)
	return s
}

// SetNames says for which hosts requests are redirected. Without any it is the one of the request.
func (s *Server) SetNames(names []string) {
	known := make([]string, len(names))
	for i, name := range names {
		known[i] = plain(name)
	}
	s.names.Store(&known)
}

// Serve serves l, and closes it, until ctx ends; then it answers what is under way, and returns nil. An error
// means that l failed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	web := &http.Server{
		Handler: s, ReadTimeout: requestTime, WriteTimeout: 2 * requestTime, MaxHeaderBytes: maxHeader,
		ConnState: newCrowd().changed, ErrorLog: slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	web.SetKeepAlivesEnabled(false)
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		_ = web.Close() // the error of Accept is the news
		return fmt.Errorf("redirect: accept connections: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	err := web.Shutdown(end)
	<-failed
	// What was accepted in the last moment is known only now.
	if errors.Join(err, web.Shutdown(end)) != nil {
		_ = web.Close() // what is left has had its time
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, port := split(r.Host)
	if s.options.Challenges != nil && strings.HasPrefix(r.URL.Path, challenges) {
		r.Host = host
		s.options.Challenges.ServeHTTP(w, r)
		return
	}
	if names := *s.names.Load(); len(names) > 0 && !slices.Contains(names, host) || !valid(host) {
		problem := &transport.Problem{Status: http.StatusMisdirectedRequest, Code: "host_not_allowed",
			Detail: "This server does not answer for the host of this request; see --host."}
		problem.ServeHTTP(w, r)
		return
	}
	target := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: withoutToken(r.URL.RawQuery)}
	switch {
	case port != "" && port != "80" && s.options.Port != httpsPort:
		target.Host = net.JoinHostPort(host, s.options.Port)
	case strings.Contains(host, ":"):
		target.Host = "[" + host + "]"
	}
	h := w.Header()
	h.Set("Location", target.String())
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusPermanentRedirect)
}

// split returns the host and the port of a Host header. The port may be missing.
func split(header string) (host, port string) {
	host, port, err := net.SplitHostPort(header)
	if err != nil {
		host, port = header, ""
	}
	return plain(host), port
}

// plain returns a host as it is compared: in lower case, without brackets and the dot that ends a
// fully qualified name.
func plain(host string) string {
	return strings.TrimSuffix(strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")), ".")
}

// valid reports whether an address may have a host, which a zone of IPv6 has no place in.
func valid(host string) bool { return server.CheckHost(host) == nil && !strings.Contains(host, "%") }

// withoutToken returns a query without what may be a credential.
func withoutToken(query string) string {
	kept := strings.Split(query, "&")
	kept = slices.DeleteFunc(kept, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		unescaped, err := url.QueryUnescape(name)
		return err != nil || unescaped == "token"
	})
	return strings.Join(kept, "&")
}

package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// dialTime bounds the opening of a connection, its handshake included.
const dialTime = 20 * time.Second

// A target is a server under test.
type target struct {
	url *url.URL
	pid int // 0 where it is not known

	authorization string         // a line of each request's head; empty for none
	authorities   *x509.CertPool // nil for those of the system
}

// as returns t for requests with the credential of o, in which whom o trusts is trusted.
func (t target) as(o *Options) target {
	if o.Credential != "" {
		t.authorization = "Authorization: Bearer " + o.Credential + "\r\n"
	}
	t.authorities = o.Authorities
	return t
}

func newTarget(rawURL string, pid int) (target, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return target{}, fmt.Errorf("the address of the server is not http://host:port%w", silent{ErrOptions})
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return target{url: u, pid: pid}, nil
}

// dial opens a connection to the server.
func (t target) dial(ctx context.Context) (net.Conn, error) {
	port := t.url.Port()
	if port == "" {
		port = t.url.Scheme // a name that the system knows the number of
	}
	address := net.JoinHostPort(t.url.Hostname(), port)
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if t.url.Scheme == "https" {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: t.authorities, NextProtos: []string{"http/1.1"}}}).DialContext(ctx, "tcp", address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// path is the request target of a route.
func (t target) path(route string) string { return t.url.EscapedPath() + "/" + route }

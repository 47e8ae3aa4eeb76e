package token

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Limits of a fetch.
const (
	fetchTimeout = 5 * time.Second // for all of it
	maxBody      = 1 << 20         // bytes
)

// newClient returns the client that fetches key sets. A key set is believed for where it comes from, so
// it does not follow a redirect to somewhere else.
func newClient(t http.RoundTripper) *http.Client {
	if t == nil {
		t = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableKeepAlives:      true, // the next fetch is minutes away
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetch returns what is behind url. An error has nothing of the URL but its host, and nothing that the
// server sent but its status and what is wrong with its certificate.
func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("the URL cannot be used")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := client.Do(r)
	if err != nil {
		return nil, plain(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read, or is of no use
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, plain(ctx, err)
	case len(body) > maxBody:
		return nil, errors.New("the answer is longer than 1 MiB")
	}
	return body, nil
}

// plain returns what may be said of an error of net/http: those of the network and of TLS are ours, and
// others may quote what the server sent.
func plain(ctx context.Context, err error) error {
	var network *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer in %v", fetchTimeout)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &name):
		return name
	case errors.As(err, &network):
		return network
	case errors.As(err, &certificate):
		return certificate
	}
	return errors.New("the connection broke, or what is there does not speak HTTP or TLS")
}

// shown returns where a URL leads, without what may be secret: user, password and query.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

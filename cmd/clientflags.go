package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/pregon/pregon/server/config"
)

// clientFlags say how a command that talks to a server comes to it.
type clientFlags struct {
	TokenFile string `name:"token-file" placeholder:"FILE" help:"File with a key or a token, which is sent as Authorization: Bearer."`
	CA        string `name:"ca" placeholder:"FILE" help:"Certificates in PEM of authorities to trust beside those of the system."`
}

var errCredential = errors.New("it has something else than a key or a token, in one line")

// credential returns the key or token of --token-file, empty where there is none.
func (f clientFlags) credential() (string, error) {
	if f.TokenFile == "" {
		return "", nil
	}
	text, _, err := config.ReadSecret(f.TokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: read %s: %w", f.TokenFile, err)
	}
	if len(text) == 0 || strings.ContainsFunc(string(text), func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("--token-file: read %s: %w", f.TokenFile, errCredential)
	}
	return string(text), nil
}

// authorities returns whom to trust, nil for those of the system.
func (f clientFlags) authorities() (*x509.CertPool, error) {
	if f.CA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // where the system has none, as in a container
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca: there is no certificate in PEM in %s", f.CA)
	}
	return pool, nil
}

// A caller makes requests of a server.
type caller struct {
	url        address
	flags      clientFlags
	client     *http.Client
	credential string
	tls        *tls.Config
}

// caller returns what makes requests of a server as the flags say. The user of it closes its idle
// connections.
func (f clientFlags) caller(url address) (*caller, error) {
	pool, err := f.authorities()
	if err != nil {
		return nil, err
	}
	secure := &tls.Config{RootCAs: pool}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure.Clone(), ForceAttemptHTTP2: true} // which changes its configuration
	c := &caller{url: url, flags: f, client: &http.Client{Transport: transport}, tls: secure}
	return c, c.refresh()
}

// refresh reads the key or token again, as it may be a new one.
func (c *caller) refresh() (err error) {
	c.credential, err = c.flags.credential()
	return err
}

// do makes one request.
func (c *caller) do(req *http.Request) (*http.Response, error) {
	if c.credential != "" {
		req.Header.Set("Authorization", "Bearer "+c.credential)
	}
	return c.client.Do(req)
}

func (c *caller) close() { c.client.CloseIdleConnections() }

// hint returns what a server said, and the flag that would help where it is one of these.
func (c *caller) hint(a *answered) error {
	switch {
	case a.status == http.StatusUnauthorized && c.flags.TokenFile == "":
		return fmt.Errorf("%w; --token-file brings a key or a token", a)
	case a.status == http.StatusNotFound && a.code == "":
		return fmt.Errorf("%w: is --url the address of a pregon?", a)
	}
	return a
}

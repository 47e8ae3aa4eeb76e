package cmd

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"
)

// checkupTime is how long a server may take to say that it lives.
const checkupTime = 3 * time.Second

type healthcheckCommand struct {
	URL     address  `name:"url" env:"-" placeholder:"URL" help:"Address of the server. By default that of --listen on this machine, by https where --tls-cert or --acme is given."`
	Listen  string   `default:"localhost:8000" placeholder:"HOST:PORT" help:"What the server listens on. Default ${default}."`
	TLSCert string   `name:"tls-cert" placeholder:"FILE" help:"The server's certificate, if it has one; it is not read."`
	ACME    []string `name:"acme" placeholder:"HOST" help:"The names for which the server obtains certificates, if it does."`
}

// Help is shown by pregon healthcheck --help.
func (healthcheckCommand) Help() string {
	return `It asks /healthz, and exits with 0 where the server answers within three seconds that it lives, otherwise with 1: for supervisors of containers, which have no other program to ask it by. On this machine the certificate is not verified, as it is for the server's public name.`
}

// Validate is called by kong.
func (c *healthcheckCommand) Validate() error {
	if c.URL != "" {
		return nil
	}
	if err := checkListen(c.Listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	return nil
}

// Run asks the server.
func (c *healthcheckCommand) Run(ctx context.Context, out *console) error {
	ctx, cancel := context.WithTimeout(ctx, checkupTime)
	defer cancel()
	caller, err := clientFlags{}.caller(c.target())
	if err != nil {
		return err
	}
	defer caller.close()
	if c.URL == "" {
		caller.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // our own machine
	}
	caller.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(caller.url)+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	resp, err := caller.do(req)
	if err != nil {
		return caller.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answerError(resp)
	}
	if _, err := fmt.Fprintln(out.stdout, "ok"); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// target returns the address of the server: where it listens on all addresses of the machine, any will do.
func (c *healthcheckCommand) target() address {
	if c.URL != "" {
		return c.URL
	}
	host, port, _ := net.SplitHostPort(c.Listen) // which Validate has checked
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if c.TLSCert != "" || len(c.ACME) > 0 {
		scheme = "https"
	}
	return address(scheme + "://" + net.JoinHostPort(host, port))
}

package cmd

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// checkExposure refuses to start where others than programs of this machine may reach
// a server on which everyone may publish, unless that is what --open asks for.
func (c *serveCommand) checkExposure(ctx context.Context, a *admission, out *console) error {
	if !c.needsCare(a) {
		return nil
	}
	why, err := c.exposed(ctx)
	if err != nil || why == "" {
		return err
	}
	return &exposedError{why: why, typed: typed(out.args)}
}

// needsCare reports whether everyone may publish, and nobody has said that it shall be so.
func (c *serveCommand) needsCare(a *admission) bool { return a.policy.IsOpen() && !c.Access.Open }

// checkListener is checkExposure once it is known for certain who may reach the server: a name
// may stand for another address than a moment before.
func (c *serveCommand) checkListener(addr net.Addr, a *admission, out *console) error {
	if !c.needsCare(a) || isLoopback(addr) {
		return nil
	}
	return &exposedError{why: addr.String() + " is not a loopback address", typed: typed(out.args)}
}

// typed returns a command line as it can be typed again, without what may be a secret.
func typed(args []string) string {
	words := []string{"pregon"}
	for _, arg := range args {
		words = append(words, quoted(withoutSecrets(arg)))
	}
	return strings.Join(words, " ")
}

// exposed returns why others may reach the server, empty where they may not.
func (c *serveCommand) exposed(ctx context.Context) (string, error) {
	switch {
	case len(c.Host) > 0:
		return "with --host others are to reach the server", nil
	case c.TLS.ACME.on():
		return "with --acme others are to reach the server", nil
	case len(c.TrustProxy) > 0:
		return "with --trust-proxy others are to reach the server", nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", nil // which listening tells
	}
	local, err := namesLoopback(ctx, host)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	if local {
		return "", nil
	}
	return c.Listen + " is not a loopback address", nil
}

// namesLoopback reports whether only programs of this machine reach a host.
func namesLoopback(ctx context.Context, host string) (bool, error) {
	switch host {
	case "localhost":
		return true, nil // as package server reads it
	case "":
		return false, nil
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false, err
	}
	for _, a := range addresses {
		if !a.Unmap().IsLoopback() {
			return false, nil
		}
	}
	return true, nil
}

// An exposedError says how to go on in two lines.
type exposedError struct{ why, typed string }

func (e *exposedError) Error() string {
	return e.why + ", so say who may publish: with --publish-key, --jwt-key, --jwks, --config or --open"
}

// Lines returns a line for each way to go on, with the command.
func (e *exposedError) Lines() []string {
	return []string{
		e.why + ", so say who may publish. With a key: umask 077; pregon key >pregon.key && " + e.typed + " --publish-key @pregon.key",
		"Or let everyone publish: " + e.typed + " --open",
	}
}

// Unwrap makes it a matter of usage.
func (e *exposedError) Unwrap() error { return errUsage }

// quoted returns a word as a shell reads it.
func quoted(word string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+:,./@%"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

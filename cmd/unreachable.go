package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// errNoHost means that the host of a URL has no address.
var errNoHost = errors.New("there is no such host")

// unreachable returns why the server could not be asked, for a person who can do something about it. It
// is errRefused where that will be so the next time.
func (c *caller) unreachable(err error) error {
	err = withoutURL(err)
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var alert tls.AlertError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &unknown):
		err = refusal{errors.New("its certificate is signed by none that is trusted here; if it is right, give the file with its authority's by --ca")}
	case errors.As(err, &name):
		err = refusal{fmt.Errorf("its certificate is another host's: %s", strings.TrimPrefix(name.Error(), "x509: "))}
	case errors.As(err, &alert):
		err = refusal{alert}
	case errors.Is(err, http.ErrSchemeMismatch):
		err = refusal{errors.New("it does not speak https there; write http://")}
	case errors.As(err, &lookup) && lookup.IsNotFound:
		err = errNoHost
	default:
		if of, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			err = refusal{of}
		}
	}
	return fmt.Errorf("connect to %s: %w", withoutUserinfo(string(c.url)), err)
}

// withoutURL returns what a request has failed with, without the URL that net/http puts ahead of it.
func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}

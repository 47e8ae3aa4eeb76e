package cmd

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/cmd/certificate"
)

// acmeFlags say where certificates come from without files.
type acmeFlags struct {
	Hosts     []string `name:"acme" placeholder:"HOST" help:"Name of this server, as with --host, to obtain a certificate for by ACME, and renew it, which accepts the authority's terms of service. May be repeated, or several parted by commas."`
	Folder    string   `name:"acme-dir" type:"path" placeholder:"DIR" help:"Folder for the certificates and keys of --acme; nodes may share it."`
	Email     string   `name:"acme-email" placeholder:"ADDRESS" help:"Where the authority of --acme may write to."`
	Directory string   `name:"acme-directory" default:"https://acme-v02.api.letsencrypt.org/directory" placeholder:"URL" help:"Directory of the authority of --acme, by default Let's Encrypt. Default ${default}."`
	CA        string   `name:"acme-ca" type:"path" placeholder:"FILE" help:"Certificates in PEM by which the directory is trusted, instead of those of the system."`
}

// on reports whether certificates are obtained.
func (f acmeFlags) on() bool { return len(f.Hosts) > 0 }

// check says what of the flags makes no sense.
func (f acmeFlags) check(kctx *kong.Context) error {
	if !f.on() {
		for _, name := range []string{"acme-dir", "acme-email", "acme-directory", "acme-ca"} {
			if given(kctx, name) {
				return fmt.Errorf("--%s: it goes with --acme", name)
			}
		}
		return nil
	}
	for _, host := range f.Hosts {
		if err := certificate.CheckACMEHost(host); err != nil {
			return fmt.Errorf("--acme: %q: %w", host, err)
		}
	}
	if f.Folder == "" {
		return errors.New("--acme: give --acme-dir, too, where certificates outlive the process")
	}
	if u, err := url.Parse(f.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("--acme-directory: this must be a URL of https://")
	}
	return nil
}

// open makes what obtains the certificates.
func (f acmeFlags) open(log *slog.Logger) (*certificate.ACME, error) {
	roots, err := f.roots()
	if err != nil {
		return nil, err
	}
	a, err := certificate.NewACME(certificate.ACMEOptions{
		Hosts: f.Hosts, Folder: f.Folder, Email: f.Email, Directory: f.Directory, Roots: roots, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("--acme-dir: %w%w", err, errUsage)
	}
	return a, nil
}

// roots returns by what the directory is trusted, nil for the system's own.
func (f acmeFlags) roots() (*x509.CertPool, error) {
	if f.CA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("--acme-ca: %w%w", err, errUsage)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--acme-ca: there is no certificate in PEM in %s%w", f.CA, errUsage)
	}
	return roots, nil
}

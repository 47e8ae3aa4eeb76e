package cmd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pregon/pregon/cmd/certificate"
)

// tlsFlags say how https is served.
type tlsFlags struct {
	Cert      string    `name:"tls-cert" type:"path" placeholder:"FILE" help:"Certificate in PEM, to serve https and wss."`
	Key       string    `name:"tls-key" type:"path" placeholder:"FILE" help:"Private key in PEM."`
	TicketKey string    `name:"tls-ticket-key" placeholder:"@FILE" help:"Clients of TLS continue their sessions at all servers with the secret in this file, which pregon key makes. PREGON_TLS_TICKET_KEY may be the secret itself."`
	Redirect  string    `placeholder:"HOST:PORT" help:"Address to listen on without TLS, such as :80, and to send all to https that comes there."`
	ACME      acmeFlags `embed:""`
}

// on reports whether https is served.
func (f tlsFlags) on() bool { return f.Cert != "" || f.ACME.on() }

// check says what of the flags makes no sense.
func (f tlsFlags) check(kctx *kong.Context, file settingsFile) error {
	_, inFile := file.used["tls-ticket-key"]
	switch {
	case (f.Cert == "") != (f.Key == ""):
		return errors.New("--tls-cert and --tls-key: give both or neither")
	case f.Cert != "" && f.ACME.on():
		return errors.New("--acme: it does not go with --tls-cert")
	case f.Redirect != "" && !f.on():
		return errors.New("--redirect: it goes with --tls-cert or --acme")
	case f.Redirect != "" && checkListen(f.Redirect) != nil:
		return fmt.Errorf("--redirect: %w", checkListen(f.Redirect))
	case f.TicketKey == "":
		return f.ACME.check(kctx)
	case (inFile || given(kctx, "tls-ticket-key")) && !strings.HasPrefix(f.TicketKey, "@"):
		return errors.New("--tls-ticket-key: others see a secret on the command line or in the configuration; write @FILE, the file that has it")
	case !f.on():
		return errors.New("--tls-ticket-key: it goes with --tls-cert or --acme")
	}
	return f.ACME.check(kctx)
}

// A secured is what https is served with.
type secured struct {
	config     *tls.Config           // nil where it is not served
	watch      func(context.Context) // runs meanwhile
	ends       func() time.Time      // when the first certificate does; nil without https
	challenges http.Handler          // for the port without TLS, may be nil
}

// open reads or obtains certificates.
func (f tlsFlags) open(log *slog.Logger) (secured, error) {
	switch {
	case f.Cert != "":
		pair, err := f.pair(log)
		if err != nil {
			return secured{}, err
		}
		s := secured{config: pair.Config(), watch: pair.Watch, ends: pair.Ends}
		return s, f.share(s.config, log)
	case f.ACME.on():
		a, err := f.ACME.open(log)
		if err != nil {
			return secured{}, err
		}
		s := secured{config: a.Config(), watch: a.Watch, ends: a.Ends}
		if f.Redirect != "" {
			s.challenges = a.Challenges()
		}
		return s, f.share(s.config, log)
	}
	return secured{watch: func(context.Context) {}}, nil
}

// warnOfNames tells which of the server's names the certificate is not for.
func (f tlsFlags) warnOfNames(s secured, names []string, log *slog.Logger) {
	if f.Cert == "" {
		return // ACME has one for each
	}
	c, err := s.config.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return // never: a Pair has one
	}
	for _, name := range names {
		if c.Leaf.VerifyHostname(name) != nil {
			log.Warn("the certificate of --tls-cert is not for a name of this server", "host", name, "for", c.Leaf.DNSNames)
		}
	}
}

// try says what is wrong with the files, and changes nothing.
func (f tlsFlags) try() error {
	quiet := slog.New(slog.DiscardHandler)
	if f.ACME.on() {
		_, err := f.ACME.roots()
		return errors.Join(err, f.share(&tls.Config{}, quiet))
	}
	_, err := f.open(quiet)
	return err
}

// pair reads the certificate and its key.
func (f tlsFlags) pair(log *slog.Logger) (*certificate.Pair, error) {
	pair, err := certificate.Load(f.Cert, f.Key, log)
	if err != nil {
		return nil, fmt.Errorf("load --tls-cert and --tls-key: %w", err)
	}
	return pair, nil
}

// share has config's sessions continue at other servers, where a secret says at which.
func (f tlsFlags) share(config *tls.Config, log *slog.Logger) error {
	if f.TicketKey == "" {
		return nil
	}
	secret, err := secretOf(f.TicketKey, log)
	var tickets *certificate.Tickets
	if err == nil {
		tickets, err = certificate.NewTickets(secret)
	}
	if err != nil {
		return fmt.Errorf("--tls-ticket-key: %w%w", err, errUsage)
	}
	tickets.Apply(config)
	return nil
}

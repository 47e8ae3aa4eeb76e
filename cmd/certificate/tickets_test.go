package certificate_test

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/cmd/certificate"
)

// sharing returns what a server with a certificate of its own and the tickets of a secret has.
func sharing(t *testing.T, secret string) *tls.Config {
	t.Helper()
	tickets, err := certificate.NewTickets([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(made(t, 1, year))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	tickets.Apply(config)
	return config.Clone() // as servers do
}

// resumes reports whether a client's handshake with a server continues a session. It gets a ticket for the next one.
func resumes(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = conn.Write([]byte("x")) // and the ticket ahead of it
			err = errors.Join(err, conn.Close())
		}
		done <- err
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(conn)
	resumed := conn.ConnectionState().DidResume
	_ = conn.Close() // the other end has closed already
	if err := errors.Join(err, <-done, l.Close()); err != nil {
		t.Fatal(err)
	}
	return resumed
}

const (
	oneSecret   = "QZb0Vh2mXc7rT1yNfK5sWd8pLg3jEa6u"
	otherSecret = "Ru4kPz9wBn1tHv6xMq2cYs7fJd5gLe8a"
)

// A client continues its session at another server that has the same secret, until the second day
// from then, and at none with another secret.
func TestTicketsAreShared(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		for _, c := range []struct {
			what  string
			there string
			after time.Duration
			want  bool
		}{
			{"another server", oneSecret, 0, true},
			{"on the next day", oneSecret, 24 * time.Hour, true},
			{"another secret", otherSecret, 0, false},
			{"after two days", oneSecret, 48 * time.Hour, false},
		} {
			synctest.Test(t, func(t *testing.T) {
				client := &tls.Config{InsecureSkipVerify: true, MaxVersion: version, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				here, there := sharing(t, oneSecret), sharing(t, c.there)
				if resumes(t, here, client) {
					t.Fatal("the first handshake continues a session")
				}
				time.Sleep(c.after)
				if got := resumes(t, there, client); got != c.want {
					t.Errorf("%s, %s: the session is continued: %v, want %v", name, c.what, got, c.want)
				}
			})
		}
	}
}

// A secret that is too short is refused, and not quoted.
func TestShortSecret(t *testing.T) {
	for _, secret := range []string{"", oneSecret[:31]} {
		_, err := certificate.NewTickets([]byte(secret))
		if !errors.Is(err, certificate.ErrSecret) || secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("%d bytes: %v", len(secret), err)
		}
	}
}

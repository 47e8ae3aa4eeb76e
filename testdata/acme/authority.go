// Package acme tests how certificates are obtained, from Pebble, the authority that Let's Encrypt has for tests. It is a module
// of its own, so that pregon itself does not depend on it.
package acme

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// An authority issues certificates for every name, which it takes for one of this machine.
type authority struct {
	directory string // URL
	trust     string // name of a file by which the directory is trusted
	roots     *x509.CertPool
	orders    atomic.Int64 // that were made
	away      atomic.Bool  // connections are cut
}

// startAuthority starts an authority that looks for servers at two ports, and whose certificates last for some seconds, or
// for 0, which is years.
func startAuthority(t *testing.T, httpPort, tlsPort int, seconds uint64) *authority {
	t.Helper()
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: seconds}})
	validator := va.New(quiet, httpPort, tlsPort, false, startDNS(t), store)
	front := wfe.New(quiet, store, validator, issuer, []string{"authority.test"}, false, false, 1, 1)
	a := &authority{roots: x509.NewCertPool()}
	a.roots.AddCert(issuer.GetRootCert(0).Cert)
	handler := front.Handler()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/order-plz") {
			a.orders.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	s.Listener = &cut{s.Listener, &a.away}
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	a.directory = s.URL + wfe.DirectoryPath
	a.trust = filepath.Join(t.TempDir(), "directory.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(a.trust, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// A cut listener closes connections as long as it is told to.
type cut struct {
	net.Listener
	now *atomic.Bool
}

func (c *cut) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil || !c.now.Load() {
			return conn, err
		}
		_ = conn.Close()
	}
}

// startDNS returns the address of a name server for which every name is this machine's.
func startDNS(t *testing.T) string {
	t.Helper()
	l := listen(t)
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if question := q.Question[0]; question.Qtype == dns.TypeA {
			record, err := dns.NewRR(fmt.Sprintf("%s 1 IN A 127.0.0.1", question.Name))
			if err == nil {
				answer.Answer = append(answer.Answer, record)
			}
		}
		_ = w.WriteMsg(answer) // to nobody, where the authority has gone
	})}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// listen opens a free port of this machine until the test ends.
func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

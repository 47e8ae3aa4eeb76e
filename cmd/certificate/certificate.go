// Package certificate has a server's certificate, and what else TLS is served with. All that
// changes while the server runs.
//
// # Files
//
// A [Pair] is of two files, which may be replaced, as programs do that renew certificates, and as Kubernetes does with
// secrets. The files are read every few seconds, and not watched: that works alike for files that are written over, for
// links that are moved, and on every file system. Where certificate and key do not belong together, or are not
// written to their ends yet, the pair from before goes on.
//
// # ACME
//
// An [ACME] has certificates from an authority, by golang.org/x/crypto/acme/autocert, two packages of a
// module that is needed already. certmagic was weighed: it knows more (locks between nodes, renewal
// when the authority asks for it, DNS challenges), and brings zap, miekg/dns, libdns and an ACME client of its own; it opens ports 80
// and 443 by itself where it thinks it has to. What autocert lacks is here:
//
//   - It orders a certificate when a client asks for it, which waits. Here Watch orders, and handshakes get what there is.
//   - It asks again a minute after a failure, where authorities count failures. Here it is less and less often.
//   - It does not say why an authority refuses, and nothing at all of renewals. A round tripper listens in.
//   - It has no end. The round tripper ends with Watch; what is left are timers.
//
// Nodes that share the folder share certificates and account, and each answers for the orders of the others (the
// challenges are in the folder, too). Each looks there before it renews; but those that start at the same moment with an empty
// folder all order.
package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const checkEvery = 5 * time.Second // so that a new pair counts within ten seconds

// A Pair is a certificate with its key, in PEM, in two files. It may be used concurrently.
type Pair struct {
	certificate, key string // names of the files
	log              *slog.Logger
	current          atomic.Pointer[tls.Certificate]

	read [2][]byte // what the files had when they were looked at last
	ends reminder
}

// Load reads a pair, which must be good.
func Load(certificate, key string, log *slog.Logger) (*Pair, error) {
	p := &Pair{certificate: certificate, key: key, log: log, ends: reminder{log: log, soon: soon}}
	if _, err := p.load(); err != nil {
		return nil, err
	}
	p.ends.remind(p.current.Load().Leaf)
	return p, nil
}

// Config returns what to serve TLS with: the pair that counts at each handshake, and HTTP/2 for clients that offer
// it. It is the caller's.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current.Load(), nil },
		MinVersion:     tls.VersionTLS12, NextProtos: protocols(),
	}
}

// Ends returns when the certificate that counts ends.
func (p *Pair) Ends() time.Time { return p.current.Load().Leaf.NotAfter }

// protocols are those that clients may choose (ALPN).
func protocols() []string { return []string{"h2", "http/1.1"} }

// Watch reads the files again and again, until ctx ends. It is called once.
func (p *Pair) Watch(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.check()
		}
	}
}

// check takes what is new in the files. What is wrong with them is logged once.
func (p *Pair) check() {
	changed, err := p.load()
	switch {
	case err != nil && changed:
		p.log.Warn("tls: the new certificate or key is not usable; the one from before goes on", "error", err)
	case changed:
		p.log.Info("tls: a new certificate is served", "expires", p.current.Load().Leaf.NotAfter)
		p.ends.warned = time.Time{}
	}
	p.ends.remind(p.current.Load().Leaf)
}

// load reads the files, and reports whether they have changed since they were looked at last.
func (p *Pair) load() (changed bool, err error) {
	certificate, err := os.ReadFile(p.certificate)
	var key []byte
	if err == nil {
		key, err = os.ReadFile(p.key)
	}
	if bytes.Equal(certificate, p.read[0]) && bytes.Equal(key, p.read[1]) && p.current.Load() != nil {
		return false, nil
	}
	p.read = [2][]byte{certificate, key}
	if err != nil {
		return true, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return true, fmt.Errorf("%s and %s: %w", p.certificate, p.key, err)
	}
	p.current.Store(&pair)
	return true, nil
}

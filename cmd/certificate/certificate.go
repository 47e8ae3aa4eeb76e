// Package certificate has a server's certificate, whose files may be replaced while the server runs, as
// programs do that renew certificates, and as Kubernetes does with secrets.
//
// The files are read every few seconds, and not watched: that works alike for files that are written over, for
// links that are moved, and on every file system. Where certificate and key do not belong together, or are not
// written to their ends yet, the pair from before goes on.
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

const (
	checkEvery = 5 * time.Second     // so that a new pair counts within ten seconds
	soon       = 14 * 24 * time.Hour // before it ends, a certificate should have been replaced
	warnEvery  = 24 * time.Hour
)

// A Pair is a certificate with its key, in PEM, in two files. It may be used concurrently.
type Pair struct {
	certificate, key string // names of the files
	log              *slog.Logger
	current          atomic.Pointer[tls.Certificate]

	read   [2][]byte // what the files had when they were looked at last
	warned time.Time // when it was told that the certificate ends soon
}

// Load reads a pair, which must be good.
func Load(certificate, key string, log *slog.Logger) (*Pair, error) {
	p := &Pair{certificate: certificate, key: key, log: log}
	if _, err := p.load(); err != nil {
		return nil, err
	}
	p.warn()
	return p, nil
}

// Config returns what to serve TLS with: the pair that counts at each handshake, and HTTP/2 for clients that offer
// it. It is the caller's.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current.Load(), nil },
		MinVersion:     tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}
}

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
		p.warned = time.Time{}
	}
	p.warn()
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

// warn says once a day that the certificate ends soon, or has ended.
func (p *Pair) warn() {
	ends := p.current.Load().Leaf.NotAfter
	left := time.Until(ends)
	if left > soon || time.Since(p.warned) < warnEvery {
		return
	}
	p.warned = time.Now()
	if left < 0 {
		p.log.Error("tls: the certificate has expired", "expired", ends)
		return
	}
	p.log.Warn("tls: the certificate expires soon", "expires", ends)
}

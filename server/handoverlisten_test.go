//go:build unix

package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// Those who listen while a program is replaced on its machine are all sent to the next process, whatever their
// protocol, with TLS, too. They go on from their cursors there: nobody misses anything, or hears it twice.
func TestHandoverOfListeners(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log lines
			args := []string{"--listen", "localhost:0", "--broker", redistest.Start(t).URL(), "--history", "5m", "--history-size", "10000",
				"--drain-notice", "100ms", "--drain-time", "300ms"}
			dial := new(net.Dialer).DialContext
			if secure {
				cert, key, trust := certificateFiles(t)
				args = append(args, "--tls-cert", cert, "--tls-key", key)
				dial = (&tls.Dialer{Config: trust}).DialContext
			}
			cmd := exec.Command(buildPregon(t), args...)
			cmd.Stderr = &log
			p := startProcess(t, cmd)
			pid := p.cmd.Process.Pid
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })

			c := newChaos(t, p.addr)
			c.dial = dial
			for range longForm(*chaosClients, 12) / 3 {
				c.add("ws", func(ctx context.Context, v *visitor) { v.listenWS(ctx, "json", forever) })
				c.add("sse", func(ctx context.Context, v *visitor) { v.listenSSE(ctx, forever) })
				c.add("live", func(ctx context.Context, v *visitor) { v.listenWS(ctx, overLive, forever) })
			}
			c.publish(true)
			for i := range longForm(*handoverTimes, 2) {
				c.goesOn()
				before := c.joins()
				pid = handOver(t, &log, pid)
				if i == 0 {
					if state, err := p.cmd.Process.Wait(); err != nil || !state.Success() {
						t.Error("the first process:", state, err)
					}
				}
				c.until("somebody has not come to the next process", func() bool {
					return !slices.ContainsFunc(c.checkers, func(ch *checker) bool { return ch.comings() <= before[ch] })
				})
				c.heard()
			}
			c.finish(true, false)
			_ = syscall.Kill(pid, syscall.SIGTERM)
			<-p.rest
			p.over = true
			if failed := log.containing("level=ERROR"); failed != "" {
				t.Error(failed)
			}
		})
	}
}

// joins returns how often each client has come.
func (c *chaos) joins() map[*checker]int {
	joins := map[*checker]int{}
	for _, ch := range c.checkers {
		joins[ch] = ch.comings()
	}
	return joins
}

func (c *checker) comings() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joins
}

// certificateFiles returns the files of a certificate for localhost and of its key, which is one of ECDSA, and what
// trusts it.
func certificateFiles(t *testing.T) (cert, key string, trust *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	trust.RootCAs.AddCert(parsed)
	return cert, key, trust
}

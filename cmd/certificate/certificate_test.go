package certificate_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/cmd/certificate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made returns a certificate with a serial number, and its key, in PEM.
func made(t *testing.T, serial int64, lasts time.Duration) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// served returns the serial number of the certificate that a handshake gets.
func served(t *testing.T, config *tls.Config) int64 {
	t.Helper()
	c, err := config.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber.Int64()
}

const year = 365 * 24 * time.Hour

// A new pair is served within ten seconds. Until both files are there and match, the one from before is, and
// what is wrong is logged once.
func TestReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		certFile, keyFile := filepath.Join(folder, "cert"), filepath.Join(folder, "key")
		cert, key := made(t, 1, year)
		write(t, certFile, cert)
		write(t, keyFile, key)
		var log bytes.Buffer
		p, err := certificate.Load(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Watch(ctx) }()
		config := p.Config()
		after := func(what string, want int64) {
			t.Helper()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if got := served(t, config); got != want {
				t.Errorf("%s: certificate %d is served, want %d", what, got, want)
			}
		}
		after("nothing", 1)
		cert, key = made(t, 2, year)
		write(t, certFile, cert)
		after("the certificate without its key", 1)
		after("a while", 1)
		write(t, keyFile, key[:len(key)/2])
		after("half a key", 1)
		write(t, keyFile, key)
		after("both", 2)
		if err := os.Remove(certFile); err != nil {
			t.Fatal(err)
		}
		after("no certificate", 2)
		cert, key = made(t, 3, year)
		write(t, filepath.Join(folder, "cert3"), cert)
		write(t, keyFile, key)
		if err := os.Symlink("cert3", certFile); err != nil {
			t.Fatal(err)
		}
		after("a link", 3)
		if warned, told := strings.Count(log.String(), "level=WARN"), strings.Count(log.String(), "a new certificate is served"); warned != 3 || told != 2 {
			t.Errorf("%d warnings, and %d times a new certificate:\n%s", warned, told, log.String())
		}
		cancel()
		<-done
	})
}

// However the files are replaced, in whichever order and with whatever in between, every handshake gets a
// certificate with its key, and in the end the new one.
func TestEveryHandshakeWhileFilesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		certFile, keyFile := filepath.Join(folder, "cert"), filepath.Join(folder, "key")
		cert, key := made(t, 1, year)
		write(t, certFile, cert)
		write(t, keyFile, key)
		p, err := certificate.Load(certFile, keyFile, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Watch(ctx) }()
		config := p.Config()
		for i := range int64(50) {
			cert, key := made(t, i+2, year)
			steps := []func(){
				func() { write(t, certFile, cert) }, func() { write(t, keyFile, key) },
				func() { write(t, certFile, cert[:len(cert)/2]) }, func() { write(t, keyFile, key[:len(key)/2]) },
				func() { write(t, certFile, nil) }, func() { _ = os.Remove(keyFile) },
			}
			rand.Shuffle(len(steps), func(a, b int) { steps[a], steps[b] = steps[b], steps[a] })
			for _, step := range append(steps, func() { write(t, certFile, cert); write(t, keyFile, key) }) {
				step()
				time.Sleep(10 * time.Second)
				got := shake(t, config)
				if got != i+1 && got != i+2 {
					t.Errorf("certificate %d is served between %d and %d", got, i+1, i+2)
				}
			}
			if got := shake(t, config); got != i+2 {
				t.Errorf("certificate %d is served, want %d", got, i+2)
			}
		}
		cancel()
		<-done
	})
}

// shake makes a handshake, which fails where certificate and key do not match, and returns the serial number.
func shake(t *testing.T, config *tls.Config) int64 {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- tls.Server(far, config).Handshake() }()
	conn := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	if err := errors.Join(conn.Handshake(), near.SetDeadline(time.Now())); err != nil {
		t.Fatal(err)
	}
	_ = far.Close() // a ticket that nobody reads
	if err := <-done; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// That a certificate ends soon is said once a day, and louder when it has ended.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		cert, key := made(t, 1, 30*time.Hour)
		write(t, filepath.Join(folder, "cert"), cert)
		write(t, filepath.Join(folder, "key"), key)
		var log bytes.Buffer
		p, err := certificate.Load(filepath.Join(folder, "cert"), filepath.Join(folder, "key"), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Hour)
		defer cancel()
		p.Watch(ctx)
		if warned, failed := strings.Count(log.String(), "expires soon"), strings.Count(log.String(), "level=ERROR"); warned != 2 || failed != 1 {
			t.Errorf("%d warnings and %d errors:\n%s", warned, failed, log.String())
		}
	})
}

// What is no pair at the start is an error.
func TestBadPair(t *testing.T) {
	folder := t.TempDir()
	one, _ := made(t, 1, year)
	_, two := made(t, 2, year)
	write(t, filepath.Join(folder, "cert"), one)
	write(t, filepath.Join(folder, "key"), two)
	for _, key := range []string{"key", "nowhere", "cert"} {
		if _, err := certificate.Load(filepath.Join(folder, "cert"), filepath.Join(folder, key), slog.Default()); err == nil {
			t.Errorf("%s: no error", key)
		}
	}
}

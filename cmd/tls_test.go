package cmd_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// certified returns flags for a certificate of example.com and 127.0.0.1, and who trusts it.
func certified(t *testing.T) (flags []string, roots *x509.CertPool) {
	t.Helper()
	secure := httptest.NewTLSServer(nil)
	secure.Close()
	key, err := x509.MarshalPKCS8PrivateKey(secure.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return []string{
		"--tls-cert", written(t, "cert.pem", encode("CERTIFICATE", secure.Certificate().Raw)),
		"--tls-key", written(t, "key.pem", encode("PRIVATE KEY", key)),
	}, roots
}

// A client that comes to another server with the same secret continues its session of TLS there, and at one
// with another secret it does not.
func TestSessionsContinueAtOtherServers(t *testing.T) {
	flags, roots := certified(t)
	flags = append(flags, "--broker", "memory://", "--listen", "127.0.0.1:0")
	secret := written(t, "secret", "QZb0Vh2mXc7rT1yNfK5sWd8pLg3jEa6u")
	one := serve(t, append(flags, "--tls-ticket-key", "@"+secret)...)
	file := written(t, "pregon.yaml", "tls-ticket-key: '@"+filepath.Join("..", filepath.Base(filepath.Dir(secret)), "secret")+"'\nrules: []\n")
	two := serve(t, append(flags, "--config", file)...)
	t.Setenv("PREGON_TLS_TICKET_KEY", "Ru4kPz9wBn1tHv6xMq2cYs7fJd5gLe8a")
	other := serve(t, flags...)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}}}
	for _, visit := range []struct {
		url     string
		resumes bool
	}{{one, false}, {two, true}, {one, true}, {other, false}} {
		resp, err := client.Get(visit.url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.TLS.DidResume != visit.resumes {
			t.Errorf("%s: continued %v, want %v", visit.url, resp.TLS.DidResume, visit.resumes)
		}
	}
}

// A configuration with what ACME needs is good without --acme, and check makes no folder.
func TestCheckOfACME(t *testing.T) {
	file := written(t, "pregon.yaml", "acme-dir: acme\nacme-email: a@example.com\nrules: []\n")
	more := written(t, "pregon.yaml", "acme: a.example,b.example\nacme-dir: acme\nrules: []\n")
	for _, f := range []string{file, more} {
		if code, stdout, stderr := run(t, "", "check", f); code != 0 {
			t.Errorf("exit %d, %q %q", code, stdout, stderr)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(f), "acme")); err == nil {
			t.Error("check has made the folder")
		}
	}
}

// The figures have when the certificate ends.
func TestFiguresHaveTheCertificate(t *testing.T) {
	flags, roots := certified(t)
	url := serve(t, append(flags, "--broker", "memory://", "--listen", "127.0.0.1:0")...)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := client.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(string(text), "\npregon_certificate_expiry_timestamp_seconds ")
	value, _, _ = strings.Cut(value, "\n")
	got, _ := strconv.ParseFloat(value, 64)
	if want := resp.TLS.PeerCertificates[0].NotAfter.Unix(); int64(got) != want {
		t.Errorf("%q, want %d", value, want)
	}
}

// What makes no sense about TLS is refused with exit code 2, and shows no secret.
func TestMistakesOfTLS(t *testing.T) {
	flags, _ := certified(t)
	secret, short := written(t, "secret", strings.Repeat("s3cretWithAllIn", 3)), written(t, "short", "s3cret")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--tls-ticket-key", "@" + secret}, "--tls-ticket-key: it goes with --tls-cert"},
		{[]string{"--redirect", "localhost:0"}, "--redirect: it goes with --tls-cert or --acme"},
		{append(flags, "--acme", "rt.example.com"), "--acme: it does not go with --tls-cert"},
		{[]string{"--acme", "rt.example.com"}, "--acme: give --acme-dir, too"},
		{[]string{"--acme", "rt.example.com,*.example.com", "--acme-dir", "x"}, `--acme: "*.example.com": it is not a full host name`},
		{[]string{"--acme-dir", "x"}, "--acme-dir: it goes with --acme"},
		{[]string{"--acme", "a.example", "--acme-dir", "x", "--acme-directory", "http://s3cret@h"}, "--acme-directory: this must be a URL of https://"},
		{[]string{"--open", "--acme", "a.example", "--acme-dir", "x", "--acme-ca", "nowhere.pem"}, "nowhere.pem"},
		{[]string{"--open", "--acme", "a.example", "--acme-dir", "x", "--acme-ca", secret}, "--acme-ca: there is no certificate in PEM"},
		{[]string{"--open", "--acme", "a.example", "--acme-dir", secret}, "--acme-dir: "},
		{append(flags, "--redirect", "80"), "--redirect: a port alone is written :80"},
		{append(flags, "--redirect", "http://localhost"), "--redirect: "},
		{append(flags, "--tls-ticket-key", "s3cretS3cretS3cretS3cretS3cretS3cret"), "write @FILE"},
		{append(flags, "--config", written(t, "pregon.yaml", "tls-ticket-key: s3cretS3cretS3cretS3cretS3cretS3cret\n")), "line 1, column 17: --tls-ticket-key: "},
		{append(flags, "--tls-ticket-key", "@"+short), "--tls-ticket-key: the secret must have at least 32 bytes"},
		{append(flags, "--tls-ticket-key", "@nowhere"), "--tls-ticket-key: read nowhere: "},
	} {
		code, stdout, stderr := run(t, "", append(c.args, "--listen", "localhost:0", "--broker", "memory://")...)
		if code != 2 || !strings.Contains(stderr, c.says) || strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("%q: exit %d, %q; want %q", c.args, code, stderr, c.says)
		}
	}
}

package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// How long it is until a failed attempt is repeated. Authorities count attempts that fail: Let's Encrypt
// takes five for each host and hour.
const (
	firstRetry   = 5 * time.Second
	lastRetry    = time.Hour
	retryFactor  = 3
	refusedRetry = 65 * time.Second // autocert repeats for a minute what went wrong in an order
)

// ACMEOptions are what NewACME makes an ACME of.
type ACMEOptions struct {
	Hosts     []string       // at least one; CheckACMEHost says which there may be
	Folder    string         // for certificates, keys and the account; is made where it is missing
	Email     string         // where the authority may write to, or empty
	Directory string         // URL
	Roots     *x509.CertPool // by which the directory is trusted, nil for those of the system
	Logger    *slog.Logger
}

// An ACME has a certificate for each of some hosts from an authority (RFC 8555). It may be used concurrently.
type ACME struct {
	options ACMEOptions
	client  *acme.Client
	manager *autocert.Manager
	talk    *conversation
	hosts   map[string]*host
}

// A host has its certificate, and belongs to Watch but for that.
type host struct {
	name    string
	current atomic.Pointer[tls.Certificate] // nil where there is none yet
	ends    reminder
	retry   time.Time // when to try again to have one
	wait    time.Duration
}

// errNoCertificate is why a handshake fails until there is a certificate.
var errNoCertificate = errors.New("tls: there is no certificate for this host yet; the log says why")

// CheckACMEHost reports whether an authority may be asked for a certificate for name.
func CheckACMEHost(name string) error {
	const domain = `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`
	if len(name) > 253 || !regexp.MustCompile(domain).MatchString(name) {
		return errors.New("it is not a full host name, in small letters and its ASCII form")
	}
	return nil
}

// NewACME takes the certificates that are in the folder, and asks nobody. An error is about the folder.
func NewACME(o ACMEOptions) (*ACME, error) {
	if err := prepare(o.Folder, o.Logger); err != nil {
		return nil, err
	}
	a := &ACME{options: o, talk: newConversation(o.Roots, o.Logger), hosts: map[string]*host{}}
	a.client = &acme.Client{DirectoryURL: o.Directory, HTTPClient: &http.Client{Transport: a.talk, Timeout: answerTime}, UserAgent: "pregon"}
	a.manager = &autocert.Manager{
		Prompt: a.agree, Cache: autocert.DirCache(o.Folder), HostPolicy: autocert.HostWhitelist(o.Hosts...), Client: a.client, Email: o.Email,
	}
	for _, name := range o.Hosts {
		h := &host{name: name, ends: reminder{log: o.Logger.With("host", name)}}
		if kept := a.kept(name); kept != nil {
			h.take(kept)
		}
		a.hosts[name] = h
	}
	return a, nil
}

// prepare makes the folder where it is missing, and sees whether files can be written there: otherwise each start would ask
// for new certificates, until the authority refuses them.
func prepare(folder string, log *slog.Logger) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	probe, err := os.CreateTemp(folder, "probe")
	if err != nil {
		return err
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return err
	}
	info, err := os.Stat(folder)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		log.Warn("acme: the folder has private keys, and others may look into it", "folder", folder)
	}
	return err
}

// kept returns the certificate that the folder has for a host, as autocert writes it, nil where there is none that is good.
func (a *ACME) kept(name string) *tls.Certificate {
	text, err := os.ReadFile(filepath.Join(a.options.Folder, name))
	if err != nil {
		return nil
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil || pair.Leaf.VerifyHostname(name) != nil || time.Now().After(pair.Leaf.NotAfter) {
		return nil
	}
	return &pair
}

// agree is asked when an account is made.
func (a *ACME) agree(terms string) bool {
	a.options.Logger.Info("acme: the terms of service of the authority are accepted, as --acme says", "terms", terms)
	return true
}

// Config returns what to serve TLS with: the certificate of the host that a client asks for, or of the first
// one where it names another or none, and HTTP/2 for clients that offer it. It also answers the authority (RFC 8737). It
// is the caller's.
func (a *ACME) Config() *tls.Config {
	return &tls.Config{GetCertificate: a.certificate, MinVersion: tls.VersionTLS12, NextProtos: append(protocols(), acme.ALPNProto)}
}

// certificate is asked at each handshake, which waits for nobody and orders nothing.
func (a *ACME) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
		return a.manager.GetCertificate(hello)
	}
	h := a.hosts[strings.TrimSuffix(strings.ToLower(hello.ServerName), ".")]
	if h == nil {
		h = a.hosts[a.options.Hosts[0]]
	}
	if c := h.current.Load(); c != nil {
		return c, nil
	}
	return nil, errNoCertificate
}

// Ends returns when the first of the certificates ends, the zero time where there is none yet.
func (a *ACME) Ends() time.Time {
	var first time.Time
	for _, h := range a.hosts {
		if c := h.current.Load(); c != nil && (first.IsZero() || c.Leaf.NotAfter.Before(first)) {
			first = c.Leaf.NotAfter
		}
	}
	return first
}

// token is what ends the path of a challenge (RFC 8555, section 8.3).
var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// Challenges answers the authority over plain HTTP, at the path of RFC 8555, section 8.3. Without it, it is answered over
// TLS only, where the authority may come to port 443.
func (a *ACME) Challenges() http.Handler {
	answers := a.manager.HTTPHandler(http.NotFoundHandler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(a.options.Hosts, r.Host) || !token.MatchString(path.Base(r.URL.Path)) {
			http.NotFound(w, r)
			return
		}
		answers.ServeHTTP(w, r)
	})
}

// Watch obtains the certificates that are missing, has them renewed when a third of their time is left, and takes what another
// process has obtained, until ctx ends. It is called once.
func (a *ACME) Watch(ctx context.Context) {
	a.talk.begin(ctx)
	for {
		for _, name := range a.options.Hosts {
			a.check(ctx, a.hosts[name])
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(a.pause()):
		}
	}
}

// pause is how long it is until the next check: short, where certificates do not last for long.
func (a *ACME) pause() time.Duration {
	pause := checkEvery
	for _, h := range a.hosts {
		if c := h.current.Load(); c != nil {
			pause = min(pause, lasts(c)/20)
		}
	}
	return pause
}

func lasts(c *tls.Certificate) time.Duration { return c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) }

// check takes the certificate that autocert has for a host, which orders it where there is none, and renews it by itself from then on.
func (a *ACME) check(ctx context.Context, h *host) {
	if time.Now().Before(h.retry) {
		return
	}
	got, err := a.obtain(ctx, h)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.options.Logger.Error("acme: no certificate could be obtained", "host", h.name, "error", err, "again in", time.Until(h.retry).Round(time.Second))
	} else if before := h.current.Load(); before == nil || !before.Leaf.Equal(got.Leaf) {
		h.take(got)
		a.options.Logger.Info("acme: a new certificate is served", "host", h.name, "expires", got.Leaf.NotAfter)
	}
	if c := h.current.Load(); c != nil {
		h.ends.remind(c.Leaf)
	}
}

// obtain returns the certificate that counts, and after a failure says when to try again.
func (a *ACME) obtain(ctx context.Context, h *host) (*tls.Certificate, error) {
	h.wait = min(max(firstRetry, h.wait*retryFactor), lastRetry)
	if h.current.Load() == nil {
		// What is no fault of an order is not to keep the next one waiting.
		if _, err := a.client.Discover(ctx); err != nil {
			h.retry = time.Now().Add(h.wait)
			return nil, fmt.Errorf("the directory of the authority: %w", err)
		}
	}
	// Clients that know no ECDSA get none: a stranger would otherwise have a second certificate ordered.
	got, err := a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: h.name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
	if err != nil {
		h.wait = max(h.wait, refusedRetry)
		h.retry = time.Now().Add(h.wait)
		return nil, err
	}
	h.wait, h.retry = 0, time.Time{}
	return got, nil
}

// take has handshakes get a certificate.
func (h *host) take(c *tls.Certificate) {
	h.current.Store(c)
	h.ends = reminder{log: h.ends.log, soon: min(soon, lasts(c)/6)} // it should have been renewed when a third was left
}

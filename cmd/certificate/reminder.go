package certificate

import (
	"crypto/x509"
	"log/slog"
	"time"
)

// soon is how long before it ends a certificate should have been replaced, and warnEvery how often it is said.
const (
	soon      = 14 * 24 * time.Hour
	warnEvery = 24 * time.Hour
)

// A reminder says once a day that a certificate ends soon, or has ended.
type reminder struct {
	log    *slog.Logger
	soon   time.Duration
	warned time.Time
}

func (r *reminder) remind(c *x509.Certificate) {
	left := time.Until(c.NotAfter)
	if left > r.soon || time.Since(r.warned) < warnEvery {
		return
	}
	r.warned = time.Now()
	if left < 0 {
		r.log.Error("tls: the certificate has expired", "expired", c.NotAfter)
		return
	}
	r.log.Warn("tls: the certificate expires soon", "expires", c.NotAfter)
}

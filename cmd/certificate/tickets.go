package certificate

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// minSecret is how many bytes a secret of Tickets has at least: as many as a key that is derived from it.
const minSecret = 32

// ticketPeriod is how long one key seals. A ticket is good in the period it is of and in the next one.
const ticketPeriod = 24 * time.Hour

// ErrSecret is what is wrong with a secret that is too short.
var ErrSecret = errors.New("the secret must have at least " + strconv.Itoa(minSecret) + " bytes")

// Tickets let a client that comes back continue its session of TLS (RFC 8446, section 2.2; RFC 5077) at any server that
// has the same secret, without a full handshake. They may be used concurrently.
//
// The keys that seal tickets are derived from the secret (HKDF, RFC 5869), another one for each day by UTC. So
// servers agree without talking to each other, and a ticket is of no use after two days at most.
//
// Anyone with the secret can read all that was said in sessions of TLS 1.2, earlier ones included, as in those a ticket has the keys of
// the session. TLS 1.3 agrees on new keys each time.
type Tickets struct {
	secret []byte
	today  atomic.Pointer[sealer]
}

// A sealer has the keys that count in one period.
type sealer struct {
	period int64
	config *tls.Config
}

// NewTickets makes tickets of a secret, which must not change any more.
func NewTickets(secret []byte) (*Tickets, error) {
	if len(secret) < minSecret {
		return nil, ErrSecret
	}
	t := &Tickets{secret: secret}
	_, err := t.sealer()
	return t, err
}

// Apply has servers with config seal their tickets by the secret. Clones of config do so, too.
func (t *Tickets) Apply(config *tls.Config) {
	config.WrapSession = func(c tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
		sealer, err := t.sealer()
		if err != nil {
			return nil, err
		}
		return sealer.EncryptTicket(c, s)
	}
	config.UnwrapSession = func(ticket []byte, c tls.ConnectionState) (*tls.SessionState, error) {
		sealer, err := t.sealer()
		if err != nil {
			return nil, err
		}
		return sealer.DecryptTicket(ticket, c)
	}
}

// sealer returns what seals and opens tickets now.
func (t *Tickets) sealer() (*tls.Config, error) {
	period := time.Now().Unix() / int64(ticketPeriod/time.Second)
	if s := t.today.Load(); s != nil && s.period == period {
		return s.config, nil
	}
	// The first key seals. That of tomorrow is for tickets of a server whose clock is ahead.
	var keys [][32]byte
	for _, p := range []int64{period, period - 1, period + 1} {
		key, err := hkdf.Key(sha256.New, t.secret, nil, "pregon tls tickets "+strconv.FormatInt(p, 10), 32)
		if err != nil {
			return nil, fmt.Errorf("derive the key of tickets: %w", err)
		}
		keys = append(keys, [32]byte(key))
	}
	s := &sealer{period: period, config: new(tls.Config)}
	s.config.SetSessionTicketKeys(keys)
	t.today.Store(s) // another handshake may have done the same, with the same keys
	return s.config, nil
}

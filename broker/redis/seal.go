package redis

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
)

// With a history, what comes by pub/sub is believed to have a position only if it
// is sealed: the publishing script has put a tag into the envelope that only those
// can make who know a secret, which stands in the record of runScript,
//
//	SHA1(secret + id + " " + length of topic + " " + topic + fields + secret)
//
// in hexadecimal. The second secret keeps a tag from being extended to a longer message
// (Tsudik, Message Authentication with One-Way Hash Functions, 1992, section 4.3).
// SHA-1 is what Redis' Lua has, and a second hash, as in HMAC, would cost each publication
// as much again. The envelope begins with the position and the tag, in this order:
//
//	FF 'p' 'g' '1'   'p' length id   't' 40 tag   fields
//
// So a program that may publish, and read what is published, can at most repeat
// what was published. One that may read the record is trusted.
//
// The other way would be channels of pregon's own for what has a position, guarded by
// Redis' ACLs: it protects nothing where there are none, and programs that listen on
// Redis would have to listen elsewhere. Measured on Redis 7.0.15: the tag costs 2.9 µs
// of Redis' processor per publication of 128 bytes in a batch (14.1 µs before, 17.0 µs
// with it, medians of five pairs); the second subscription per channel would cost a node
// that adds 10,000 channels 84 ms in place of 53 ms.
const (
	sealBegin = "\xFFpg1p"
	sealTag   = 't'
	tagSize   = 2 * sha1.Size
)

// secrets are what tags are checked with: the newest first. An older one is still
// good for what was published before the newest was made.
type secrets struct {
	changed func() // called after a new secret has taken the place of another

	mu    sync.Mutex // for learn
	known atomic.Pointer[[]string]
}

// maxSecrets is how many secrets are remembered. A new one is made only where the
// record was deleted and a node that knew none came first.
const maxSecrets = 4

// list returns the known secrets. It is not to be modified.
func (s *secrets) list() []string {
	if known := s.known.Load(); known != nil {
		return *known
	}
	return nil
}

// propose returns the secret to be used where the record has none.
func (s *secrets) propose() string {
	if known := s.list(); len(known) > 0 {
		return known[0]
	}
	return rand.Text()
}

// learn notes the secret of the record.
func (s *secrets) learn(secret string) {
	s.mu.Lock()
	before := s.list()
	known := append([]string{secret}, slices.DeleteFunc(slices.Clone(before), func(old string) bool { return old == secret })...)
	known = known[:min(len(known), maxSecrets)]
	s.known.Store(&known)
	s.mu.Unlock()
	if len(before) > 0 && before[0] != secret {
		s.changed()
	}
}

// A sealed is what an envelope holds whose position is authentic.
type sealed struct {
	position broker.Position
	fields   []byte // see broker.ParseFields
}

// An unsealer checks envelopes. It is one goroutine's own.
type unsealer struct {
	secrets *secrets
	text    []byte // that is hashed, for reuse
}

// unseal returns what wire holds, which came from topic. claims says that it is an
// envelope with a position, authentic or not.
func (u *unsealer) unseal(topic, wire string) (s sealed, claims, ok bool) {
	rest, found := strings.CutPrefix(wire, sealBegin)
	if !found {
		return s, false, false
	}
	id, rest, found := short(rest)
	if !found || rest == "" || rest[0] != sealTag {
		return s, true, false
	}
	tag, fields, found := short(rest[1:])
	position, err := broker.ParsePosition(id)
	if !found || len(tag) != tagSize || err != nil {
		return s, true, false
	}
	for _, secret := range u.secrets.list() {
		if u.matches(secret, id, topic, fields, tag) {
			return sealed{position, []byte(fields)}, true, true
		}
	}
	return s, true, false
}

// short cuts a value off that begins with its length in one byte.
func short(text string) (value, rest string, ok bool) {
	if text == "" || len(text) <= int(text[0]) {
		return "", "", false
	}
	n := 1 + int(text[0])
	return text[1:n], text[n:], true
}

// matches reports whether tag is that of the rest.
func (u *unsealer) matches(secret, id, topic, fields, tag string) bool {
	u.text = append(append(append(u.text[:0], secret...), id...), ' ')
	u.text = append(strconv.AppendInt(u.text, int64(len(topic)), 10), ' ')
	u.text = append(append(append(u.text, topic...), fields...), secret...)
	sum := sha1.Sum(u.text)
	var right [tagSize]byte
	hex.Encode(right[:], sum[:])
	return subtle.ConstantTimeCompare(right[:], []byte(tag)) == 1
}

package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/pregon/pregon/server/access/pattern"
	"github.com/pregon/pregon/transport"
)

// MinKey is the least length of a key in bytes.
const MinKey = 20

// A Key is a secret of a backend's. Without patterns it may do everything; with those for
// one action, that and nothing else.
type Key struct {
	Name   string   // for logs; no two keys have the same
	Digest [32]byte // SHA-256 of the secret: see DigestOf

	Subscribe, Publish []string // patterns

	Admin bool // it may also administer the server
	Rate  Rate // of its publications; zero for any
}

// ErrKey means that a Key or its secret cannot be used. Errors that match it do not quote the
// secret.
var ErrKey = errors.New("access: not a key")

const keyLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// DigestOf returns what a Key has of its secret, which is at least [MinKey] letters, digits,
// "-" and "_" of ASCII.
func DigestOf(secret string) ([32]byte, error) {
	switch {
	case len(secret) < MinKey:
		return [32]byte{}, fmt.Errorf("%w: it has fewer than %d characters (pregon key makes one)", ErrKey, MinKey)
	case strings.Trim(secret, keyLetters) != "":
		return [32]byte{}, fmt.Errorf("%w: it has characters other than A-Z, a-z, 0-9, - and _", ErrKey)
	case kindOf(secret) != keyCredential:
		return [32]byte{}, fmt.Errorf("%w: it begins as tickets or tokens do", ErrKey)
	}
	return sha256.Sum256([]byte(secret)), nil
}

// A key is a Key as the Policy has it.
type key struct {
	Key
	caller *Caller
}

// compile checks k.
func (k Key) compile() (key, error) {
	if _, err := pattern.ParseList(k.Subscribe); err != nil {
		return key{}, fmt.Errorf("%w: subscribe: %w", ErrKey, err)
	}
	if _, err := pattern.ParseList(k.Publish); err != nil {
		return key{}, fmt.Errorf("%w: publish: %w", ErrKey, err)
	}
	caller := NewCaller(transport.Identity{
		Kind: transport.Backend, Key: k.Name, Admin: k.Admin, Subscribe: k.Subscribe, Publish: k.Publish,
	})
	caller.rate, caller.credential = k.Rate, k.Digest
	return key{k, caller}, nil
}

// compileKeys checks keys, and that each can be told from the others.
func compileKeys(keys []Key) ([]key, error) {
	compiled, names, digests := make([]key, 0, len(keys)), map[string]bool{}, map[[32]byte]bool{}
	for _, k := range keys {
		c, err := k.compile()
		switch {
		case err != nil:
			return nil, err
		case names[k.Name]:
			return nil, fmt.Errorf("%w: two keys have the same name", ErrKey)
		case digests[k.Digest]:
			return nil, fmt.Errorf("%w: two keys have the same secret", ErrKey)
		}
		names[k.Name], digests[k.Digest] = true, true
		compiled = append(compiled, c)
	}
	return compiled, nil
}

// keyed returns the Caller of the key with that secret, nil where there is none. How long it
// takes tells nothing of the keys.
func keyed(keys []key, secret string) *Caller {
	digest := sha256.Sum256([]byte(secret))
	var found *Caller
	for i := range keys {
		if subtle.ConstantTimeCompare(keys[i].Digest[:], digest[:]) == 1 {
			found = keys[i].caller
		}
	}
	return found
}

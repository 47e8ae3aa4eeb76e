package config

import (
	"encoding/hex"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pregon/pregon/server/access"
)

// keys reads the keys of backends.
func (r *reader) keys(n *yaml.Node) []access.Key {
	keys := []access.Key{}
	names, digests := map[string]*yaml.Node{}, map[[32]byte]*yaml.Node{}
	r.list(n, func(item *yaml.Node) {
		k, ok := r.key(item)
		if !ok {
			return
		}
		switch first := names[k.Name]; {
		case first != nil:
			r.fault(item, "the key in line %d has the same name", first.Line)
		case digests[k.Digest] != nil:
			r.fault(item, "the key in line %d has the same secret", digests[k.Digest].Line)
		default:
			names[k.Name], digests[k.Digest] = item, item
			keys = append(keys, k)
		}
	})
	return keys
}

// key reads one key, and reports whether it can be used.
func (r *reader) key(n *yaml.Node) (access.Key, bool) {
	faults := len(r.faults)
	var k access.Key
	found := r.object(n, fields{
		"name":      r.keyName(&k.Name),
		"file":      r.keyFile(&k.Digest),
		"env":       r.keyVariable(&k.Digest),
		"sha256":    r.digest(&k.Digest),
		"publish":   r.texts(&k.Publish, isPattern),
		"subscribe": r.texts(&k.Subscribe, isPattern),
		"admin":     r.flag(&k.Admin),
		"rate":      r.rate(&k.Rate),
	})
	r.need(n, found, "name")
	r.exactlyOne(n, found, "file", "env", "sha256")
	return k, len(r.faults) == faults
}

// nameLetters are what names of keys, which are in logs, consist of.
const nameLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

func (r *reader) keyName(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		name, ok := r.text(n)
		if ok && (len(name) > maxName || strings.Trim(name, nameLetters) != "") {
			r.fault(n, "the name of a key is at most %d letters, digits, -, _ and . of ASCII", maxName)
			return
		}
		*to = name
	}
}

// keyFile returns what reads the digest of the secret in a file into a variable.
func (r *reader) keyFile(to *[32]byte) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if secret, ok := r.secretFile(n); ok {
			r.secret(to, n, string(secret))
		}
	}
}

// keyVariable is likewise about an environment variable.
func (r *reader) keyVariable(to *[32]byte) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if secret, ok := r.variable(n); ok {
			r.secret(to, n, secret)
		}
	}
}

func (r *reader) secret(to *[32]byte, n *yaml.Node, secret string) {
	digest, err := access.DigestOf(secret)
	if err != nil {
		r.fault(n, "the secret is no key: %s", Plain(err))
		return
	}
	r.warnOfWeak(n, secret)
	*to = digest
}

func (r *reader) digest(to *[32]byte) func(*yaml.Node) {
	return func(n *yaml.Node) {
		text, ok := r.text(n)
		if !ok {
			return
		}
		digest, err := hex.DecodeString(text)
		if err != nil || len(digest) != len(to) {
			r.fault(n, "this must be the SHA-256 of a key, in 64 hexadecimal digits")
			return
		}
		copy(to[:], digest)
	}
}

package node

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// ownKeyPrefix begins the keys of those who are no backends.
const ownKeyPrefix = "own:"

// keyed returns m with its key as the broker is to have it.
//
// A broker compares keys of a channel, whoever gives them: so a client that guesses the key of
// a backend's next message could publish something with it, and the backend would be
// told that its own is there already. Where there are rules, therefore, a subject's keys are its
// own, strangers share theirs, and so do those with a token that names no subject; backends share theirs, as they are,
// and so does everybody where everything is open. A hash of subject and key keeps both within the
// bounds of a key, and nobody can choose one that gives another's.
func (c *Client) keyed(m broker.Message) broker.Message {
	identity := c.caller().Identity()
	if m.Key == "" || identity.Kind == transport.Backend || c.node.policy.Load().IsOpen() {
		return m
	}
	named := binary.AppendUvarint([]byte{byte(identity.Kind)}, uint64(len(identity.Subject))) // so that no subject runs into a key
	sum := sha256.Sum256(append(append(named, identity.Subject...), m.Key...))
	m.Key = ownKeyPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
	return m
}

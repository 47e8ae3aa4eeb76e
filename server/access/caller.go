package access

import (
	"time"

	"github.com/pregon/pregon/server/access/pattern"
	"github.com/pregon/pregon/transport"
)

// A Caller is an Identity whose patterns have been read. It is immutable.
type Caller struct {
	identity           transport.Identity
	subscribe, publish pattern.List
	rate               Rate     // of a key
	credential         [32]byte // digest of the key, or what stands for the token's issuer
	badPatterns        int      // of the identity, which match nothing
}

// Stranger is the Caller that has no credential.
var Stranger = &Caller{}

// Program is the Caller that is the program itself, which may do everything.
var Program = &Caller{identity: transport.Identity{Kind: transport.Backend}}

// NewCaller returns the Caller of an identity. Patterns that are not valid match nothing.
func NewCaller(identity transport.Identity) *Caller {
	c := &Caller{identity: identity, subscribe: valid(identity.Subscribe), publish: valid(identity.Publish)}
	c.badPatterns = len(identity.Subscribe) - len(c.subscribe) + len(identity.Publish) - len(c.publish)
	return c
}

// valid returns those of texts that are patterns. The list is nil only where texts is: a list
// of nothing grants nothing.
func valid(texts []string) pattern.List {
	if texts == nil {
		return nil
	}
	list := pattern.List{}
	for _, text := range texts {
		if p, err := pattern.Parse(text); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// Identity returns who the Caller is.
func (c *Caller) Identity() transport.Identity { return c.identity }

// Rate returns how fast the Caller's key may publish, zero for any and for who has none.
func (c *Caller) Rate() Rate { return c.rate }

// Expired reports whether the Caller's credential has ended at now.
func (c *Caller) Expired(now time.Time) bool {
	return !c.identity.Expires.IsZero() && !now.Before(c.identity.Expires)
}

// granted reports whether one of the Caller's patterns for an action stands for a channel.
func (c *Caller) granted(a Action, channel string) bool {
	if a == Subscribe {
		return c.subscribe.Match(channel)
	}
	return c.publish.Match(channel)
}

// unbounded reports whether a Backend has no patterns at all.
func (c *Caller) unbounded() bool { return c.subscribe == nil && c.publish == nil }

package token

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxCached is how many tokens a generation of a cache has. With 100 patterns each they take 10 MiB.
const maxCached = 1024

// A cache knows tokens again that were valid, so that who publishes with one in every request
// does not have it verified each time. It has their digests and not the tokens, in two generations: when
// the younger is full, the older is dropped.
type cache struct {
	mu             sync.Mutex
	younger, older map[digest]cached
}

type digest = [sha256.Size]byte

// A cached token was valid when the keys had that version.
type cached struct {
	claims  Claims
	version uint64
}

// get returns what a token says that is known and still valid.
func (c *cache) get(id digest, version uint64, now time.Time) (Claims, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.younger[id]
	if !ok {
		found, ok = c.older[id]
	}
	expires := found.claims.Expires
	if !ok || found.version != version || !expires.IsZero() && !now.Before(expires) {
		return Claims{}, false
	}
	return found.claims, true
}

// put remembers a token that was valid.
func (c *cache) put(id digest, version uint64, claims Claims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.younger == nil || len(c.younger) >= maxCached {
		c.younger, c.older = map[digest]cached{}, c.younger
	}
	c.younger[id] = cached{claims, version}
}

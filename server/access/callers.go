package access

import (
	"sync"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/transport"
)

// maxCallers is how many Callers a generation of callers has.
const maxCallers = 1024

// callers are the Callers of tokens that came lately, so that the patterns of one which comes with
// every request are read once. They are in two generations: when the younger is full, the older is
// dropped. Whether a token is still valid is not their business.
type callers struct {
	mu             sync.Mutex
	younger, older map[[32]byte]*Caller
}

// of returns the Caller of a token that says so.
func (s *callers) of(claims token.Claims) *Caller {
	if claims.ID == [32]byte{} {
		return callerOf(claims)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.younger[claims.ID]
	if ok {
		return c
	}
	if c, ok = s.older[claims.ID]; !ok {
		c = callerOf(claims)
	}
	if s.younger == nil || len(s.younger) >= maxCallers {
		s.younger, s.older = map[[32]byte]*Caller{}, s.younger
	}
	s.younger[claims.ID] = c
	return c
}

func callerOf(claims token.Claims) *Caller {
	c := NewCaller(transport.Identity{
		Kind: transport.User, Subject: claims.Subject, Info: claims.Info, Expires: claims.Expires,
		Subscribe: claims.Subscribe, Publish: claims.Publish,
	})
	c.credential = claims.Issuer
	return c
}

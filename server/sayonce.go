package server

import (
	"sync"
	"time"
)

// Bounds of a sayOnce.
const (
	sayAgain  = time.Hour
	sayAtMost = 32 // different things in that time
)

// A sayOnce keeps strangers from filling the log: it tells whether something is
// new. The zero value is ready.
type sayOnce struct {
	mu    sync.Mutex
	since time.Time
	said  map[string]bool
}

// first reports whether key has not come for a while, and not too many others
// have.
func (o *sayOnce) first(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.said == nil || now.Sub(o.since) > sayAgain {
		o.said, o.since = map[string]bool{}, now
	}
	if o.said[key] || len(o.said) >= sayAtMost {
		return false
	}
	o.said[key] = true
	return true
}

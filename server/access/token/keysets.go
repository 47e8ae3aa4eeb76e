package token

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
)

// KeysetsOptions are the options of [NewKeysets].
type KeysetsOptions struct {
	// Transport fetches key sets; nil: a plain one. Redirects are not followed by either.
	Transport http.RoundTripper

	// Logger is told when fetches of a URL begin to fail, and when they work again; slog.Default if
	// nil. It sees no user, password or query of a URL.
	Logger *slog.Logger
}

// Keysets are the key sets of issuers, by URL. See "Keys behind a URL" in the package documentation.
//
// They outlive a [Verifier], so that the next one finds keys that are known. Close them.
type Keysets struct {
	client *http.Client
	log    *slog.Logger

	running sync.WaitGroup // run of every keyset
	mu      sync.Mutex
	sets    map[string]*keyset // nil once closed
}

// NewKeysets returns Keysets without any; New adds those that it needs.
func NewKeysets(o KeysetsOptions) *Keysets {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Keysets{client: newClient(o.Transport), log: o.Logger, sets: map[string]*keyset{}}
}

// open returns the keyset of a URL, which is fetched from now on.
func (k *Keysets) open(url string) *keyset {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.sets[url]; ok {
		return s
	}
	ctx, stop := context.WithCancel(context.Background())
	s := newKeyset(url, k.client, k.log, stop)
	if k.sets == nil {
		stop()
		s.end(closed)
		return s
	}
	k.sets[url] = s
	k.running.Go(func() { s.run(ctx) })
	return s
}

// Retain forgets the key sets that none of these Verifiers uses. Others that use one refuse tokens
// whose key is not known with an [*UnavailableError], and go on with those that are.
func (k *Keysets) Retain(vs ...*Verifier) {
	used := map[*keyset]bool{}
	for _, v := range vs {
		for _, i := range v.issuers {
			used[i.set] = true
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for url, s := range k.sets {
		if !used[s] {
			s.stop()
			delete(k.sets, url)
		}
	}
}

// Close ends all fetches and waits for that. Verifiers go on with the keys that are known.
func (k *Keysets) Close() {
	k.mu.Lock()
	for _, s := range k.sets {
		s.stop()
	}
	k.sets = nil
	k.mu.Unlock()
	k.running.Wait()
}

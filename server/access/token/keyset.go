package token

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// When a keyset is fetched.
const (
	fetchEvery   = 5 * time.Second  // at most, from begin to begin, however many ask
	retryEvery   = 15 * time.Second // after a fetch that failed
	refreshEvery = 10 * time.Minute // after one that did not
)

// maxWaiting is how many tokens wait for the keys of one URL.
const maxWaiting = 1000

var errTooMany = errors.New("too many wait for the next fetch")

// A keyset is what is known of the keys behind one URL.
type keyset struct {
	url    string
	client *http.Client
	log    *slog.Logger

	known   atomic.Pointer[[]key] // nil until a fetch was good
	version atomic.Uint64         // grows after known has changed
	body    []byte                // that known was in; only run uses it
	demand  chan struct{}         // has one element where somebody waits
	stop    context.CancelFunc    // ends run

	mu      sync.Mutex
	waiting int
	begun   int           // how many fetches have begun
	ended   outcome       // of the last one
	change  chan struct{} // closed and replaced when ended changes
}

// An outcome is how a fetch ended.
type outcome struct {
	number int // the first fetch is 1
	err    error
}

// closed is the outcome that no other follows.
var closed = outcome{number: math.MaxInt, err: errors.New("the key set is not fetched any more")}

func newKeyset(url string, client *http.Client, log *slog.Logger, stop context.CancelFunc) *keyset {
	return &keyset{
		url: url, client: client, log: log.With("url", shown(url)), stop: stop,
		demand: make(chan struct{}, 1), change: make(chan struct{}),
	}
}

func (s *keyset) loaded() bool { return s.known.Load() != nil }

// find returns the known keys that may have signed a token with that alg and kid, without waiting.
//
// A token without kid may be of any key, so it must be clear which: of one that fits, it is that one
// (OpenID Connect Core 1.0, section 10.1).
func (s *keyset) find(kid, alg string) []key {
	known := s.known.Load()
	if known == nil {
		return nil
	}
	var keys []key
	for _, k := range *known {
		if k.fits(alg) && (kid == "" || k.kid == kid) {
			keys = append(keys, k)
		}
	}
	if kid == "" && len(keys) > 1 {
		return nil
	}
	return keys
}

// await is find for a key that is not known: it waits until that is known, or until a fetch has
// ended that began after await was called. The error is an InvalidError or an UnavailableError.
func (s *keyset) await(ctx context.Context, kid, alg string) ([]key, error) {
	number, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	for {
		ended, change := s.outcome()
		keys := s.find(kid, alg)
		switch {
		case len(keys) > 0:
			return keys, nil
		case ended.number >= number && ended.err != nil:
			return nil, &UnavailableError{fetchEvery, ended.err}
		case ended.number >= number:
			return nil, invalid(UnknownKey)
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, &UnavailableError{fetchEvery, ctx.Err()}
		}
	}
}

// enter asks for a fetch, and returns its number.
func (s *keyset) enter() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == maxWaiting {
		return 0, &UnavailableError{fetchEvery, errTooMany}
	}
	s.waiting++
	select {
	case s.demand <- struct{}{}:
	default:
	}
	return s.begun + 1, nil
}

func (s *keyset) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
}

// outcome returns how the last fetch ended, and what is closed when another has.
func (s *keyset) outcome() (outcome, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.change
}

// run fetches the keys, until ctx is done. Nothing else does.
func (s *keyset) run(ctx context.Context) {
	var last report
	for rest := time.Duration(0); s.rest(ctx, rest); {
		began := time.Now()
		last = s.refresh(ctx, last)
		if rest = refreshEvery; last.err != nil {
			rest = retryEvery
		}
		pause(ctx, time.Until(began.Add(fetchEvery)))
		rest -= time.Since(began)
	}
	s.end(closed)
}

// rest waits for d, or until somebody wants a fetch. It reports false where ctx is done.
func (s *keyset) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.demand:
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// A report is what the log is told about a fetch, where it is not as before.
type report struct {
	err      error
	unusable int // keys
}

// refresh fetches the keys once. before is the report of the fetch before it.
func (s *keyset) refresh(ctx context.Context, before report) report {
	s.mu.Lock()
	s.begun++
	number := s.begun
	s.mu.Unlock()

	unusable := before.unusable
	body, err := fetch(ctx, s.client, s.url)
	if err == nil && !bytes.Equal(body, s.body) {
		unusable, err = s.replace(body)
	}
	now := report{err, unusable}
	if err != nil {
		now.unusable = before.unusable // of the keys that still count
	}
	if ctx.Err() == nil { // else it was cut off
		s.tell(before, now)
	}
	s.end(outcome{number, err})
	return now
}

// replace makes the keys in body the known ones, if there are any, and returns how many others there are.
func (s *keyset) replace(body []byte) (unusable int, err error) {
	keys, unusable, err := parseJWKS(body)
	if err != nil {
		return unusable, err
	}
	s.known.Store(&keys)
	s.version.Add(1)
	s.body = body
	return unusable, nil
}

// tell logs what has changed.
func (s *keyset) tell(before, now report) {
	switch {
	case now.err != nil && before.err == nil:
		s.log.Warn("the keys of a token issuer cannot be fetched; those that are known still count", "error", now.err)
	case now.err == nil && before.err != nil:
		s.log.Info("the keys of a token issuer can be fetched again")
	}
	if now.unusable > before.unusable {
		s.log.Warn("a token issuer has keys that are not used: weak, private, symmetric or of an unknown kind", "keys", now.unusable)
	}
}

// end tells those who wait how a fetch ended.
func (s *keyset) end(o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = o
	close(s.change)
	s.change = make(chan struct{})
}

// Package shared lets callers that want to read the same thing at the same time read it once.
package shared

import (
	"errors"
	"sync"
)

// ErrGone means that nobody waits for a reading any more.
var ErrGone = errors.New("shared: nobody waits for the reading")

// Reads are readings under way, by what they read. The zero value is ready for use. All
// methods may be called concurrently.
type Reads[K comparable, V any] struct {
	mu     sync.Mutex
	newest map[K]*reading[V] // the one asked for last; those before it have begun
}

// A reading is one call for all who asked before it began.
type reading[V any] struct {
	before *reading[V]   // of the same key; nil once it has ended
	begun  bool          // nobody joins any more
	gone   []func() bool // one per caller
	done   chan struct{} // closed when value and err are there
	value  V             // nobody modifies it
	err    error
}

// Do returns what read returns in a call that begins after Do was called. While one reading
// of a key is under way, all callers that come meanwhile share the next one. So there is one
// reading of a key at a time, and no caller waits for more than two.
//
// The reading is done by turn, which calls the function that it is given when there is room,
// or returns an error. Where all its callers have gone by then nothing is read, and the error
// is ErrGone.
func (r *Reads[K, V]) Do(key K, gone func() bool, turn func(func() error) error, read func() (V, error)) (V, error) {
	n, first := r.join(key, gone)
	if first {
		r.lead(key, n, turn, read)
	}
	<-n.done
	return n.value, n.err
}

// join returns the reading that the caller waits for, and whether it is to lead it.
func (r *Reads[K, V]) join(key K, gone func() bool) (n *reading[V], first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newest == nil {
		r.newest = map[K]*reading[V]{}
	}
	n = r.newest[key]
	if first = n == nil || n.begun; first {
		n = &reading[V]{before: n, done: make(chan struct{})}
		r.newest[key] = n
	}
	n.gone = append(n.gone, gone)
	return n, first
}

// lead does n once the reading before has ended.
func (r *Reads[K, V]) lead(key K, n *reading[V], turn func(func() error) error, read func() (V, error)) {
	defer close(n.done)
	if n.before != nil {
		<-n.before.done
		n.before = nil
	}
	n.err = turn(func() (err error) {
		if r.begin(n) {
			return ErrGone
		}
		n.value, err = read()
		return err
	})
	r.end(key, n)
}

// begin lets nobody join any more, and reports whether all who did have gone.
func (r *Reads[K, V]) begin(n *reading[V]) (deserted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.begun = true
	for _, gone := range n.gone {
		if !gone() {
			return false
		}
	}
	return true
}

// end forgets n, unless another reading waits for it.
func (r *Reads[K, V]) end(key K, n *reading[V]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.begun, n.gone = true, nil
	if r.newest[key] == n {
		delete(r.newest, key)
	}
}

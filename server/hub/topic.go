package hub

import (
	"sync/atomic"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/server/hub/interest"
)

// A topic is a channel that somebody on this node wants, or has wanted lately. What is not
// marked otherwise is set when it is made.
type topic struct {
	directory *directory
	name      string
	want      *interest.Want       // how much it is wanted
	track     *backfill.Channel    // nil where there is no history; it delivers to the topic
	meter     meter                // of what is delivered
	listen    func(broker.Message) // for the hub's own topics
	lost      func()               // for buses: messages may be missing

	heard atomic.Pointer[audience] // copied on write under the directory's lock; read without it

	watchers map[chan struct{}]struct{} // see Watch; guarded by the directory's lock
	watched  atomic.Bool                // there are some
}

package hub

import (
	"log/slog"
	"time"
)

// tellInterval is how often a worker tells of slow clients at most.
const tellInterval = time.Second

// A slowTally keeps slow clients, of whom strangers can bring any number, from filling the log:
// those of one interval share a line.
type slowTally struct {
	clients int              // that were disconnected and not told of yet
	next    <-chan time.Time // when to call tell; nil where there are none
}

// add counts a client that was disconnected.
func (t *slowTally) add() {
	t.clients++
	if t.next == nil {
		t.next = time.After(tellInterval)
	}
}

// tell logs how many clients were disconnected since it was called last, unless there were none.
func (t *slowTally) tell(log *slog.Logger) {
	if t.clients > 0 {
		log.Info("hub: clients that did not read fast enough were disconnected", "clients", t.clients)
	}
	*t = slowTally{}
}

package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
)

// pondering is an encoding that takes its time.
type pondering struct {
	lines
	takes time.Duration
}

func (p *pondering) Message(m broker.Message) []byte {
	time.Sleep(p.takes)
	return p.lines.Message(m)
}

// A message counts once for each worker that has clients for it, with the time from when it came until
// the last client of that worker was handed it. Without the option nothing counts.
func TestDeliveryTimes(t *testing.T) {
	const workers, messages, takes = 2, 5, 3 * time.Second // in all less than the time to a ping
	for _, timed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := memory.New()
			defer b.Close()
			h := newHub(t, b, hub.Options{Workers: workers, Timed: timed})
			defer h.Close()
			quick, slow := &pondering{}, &pondering{takes: takes}
			var clients []*client
			for range workers { // a worker has every other
				clients = append(clients, join(t, h, quick, false, "c"))
			}
			for range workers {
				clients = append(clients, join(t, h, slow, false, "c"))
			}
			for range messages {
				publish(t, b, "c", "x")
			}
			for _, c := range clients {
				c.read(t, messages)
				c.leave()
			}
			synctest.Wait()
			times := h.DeliveryTimes()
			switch least := messages * workers * takes; {
			case !timed && (times.Count > 0 || times.Sum > 0):
				t.Errorf("not asked for, and counted: %+v", times)
			case timed && (times.Count != messages*workers || times.Sum < least || times.Sum > least+time.Second):
				t.Errorf("%d deliveries took %v, not %d and about %v", times.Count, times.Sum, messages*workers, least)
			case timed && (times.Under[2500*time.Millisecond] != 0 || times.Under[5*time.Second] != messages*workers):
				t.Errorf("ranges %v", times.Under)
			}
			sockets.Wait()
		})
	}
}

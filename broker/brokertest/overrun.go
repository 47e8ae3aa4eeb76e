package brokertest

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pregon/pregon/broker"
)

// A quarter more messages than a Feed keeps are published in chunks. After each chunk the Feeds that are read have heard all of it, so the one that is not read
// has, but for a few, received it too.
func testOverrun(f *fixture) {
	const (
		publishers = 8
		each       = 512 // messages a publisher and chunk
		batch      = 64  // which need no more time than one, and are not too many to wait
		chunks     = broker.QueueMessages * 5 / 4 / (publishers * each)
	)
	node, other := f.node(), f.node()
	stopped := f.feed(node, "flood")
	readers := []*reader{f.read(f.feed(node, "flood")), f.read(f.feed(other, "flood"))}
	tallies := []*tally{newTally(), newTally()}
	for chunk := range chunks {
		wait := f.begin(publishers, func(i int) error {
			for k := 0; k < each; k += batch {
				if err := flood(f.Context(), other, i, chunk*each+k, batch); err != nil {
					return err
				}
			}
			return nil
		})
		for i, r := range readers {
			for tallies[i].heard < (chunk+1)*publishers*each {
				if err := tallies[i].message(r.message()); err != nil {
					f.Fatalf("beside a Feed that is not read: %v", err)
				}
			}
		}
		wait()
	}
	f.catchUp(stopped, other, chunks*publishers*each)
}

// flood publishes a batch of a publisher's messages, behind number n.
func flood(ctx context.Context, node broker.Broker, publisher, n, size int) error {
	batch := make([]broker.Message, size)
	for k := range batch {
		batch[k] = broker.Message{Channel: "flood", Data: []byte(numbered(strconv.Itoa(publisher), n+k+1))}
	}
	for _, result := range publishAll(ctx, node, batch) {
		if result.Err != nil {
			return fmt.Errorf("publishing a batch: %w", result.Err)
		}
	}
	return nil
}

// catchUp reads a Feed that was not read while total messages were published.
func (f *fixture) catchUp(stopped broker.Feed, other broker.Broker, total int) {
	f.Helper()
	r, t := f.read(stopped), newTally()
	for t.gaps["flood"] == 0 {
		if err := t.event(r.next()); err != nil {
			f.Fatalf("%v", err)
		}
		if t.heard == total {
			f.Fatalf("a Feed kept all %d messages that were published while it was not read: it is not bounded", total)
		}
	}
	const last = "last 1"
	f.say(other, "flood", last)
	for {
		e := r.next()
		if err := t.event(e); err != nil {
			f.Fatalf("%v", err)
		}
		if string(e.m.Data) == last {
			return
		}
	}
}

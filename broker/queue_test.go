package broker_test

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pregon/pregon/broker"
	"pgregory.net/rapid"
)

func message(channel, text string) broker.Message {
	return broker.Message{Channel: channel, Data: []byte(text)}
}

// what prints an answer of Next: a message as channel:text, a gap as
// reason[channels], with a ! where it is unfillable, any other error as its text.
func what(m broker.Message, err error) string {
	var gap *broker.GapError
	switch {
	case errors.As(err, &gap):
		mark := ""
		if gap.Unfillable {
			mark = "!"
		}
		return string(gap.Reason) + mark + "[" + strings.Join(gap.Channels, " ") + "]"
	case err != nil:
		return err.Error()
	}
	return m.Channel + ":" + string(m.Data)
}

func wantNext(t *testing.T, q *broker.Queue, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := what(q.Next()); got != w {
			t.Fatalf("Next: %s, want %s", got, w)
		}
	}
}

// Messages and gaps come out in the order in which they went in.
func TestQueueOrder(t *testing.T) {
	q := broker.NewQueue()
	q.Push(message("a", "1"))
	q.Gap(broker.LinkLost, "b", "a")
	q.Push(message("b", "2"))
	wantNext(t, q, "a:1", "link-lost[a b]", "b:2")
	q.Push(message("a", "3"))
	wantNext(t, q, "a:3")
}

// Gaps with no message between them become one for each reason, and a gap of no
// channels is none.
func TestQueueGapsCoalesce(t *testing.T) {
	q := broker.NewQueue()
	for range 1000 {
		q.Gap("one", "b", "b", "a")
		q.Gap("two", "c")
		q.Gap("three")
		q.Gap("one", "c")
	}
	q.Push(message("a", "1"))
	q.Gap("one", "a")
	q.Push(message("a", "2"))
	wantNext(t, q, "one[a b c]", "two[c]", "a:1", "one[a]", "a:2")
}

// A gap that Next has handed out is not added to any more.
func TestQueueGapAfterGapWasRead(t *testing.T) {
	q := broker.NewQueue()
	q.Gap("one", "a")
	q.Push(message("a", "1"))
	q.Gap("one", "b")
	wantNext(t, q, "one[a]")
	q.Gap("one", "c")
	wantNext(t, q, "a:1", "one[b]", "one[c]")
}

// The Queue holds QueueMessages messages; a gap stands in the place of others, and
// a message that was read makes room.
func TestQueueMessagesBound(t *testing.T) {
	q := broker.NewQueue()
	for i := range broker.QueueMessages {
		q.Push(message("a", strconv.Itoa(i)))
	}
	q.Push(message("c", "too much"))
	q.Push(message("b", "too much"))
	wantNext(t, q, "a:0")
	q.Push(message("a", "fits"))
	q.Push(message("a", "too much again"))
	for i := 1; i < broker.QueueMessages; i++ {
		wantNext(t, q, "a:"+strconv.Itoa(i))
	}
	wantNext(t, q, "overrun![b c]", "a:fits", "overrun![a]")
}

// What has a position may be in a history, so the gap in its place can be filled. What
// has none is gone.
func TestQueueOverrunOfKept(t *testing.T) {
	q := broker.NewQueue()
	for range broker.QueueMessages {
		q.Push(message("a", ""))
	}
	for i, c := range []string{"kept", "bare", "both", "both"} {
		m := message(c, "too much")
		if i%2 == 0 {
			m.Position = broker.Position{Epoch: 1, Seq: uint64(i)}
		}
		q.Push(m)
	}
	for range broker.QueueMessages {
		wantNext(t, q, "a:")
	}
	wantNext(t, q, "overrun[both kept]", "overrun![bare both]")
}

// The Queue holds QueueBytes of payload; smaller messages may still fit where a
// large one did not, and one message always fits into an empty Queue.
func TestQueueBytesBound(t *testing.T) {
	q := broker.NewQueue()
	huge := broker.Message{Channel: "huge", Data: make([]byte, broker.QueueBytes+1)}
	q.Push(huge)
	q.Push(message("a", "x"))
	if m, err := q.Next(); err != nil || len(m.Data) != len(huge.Data) {
		t.Fatalf("Next: %d bytes, %v; want the message that is larger than the Queue", len(m.Data), err)
	}
	wantNext(t, q, "overrun![a]")

	q.Push(broker.Message{Channel: "a", Data: huge.Data[:broker.QueueBytes-1]})
	q.Push(message("b", "12"))
	q.Push(message("c", "1"))
	if m, err := q.Next(); err != nil || m.Channel != "a" {
		t.Fatalf("Next: %s, %v; want a", m.Channel, err)
	}
	wantNext(t, q, "overrun![b]", "c:1")
}

// Close unblocks Next, and drops what waits, also what Next had taken already;
// only the first error counts.
func TestQueueClose(t *testing.T) {
	q := broker.NewQueue()
	q.Push(message("a", "1"))
	q.Push(message("a", "2"))
	wantNext(t, q, "a:1")
	q.Close(io.EOF)
	q.Close(io.ErrClosedPipe)
	q.Push(message("a", "3"))
	q.Gap("late", "a")
	wantNext(t, q, "EOF", "EOF")
}

func TestQueueCloseUnblocksNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, got := broker.NewQueue(), make(chan string, 1)
		go func() { got <- what(q.Next()) }()
		synctest.Wait()
		q.Close(broker.ErrClosed)
		if g := <-got; g != broker.ErrClosed.Error() {
			t.Errorf("Next: %s, want ErrClosed", g)
		}
	})
}

// What is pushed, and a gap, wakes Next where it waits.
func TestQueueWakesNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, got := broker.NewQueue(), make(chan string)
		go func() {
			for range 2 {
				got <- what(q.Next())
			}
		}()
		synctest.Wait()
		q.Push(message("a", "1"))
		if g := <-got; g != "a:1" {
			t.Errorf("Next: %s, want a:1", g)
		}
		synctest.Wait()
		q.Gap("one", "a")
		if g := <-got; g != "one[a]" {
			t.Errorf("Next: %s, want one[a]", g)
		}
	})
}

// Pushed to by many goroutines, a Queue keeps the order of each, loses nothing
// without a gap, and is closed while that goes on.
func TestQueueConcurrentUse(t *testing.T) {
	const pushers, each = 8, 5000
	q := broker.NewQueue()
	var running sync.WaitGroup
	for p := range pushers {
		running.Go(func() {
			for i := range each {
				q.Push(message(strconv.Itoa(p), strconv.Itoa(i)))
			}
		})
	}
	last := map[string]int{}
	for range pushers * each {
		m, err := q.Next()
		n, _ := strconv.Atoi(string(m.Data))
		if err != nil || n != last[m.Channel] {
			t.Fatalf("Next: message %d of pusher %s, %v; want %d", n, m.Channel, err, last[m.Channel])
		}
		last[m.Channel]++
	}
	running.Wait()
	running.Go(func() { q.Gap("one", "a"); q.Push(message("a", "1")) })
	running.Go(func() { q.Close(io.EOF) })
	for {
		if _, err := q.Next(); errors.Is(err, io.EOF) {
			break
		}
	}
	running.Wait()
}

// A queueModel is the simplest thing that does what a Queue promises. Next takes
// all that waits before it hands out the first, and gaps do not join those.
type queueModel struct {
	waiting []any // broker.Message, or modelGap
	taken   int   // the first of waiting
	count   int
	bytes   int
}

type modelGap struct {
	kind     modelKind
	channels map[string]bool
}

type modelKind struct {
	reason     broker.GapReason
	unfillable bool
}

func (q *queueModel) push(m broker.Message) {
	if q.count > 0 && q.bytes+len(m.Data) > broker.QueueBytes {
		q.gap(modelKind{broker.Overrun, m.Position.IsZero()}, m.Channel)
		return
	}
	q.count++
	q.bytes += len(m.Data)
	q.waiting = append(q.waiting, m)
}

func (q *queueModel) gap(kind modelKind, channels ...string) {
	for i := len(q.waiting) - 1; i >= q.taken; i-- {
		g, ok := q.waiting[i].(modelGap)
		if !ok {
			break
		}
		if g.kind == kind {
			for _, c := range channels {
				g.channels[c] = true
			}
			return
		}
	}
	g := modelGap{kind, map[string]bool{}}
	for _, c := range channels {
		g.channels[c] = true
	}
	q.waiting = append(q.waiting, g)
}

func (q *queueModel) next() (broker.Message, error) {
	if q.taken == 0 {
		q.taken = len(q.waiting)
	}
	first := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.taken--
	if g, ok := first.(modelGap); ok {
		return broker.Message{}, &broker.GapError{Reason: g.kind.reason, Unfillable: g.kind.unfillable, Channels: slices.Sorted(maps.Keys(g.channels))}
	}
	m := first.(broker.Message)
	q.count--
	q.bytes -= len(m.Data)
	return m, nil
}

// After any sequence of calls a Queue answers like the model. The sizes are such
// that few messages fill it.
func TestQueueModel(t *testing.T) {
	memory := make([]byte, broker.QueueBytes+1)
	sizes := rapid.SampledFrom([]int{0, 1, broker.QueueBytes / 3, broker.QueueBytes / 2, broker.QueueBytes - 1, broker.QueueBytes, broker.QueueBytes + 1})
	channels := rapid.SampledFrom([]string{"a", "b", "c"})
	reasons := rapid.SampledFrom([]broker.GapReason{broker.LinkLost, broker.Overrun})
	summary := func(m broker.Message, err error) string {
		return what(message(m.Channel, strconv.Itoa(len(m.Data))), err)
	}
	rapid.Check(t, func(t *rapid.T) {
		q, model := broker.NewQueue(), &queueModel{}
		next := func(t *rapid.T) {
			if len(model.waiting) == 0 {
				return // Next would wait
			}
			if got, want := summary(q.Next()), summary(model.next()); got != want {
				t.Fatalf("Next: %s, want %s", got, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				m := broker.Message{Channel: channels.Draw(t, "channel"), Data: memory[:sizes.Draw(t, "size")]}
				if rapid.Bool().Draw(t, "kept") {
					m.Position = broker.Position{Epoch: 1}
				}
				q.Push(m)
				model.push(m)
			},
			"gap": func(t *rapid.T) {
				reason, channel := reasons.Draw(t, "reason"), channels.Draw(t, "channel")
				unfillable := rapid.Bool().Draw(t, "unfillable")
				if unfillable {
					q.GapUnfillable(reason, channel)
				} else {
					q.Gap(reason, channel)
				}
				model.gap(modelKind{reason, unfillable}, channel)
			},
			"next": next,
		})
		for len(model.waiting) > 0 {
			next(t)
		}
	})
}

package hub_test

import (
	"bufio"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// Whatever positions somebody makes up, on a feed that loses messages too: each honest
// message is heard once and in order, by those who are there and those who continue,
// and everything comes to an end. The position of an honest message that is yet to be
// heard is not among them: the hub cannot tell the two apart.
func TestMadeUpPositions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var failure string
		seed := rapid.SliceOfN(rapid.SampledFrom([]string{"say", "say", "say", "lose", "gap", "forge", "forge", "renew", "settle", "continue"}), 1, 60).Draw(rt, "steps")
		positions := rapid.SliceOfN(rapid.Custom(forged), len(seed), len(seed)).Draw(rt, "positions")
		synctest.Test(t, func(t *testing.T) { failure = madeUp(t, seed, positions) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// near is more than are said in a run.
const near = 100

// forged draws an epoch and a number relative to what is honest.
func forged(t *rapid.T) broker.Position {
	epochs := rapid.SampledFrom([]uint64{1, 99, 100, 101, 102, 1 << 53, math.MaxUint64})
	numbers := rapid.SampledFrom([]uint64{0, 1, 5, near, 1 << 40, math.MaxUint64 - 1, math.MaxUint64})
	return broker.Position{Epoch: epochs.Draw(t, "epoch"), Seq: numbers.Draw(t, "number")}
}

// madeUp does the steps and returns what went wrong.
func madeUp(t *testing.T, steps []string, positions []broker.Position) (failure string) {
	l := newLedger()
	h := newHub(t, l, hub.Options{PingInterval: time.Hour, PongTimeout: 2 * time.Hour, CatchUp: true})
	defer h.Close()
	l.say("c", "0", false)
	staying := join(t, h, &lines{}, false, "c")
	defer staying.leave()
	at := l.say("c", "1", true)
	staying.read(t, 1)
	said, flushed := 2, 0 // flushed: what came before it may be lost
	lost := false
	for i, step := range steps {
		switch step {
		case "say", "lose":
			l.say("c", fmt.Sprint(said), step == "say")
			said++
			lost = lost || step == "lose"
		case "gap":
			l.feed.Gap(broker.LinkLost, "c")
		case "forge":
			p := positions[i]
			if honest := l.next("c"); p.Seq < near && p.Compare(honest) >= 0 || lost && p.Before(honest) {
				continue
			}
			l.feed.Push(broker.Message{Channel: "c", Data: []byte("forged"), Position: p, Prev: p.Previous()})
		case "renew":
			l.feed.Gap(broker.LinkLost, "c")
			synctest.Wait()
			l.renew()
			flushed = said
		case "settle":
			synctest.Wait()
		case "continue":
			joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: positions[i]}).leave()
		}
	}
	l.feed.Gap(broker.LinkLost, "c")
	synctest.Wait()
	l.say("c", "end", true)
	last := staying.until("c end\n")
	if failure = inOrder(last, 2, said); failure != "" {
		return "who stayed: " + failure
	}
	if flushed > 0 {
		return ""
	}
	back := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: at})
	defer back.leave()
	if failure = inOrder(back.until("c end\n"), 2, said); failure != "" {
		return "who came back: " + failure
	}
	return ""
}

// until reads to a line, or for so long that it will not come.
func (c *client) until(line string) string {
	_ = c.peer.SetReadDeadline(time.Now().Add(20 * time.Minute)) // of the bubble's time
	var all strings.Builder
	lines := bufio.NewReader(c.peer)
	for !strings.HasSuffix(all.String(), line) {
		text, err := lines.ReadString('\n')
		if all.WriteString(text); err != nil {
			break
		}
	}
	return all.String()
}

// inOrder says what is wrong with the honest messages among lines, which are to be those
// from a number to before another.
func inOrder(text string, from, to int) string {
	for line := range strings.Lines(text) {
		var n int
		if _, err := fmt.Sscanf(line, "c %d\n", &n); err != nil {
			continue
		}
		if n != from {
			return fmt.Sprintf("%d came where %d was due, in %q", n, from, text)
		}
		from++
	}
	if from != to {
		return fmt.Sprintf("%d is missing, in %q", from, text)
	}
	return ""
}

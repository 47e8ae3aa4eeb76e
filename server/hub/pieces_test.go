package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// An audited ledger counts the messages that are read of a history.
type audited struct {
	*ledger
	read atomic.Int64
}

func (c *audited) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	page, err := c.ledger.History(ctx, channel, q)
	c.read.Add(int64(len(page.Messages)))
	return page, err
}

// What a client that reads nothing holds of a history of long messages is a small piece of it,
// however it came there. Once it reads it gets all, in order, and what is read for that is not read
// over and over.
func TestUnreadHistoryIsAPiece(t *testing.T) {
	const messages, long, most = 400, 4096, 64<<10 + 2*4096
	for name, start := range map[string]func(l *ledger) transport.Start{
		"the newest": func(*ledger) transport.Start { return transport.Start{Last: messages} },
		"a cursor":   func(l *ledger) transport.Start { return transport.Start{Since: true, After: l.position(0)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &audited{ledger: newLedger()}
				h := newHub(t, l, hub.Options{CatchUp: true})
				defer h.Close()
				body := strings.Repeat("x", long)
				for i := range messages + 1 { // the first is the cursor
					l.say("c", fmt.Sprint(i, " ", body), false)
				}
				group := socket.NewGroup(socket.Limits{Bytes: 16 << 20, Messages: 1 << 16, WriteTimeout: time.Hour, Linger: time.Hour})
				c := joinFrom(t, h, &lines{}, group, start(l.ledger))
				defer c.leave()
				synctest.Wait()
				if held := c.socket.Queued(); held > most {
					t.Errorf("a client that reads nothing holds %d bytes, more than %d", held, most)
				}
				peer := bufio.NewReader(c.peer)
				for i := 1; i <= messages; {
					line, err := peer.ReadString('\n')
					if want := fmt.Sprint("c ", i, " ", body, "\n"); line != want && (err != nil || !strings.HasPrefix(line, "subscribed ")) {
						t.Fatalf("%.20q, want %.20q: %v", line, want, err)
					} else if line == want {
						i++
					}
				}
				if read := l.read.Load(); read > 4*messages {
					t.Errorf("%d messages were read for %d", read, messages)
				}
			})
		})
	}
}

// Pieces follow each other as the messages do, for a client that takes them as they come and for one that is slow: also where
// a gap is at a cut, and a message is longer than a piece.
func TestPiecesAreSeamless(t *testing.T) {
	const messages = 300
	for _, slow := range []bool{false, true} {
		t.Run(fmt.Sprint("slow ", slow), func(t *testing.T) {
			l := newLedger()
			h := newHub(t, l, hub.Options{CatchUp: true})
			defer h.Close()
			var want strings.Builder
			sizes := rand.New(rand.NewPCG(1, 1))
			for i := range messages {
				text := fmt.Sprint(i, " ", strings.Repeat("x", []int{10, 5000, 16 << 10, 70 << 10}[sizes.IntN(4)]))
				if i%7 == 3 {
					l.skip("c")
					want.WriteString("gap c\n")
				}
				l.say("c", text, false)
				want.WriteString("c " + text + "\n")
			}
			ours, peer := unixPair(t)
			group := socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 1 << 16, WriteTimeout: time.Hour, Linger: time.Hour})
			s, e := group.New(), &lines{}
			s.Attach(ours)
			session, err := open(t.Context(), h, s, e, []string{"c"}, transport.Start{Last: messages})
			if err != nil {
				t.Fatal(err)
			}
			s.Uncork()
			c := &client{session, s, peer}
			defer c.leave()
			got := make([]byte, want.Len())
			for n := 0; n < len(got); {
				most := len(got)
				if slow {
					most = min(n+20_000, most)
				}
				read, err := c.peer.Read(got[n:most])
				if err != nil {
					t.Fatal(err)
				}
				n += read
			}
			if string(got) != want.String() {
				t.Error("the client has not heard each message once, in order, with the gaps between")
			}
		})
	}
}

package hub_test

import (
	"bufio"
	"context"
	"fmt"
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

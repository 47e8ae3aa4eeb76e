package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

const keepHistory = "?history=5m&history-size=1000"

// onMemoryAndRedis runs test with a node on each, both with history.
func onMemoryAndRedis(t *testing.T, test func(t *testing.T, n *node)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		test(t, start(t, server.Options{Broker: open(t, "memory://"+keepHistory)}))
	})
	t.Run("redis", func(t *testing.T) {
		test(t, start(t, server.Options{Broker: open(t, redistest.Start(t).URL()+keepHistory)}))
	})
}

// The newest messages are as many as are kept and asked for, also where they are
// more than one page.
func TestFoundNewestMessagesOverPages(t *testing.T) {
	for _, c := range []struct{ messages, size, asked int }{
		{5, 400_000, 5}, {5, 400_000, 4}, {5, 400_000, 100}, {1000, 2_000, 1000}, {3, 10, 2},
	} {
		t.Run(fmt.Sprintf("%d of %d of %d bytes", c.asked, c.messages, c.size), func(t *testing.T) {
			onMemoryAndRedis(t, func(t *testing.T, n *node) {
				texts := n.publishMany("c", c.messages, c.size)
				want := texts[max(0, len(texts)-c.asked):]
				stream := n.ws(fmt.Sprintf("/ws/c?format=raw&history=%d", c.asked))
				for i, text := range want {
					if got := read(t, stream); got != text {
						t.Fatalf("message %d of %d is %.10q, want %.10q", i, len(want), got, text)
					}
				}
				got, more := n.pages("/history/c", c.asked)
				if !slices.Equal(got, want) {
					t.Errorf("by GET there are %d messages, want %d", len(got), len(want))
				}
				if others := c.asked < c.messages || c.messages*c.size > 1<<20; more != others {
					t.Errorf("the first page says that there are others: %v", more)
				}
			})
		})
	}
}

// publishMany publishes different messages of one size and returns them.
func (n *node) publishMany(channel string, messages, size int) []string {
	n.t.Helper()
	texts := make([]string, messages)
	for i := range texts {
		texts[i] = fmt.Sprintf("%04d ", i) + strings.Repeat("x", size-5)
		n.publish(channel, texts[i])
	}
	return texts
}

// pages reads the newest messages, limit of them, page by page. It reports whether
// the first page says that there are others.
func (n *node) pages(path string, limit int) (texts []string, more bool) {
	n.t.Helper()
	a := n.history(fmt.Sprintf("%s?limit=%d", path, limit))
	more = a.More
	for {
		if !a.Complete {
			n.t.Errorf("a page is not complete")
		}
		for _, m := range a.Messages {
			texts = append(texts, m.Data)
		}
		if !a.More {
			return texts, more
		}
		a = n.history(fmt.Sprintf("%s?limit=%d&since=%s", path, limit, a.Next))
	}
}

package server_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// No cursor that the channel cannot be continued from is taken for one that it can,
// whoever has made it up: clients are told, each in its way, and hear what is live.
func TestCursorsThatDoNotContinue(t *testing.T) {
	const kept = 5
	published := uint64(20)
	n, _ := withPast(t, kept)
	for i := range published {
		n.publish("c", fmt.Sprint(i))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []struct {
		name string
		make func() string
	}{
		{"old", func() string { return at("c", r.Uint64N(published-kept)) }},
		{"of the future", func() string { return at("c", published+1+r.Uint64N(1<<40)) }},
		{"of another channel", func() string { return at(fmt.Sprint("c", r.IntN(1000)), 1+r.Uint64N(published)) }},
		{"of another epoch", func() string {
			return transport.Cursor("c", broker.Position{Epoch: epoch + 1 + r.Uint64N(1<<50), Seq: r.Uint64N(published)})
		}},
		{"damaged", func() string { return damaged(r, published) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for range 100 {
				cursor := kind.make()
				t.Log(cursor)
				told := n.ws("/ws/c?format=json&since=" + cursor)
				if got := read(t, told); !strings.Contains(got, `"recovered":false`) {
					t.Fatalf("json was told %s", got)
				}
				text := fmt.Sprint("live ", published)
				n.publish("c", text)
				published++
				if got := read(t, told); !strings.Contains(got, text) {
					t.Fatalf("json heard %s, want %q", got, text)
				}
				_ = told.Close()
				if err := closeOf(n.ws("/ws/c?since=" + cursor)); !websocket.IsCloseError(err, 4003) {
					t.Fatalf("text ended with %v", err)
				}
				stream := n.sse("/sse/c", "Last-Event-ID", cursor)
				if got := stream.event(); !strings.Contains(got, `"recovered":false`) {
					t.Fatalf("an event stream was told %s", got)
				}
				_ = stream.resp.Body.Close()
				if a := n.history("/history/c?since=" + cursor); a.Complete {
					t.Fatalf("read: %+v", a)
				}
			}
		})
	}
}

// closeOf reads until the connection ends.
func closeOf(c *websocket.Conn) (err error) {
	for err == nil {
		_, err = readErr(c)
	}
	return err
}

// damaged changes some bytes of the newest cursor, so that it still is one.
func damaged(r *rand.Rand, newest uint64) string {
	for {
		b, _ := base64.RawURLEncoding.DecodeString(at("c", newest))
		for range 1 + r.IntN(3) {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
		}
		text := base64.RawURLEncoding.EncodeToString(b)
		p, err := transport.ParseCursor("c", text)
		within := err == nil && p.Epoch == epoch && p.Seq <= newest // it happens to be a good one
		if !errors.Is(err, transport.ErrCursor) && !within {
			return text
		}
	}
}

package transporttest

import (
	"bytes"
	"context"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// payloads are what a protocol could confuse. None has a CR, which event streams cannot
// carry.
var payloads = []string{"hola", "", " ", "línea\nlínea\n\n", "[a] hola", `{"type":"gap"}`, "<&>\u2028", "data: x\n: y\nevent: z", "\x00\x01", strings.Repeat("largo ", 30_000)}

func testPayloads(f *fixture) {
	p := f.dial(live("a"))
	for _, payload := range payloads {
		f.publish("a", payload)
		if e := p.event(); e.Kind != Message || string(e.Data) != payload || e.Binary {
			f.Errorf("%.40q was heard as %s, binary: %v", payload, e, e.Binary)
		}
	}
	for _, payload := range [][]byte{{0xFF}, {0, '\r', '\n', 0xFE}, bytes.Repeat([]byte{0xC0, '\n'}, 50_000)} {
		f.publishMessage(broker.Message{Channel: "a", Data: payload, Binary: true})
		if e := p.event(); e.Kind != Message || !bytes.Equal(e.Data, payload) || !e.Binary {
			f.Errorf("the binary message %.40q was heard as %s, binary: %v", payload, e, e.Binary)
		}
	}
}

// numbers are the texts 1 to n behind a prefix.
func numbers(prefix string, n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = prefix + strconv.Itoa(i+1)
	}
	return texts
}

func testOrder(f *fixture) {
	const each = 300
	both, one := f.dial(live("a", "b")), f.dial(live("a"))
	var publishing sync.WaitGroup
	defer publishing.Wait()
	for _, channel := range []string{"a", "b"} {
		publishing.Go(func() {
			for _, text := range numbers(channel, each) {
				f.publish(channel, text)
			}
		})
	}
	heard := map[string]int{}
	for range 2 * each {
		e := both.event()
		text := string(e.Data)
		channel := text[:min(1, len(text))]
		heard[channel]++
		if want := channel + strconv.Itoa(heard[channel]); e.Kind != Message || text != want {
			f.Fatalf("heard %s, not %q", e, want)
		}
	}
	for _, text := range numbers("a", each) {
		if e := one.event(); e.Kind != Message || string(e.Data) != text {
			f.Fatalf("heard %s, not %q", e, text)
		}
	}
	f.publish("a", "last")
	both.hears("a", "last")
	one.hears("a", "last")
}

func testOwnChannels(f *fixture) {
	a, b, both := f.dial(live("a")), f.dial(live("b")), f.dial(live("a", "b"))
	for _, channel := range []string{"A", "a.b", "*", "c", "a", "b"} {
		f.publish(channel, "in "+channel)
		switch channel {
		case "a":
			a.hears("a", "in a")
			both.hears("a", "in a")
		case "b":
			b.hears("b", "in b")
			both.hears("b", "in b")
		}
	}
	f.publish("a", "last")
	a.hears("a", "last")
	both.hears("a", "last")
}

func testOneEncoding(f *fixture) {
	one, other := f.dial(live("a")).subscriber.Encoding, f.dial(live("b")).subscriber.Encoding
	if !reflect.TypeOf(one).Comparable() {
		f.Fatalf("an Encoding, %T, cannot be compared", one)
	}
	if one != other {
		f.Error("two clients of one format have different Encodings, so that each message would be encoded for each")
	}
	first := one.Message(broker.Message{Channel: "a", Data: []byte("hola")})
	kept := bytes.Clone(first)
	one.Message(broker.Message{Channel: "a", Data: []byte("pues")})
	one.Gap(transport.Gap{Channel: "a", Reason: broker.LinkLost})
	if !bytes.Equal(first, kept) {
		f.Error("what Message returned has changed with a later call")
	}
}

func testConcurrentClients(f *fixture) {
	const clients, messages = 12, 50
	all := numbers("", messages)
	stays := f.dial(live("a"))
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			_, done := f.begin(context.Background(), live("a", "b"))
			result := <-done
			if result.err != nil {
				f.Errorf("a client was not connected: %v", result.err)
				return
			}
			_ = result.peer.conn.Close()
		})
	}
	for _, text := range all {
		f.publish("a", text)
	}
	stays.hears("a", all...)
	running.Wait()
	f.publish("a", "last")
	stays.hears("a", "last")
}

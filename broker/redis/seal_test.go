package redis_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/transport"
)

// envelope is what a node without a tag would publish.
func envelope(p broker.Position, text string) string {
	return string(broker.AppendWire(nil, broker.Message{Data: []byte(text), Position: p}))
}

// taggedEnvelope is what a program would that knows the form, and no secret.
func taggedEnvelope(p broker.Position, text string) string {
	id := p.String()
	return "\xFFpg1p" + string(rune(len(id))) + id + "t\x28" + strings.Repeat("0", 40) + "d" + text
}

// newClient is another program.
func newClient(t testing.TB, o redis.Options) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: o.Addr, Password: o.Password, Protocol: 2})
	t.Cleanup(func() { c.Close() })
	return c
}

// What another program publishes never has a position, whatever it claims, and so
// is behind nothing and ahead of nothing: what nodes publish is heard once and in
// order. What claims a position is ignored and counted.
func TestForgedPositions(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	feed := newFeed(t, b, "chat", "other")
	last := keep(t, b, "chat", "0")
	hear(t, feed, "chat", "0")
	rejected := 0
	for i := range 20 {
		for _, claimed := range []broker.Position{
			{Epoch: last.Epoch, Seq: last.Seq + 1}, {Epoch: last.Epoch, Seq: last.Seq + 2}, {Epoch: last.Epoch, Seq: last.Seq + 50},
			{Epoch: last.Epoch + 1}, {Epoch: 1 << 53}, {Epoch: math.MaxUint64, Seq: math.MaxUint64}, {Epoch: 1},
		} {
			server.MustDo("PUBLISH", "chat", envelope(claimed, "forged"))
			server.MustDo("PUBLISH", "chat", taggedEnvelope(claimed, "forged"))
			rejected += 2
		}
		server.MustDo("PUBLISH", "chat", "bare")
		server.MustDo("PUBLISH", "chat", "\xFFpg1b\x00p\x031-1dbinary")
		text := fmt.Sprint(i + 1)
		p := keep(t, b, "chat", text)
		if !last.Next(p) {
			t.Fatalf("after %v comes %v", last, p)
		}
		last = p
		for _, want := range []string{"bare", "binary"} {
			if m, err := feed.Next(); err != nil || string(m.Data) != want || !m.Position.IsZero() {
				t.Fatalf("heard %q at %v, %v; want %q and no position", m.Data, m.Position, err, want)
			}
		}
		if m, err := feed.Next(); err != nil || string(m.Data) != text || m.Position != p {
			t.Fatalf("heard %q at %v, %v; want %q at %v", m.Data, m.Position, err, text, p)
		}
	}
	if got := b.Rejected(); got != uint64(rejected) {
		t.Errorf("%d were counted, want %d", got, rejected)
	}
}

// An authentic message counts only in its channel and as it is.
func TestSealCoversAll(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	feed := newFeed(t, b, "chat", "other")
	raw := newClient(t, keeping(server.Addr())).Subscribe(t.Context(), "chat")
	defer raw.Close()
	if _, err := raw.Receive(guard(t)); err != nil { // the confirmation
		t.Fatal(err)
	}
	keep(t, b, "chat", "authentic")
	published, err := raw.ReceiveMessage(guard(t))
	if err != nil {
		t.Fatal(err)
	}
	wire := published.Payload
	hear(t, feed, "chat", "authentic")
	for name, forged := range map[string]string{
		"other text": strings.Replace(wire, "authentic", "different", 1), "longer": wire + "!", "shorter": wire[:len(wire)-1],
		"other number": strings.Replace(wire, "-0t", "-1t", 1), "cut": wire[:60],
	} {
		before := b.Rejected()
		server.MustDo("PUBLISH", "chat", forged)
		server.MustDo("PUBLISH", "chat", "bare")
		hear(t, feed, "chat", "bare")
		if b.Rejected() != before+1 {
			t.Errorf("%s: not rejected", name)
		}
	}
	server.MustDo("PUBLISH", "other", wire)
	server.MustDo("PUBLISH", "other", "bare")
	hear(t, feed, "other", "bare")
}

// With a history an author and a trace are proven as all else is, live and in the history. What other
// programs publish is by nobody and in no trace, whatever they claim: bare, in an envelope, by the function,
// or in an authentic one that was changed.
func TestAuthorsAreProven(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	feed := newFeed(t, b, "chat")
	raw := newClient(t, keeping(server.Addr())).Subscribe(t.Context(), "chat")
	defer raw.Close()
	if _, err := raw.Receive(guard(t)); err != nil { // the confirmation
		t.Fatal(err)
	}
	by, trace := &broker.Author{Subject: "u1", Session: "s1"}, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if _, err := b.Publish(guard(t), broker.Message{Channel: "chat", Data: []byte("of u1"), By: by, Traceparent: trace}); err != nil {
		t.Fatal(err)
	}
	published, err := raw.ReceiveMessage(guard(t))
	if err != nil {
		t.Fatal(err)
	}
	server.MustDo("PUBLISH", "chat", strings.Replace(published.Payload, "u\x02u1", "u\x02u2", 1))
	server.MustDo("PUBLISH", "chat", "u\x02u1dbare")
	server.MustDo("PUBLISH", "chat", string(broker.AppendWire(nil, broker.Message{Data: []byte("envelope"), By: by, Traceparent: trace})))
	server.MustDo("FCALL", "pregon_publish", "1", "chat", "u\x02u1dfunction")
	for _, want := range []struct {
		text string
		by   *broker.Author
	}{{"of u1", by}, {"u\x02u1dbare", nil}, {"envelope", nil}, {"u\x02u1dfunction", nil}} {
		m, err := feed.Next()
		if err != nil || string(m.Data) != want.text || (m.By == nil) != (want.by == nil) || m.By != nil && *m.By != *want.by {
			t.Errorf("heard %q by %+v, %v; want %q by %+v", m.Data, m.By, err, want.text, want.by)
		}
		if (m.Traceparent == trace) != (want.by != nil) {
			t.Errorf("%q is in the trace %q", m.Data, m.Traceparent)
		}
	}
	if b.Rejected() != 1 {
		t.Errorf("%d were rejected", b.Rejected())
	}
	kept := history(t, b, "chat", broker.Position{}, 10).Messages
	if len(kept) != 2 || kept[0].By == nil || *kept[0].By != *by || kept[1].By != nil {
		t.Errorf("kept are %+v", kept)
	}
}

// The bytes of what nobody is named for are those of the versions before there were authors,
// on the wire and in the stream; with an author the payload is where it was.
func TestAuthorOnTheWire(t *testing.T) {
	for _, test := range []struct {
		name   string
		m      broker.Message
		fields string
	}{
		{"text", broker.Message{Data: []byte("hola")}, "dhola"},
		{"binary", broker.Message{Data: []byte("\xFE"), Binary: true}, "b\x00d\xFE"},
		{"nobody", broker.Message{Data: []byte("hola"), By: &broker.Author{}}, "dhola"},
		{"somebody", broker.Message{Data: []byte("hola"), By: &broker.Author{Subject: "u1", Session: "s1"}}, "u\x02u1s\x02s1dhola"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			b := newBroker(t, keeping(server.Addr()))
			raw := newClient(t, keeping(server.Addr())).Subscribe(t.Context(), "chat")
			defer raw.Close()
			if _, err := raw.Receive(guard(t)); err != nil { // the confirmation
				t.Fatal(err)
			}
			test.m.Channel = "chat"
			r, err := b.Publish(guard(t), test.m)
			if err != nil {
				t.Fatal(err)
			}
			published, err := raw.ReceiveMessage(guard(t))
			if err != nil {
				t.Fatal(err)
			}
			id := r.Position.String()
			if begin := "\xFFpg1p" + string(rune(len(id))) + id + "t("; !strings.HasPrefix(published.Payload, begin) ||
				published.Payload[len(begin)+40:] != test.fields {
				t.Errorf("published is %q", published.Payload)
			}
			entries, err := newClient(t, keeping(server.Addr())).XRange(guard(t), "__pregon:h:chat", "-", "+").Result()
			if err != nil || len(entries) != 1 || entries[0].Values["m"] != test.fields || len(entries[0].Values) != 1 {
				t.Errorf("kept is %v, %v", entries, err)
			}
		})
	}
}

// A node that was there before the record of the secret was deleted, and before
// another made a new one, misses nothing that the other publishes: it reports a gap,
// behind which all is in the history.
func TestSecretReplaced(t *testing.T) {
	server := redistest.Start(t)
	old := newBroker(t, keeping(server.Addr()))
	feed := newFeed(t, old, "chat")
	keep(t, old, "chat", "before")
	hear(t, feed, "chat", "before")
	server.MustDo("FLUSHALL")
	fresh := newBroker(t, keeping(server.Addr()))
	unheard := keep(t, fresh, "chat", "of the new secret")
	p := keep(t, old, "chat", "again")
	if !unheard.Next(p) {
		t.Errorf("the nodes do not go on in one epoch: %v, %v", unheard, p)
	}
	gap := false
	for {
		m, err := feed.Next()
		if err != nil {
			gap = true
		} else if string(m.Data) == "again" {
			break
		}
	}
	if !gap {
		t.Error("no gap was reported")
	}
	if page := history(t, old, "chat", unheard, 10); len(page.Messages) != 1 || !page.Complete {
		t.Errorf("the history behind the first: %+v", page)
	}
}

// Entries that other programs add to a stream at impossible places are not believed:
// they are not read, no epoch begins by them, and publishing is refused at most once.
func TestImpossibleEntries(t *testing.T) {
	for _, id := range []string{
		"9007199254740992-0", "18446744073709551615-18446744073709551615", "18446744073709551614-0", "4000000000000000-7",
	} {
		t.Run(id, func(t *testing.T) {
			server := redistest.Start(t)
			b := newBroker(t, keeping(server.Addr()))
			first := keep(t, b, "chat", "1")
			server.MustDo("XADD", "__pregon:h:chat", id, "m", "dforged")
			newest, err := b.Newest(guard(t), "chat")
			if err != nil || newest[0] != first {
				t.Errorf("the newest is %v, %v; want %v", newest, err, first)
			}
			page := history(t, b, "chat", broker.Position{}, 10)
			if len(page.Messages) != 1 || page.Messages[0].Position != first {
				t.Errorf("kept: %+v", page)
			}
			second := eventually(t, b, "chat", "2")
			if limit := uint64(time.Now().Add(time.Hour).UnixMicro()); second.Epoch <= first.Epoch || second.Epoch > limit {
				t.Errorf("after %v comes %v", first, second)
			}
			for i := range 3 { // each FLUSHALL is a new epoch
				server.MustDo("FLUSHALL")
				next := eventually(t, b, "chat", fmt.Sprint(i))
				if next.Epoch <= second.Epoch || next.Seq != 0 {
					t.Errorf("after FLUSHALL %v comes behind %v", next, second)
				}
				second = next
			}
		})
	}
}

// Any client of Redis publishes with all guarantees by one command.
func TestPublishByScript(t *testing.T) {
	onBoth(t, func(t *testing.T, o redis.Options) {
		b := newBroker(t, o)
		feed := newFeed(t, b, "añb")
		first := keep(t, b, "añb", "1")
		client := newClient(t, o)
		var last broker.Position
		for i, text := range []string{"hola", "", "\xFF\x00", "¡Hola mundo!"} {
			cursor, err := client.Do(guard(t), "EVAL", b.PublishScript(), 1, "añb", text).Text()
			if err != nil {
				t.Fatal(err)
			}
			last = broker.Position{Epoch: first.Epoch, Seq: first.Seq + uint64(i) + 1}
			if want := transport.Cursor("añb", last); cursor != want {
				t.Errorf("the reply is %q, want %q", cursor, want)
			}
		}
		if p := keep(t, b, "añb", "2"); !last.Next(p) {
			t.Errorf("after %v comes %v", last, p)
		}
		var heard []string
		for m, err := range broker.All(feed) {
			if err != nil {
				t.Fatal(err)
			}
			heard = append(heard, string(m.Data))
			if string(m.Data) == "2" {
				break
			}
		}
		if want := []string{"1", "hola", "", "\xFF\x00", "¡Hola mundo!", "2"}; !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
		if page := history(t, b, "añb", first, 10); !page.Complete || len(page.Messages) != 5 || !page.Messages[2].Binary {
			t.Errorf("kept: %+v", page)
		}
		for _, bad := range [][]any{
			{"EVAL", b.PublishScript(), 1, "__x", "x"}, {"EVAL", b.PublishScript(), 1, "", "x"}, {"EVAL", b.PublishScript(), 0},
			{"EVAL", b.PublishScript(), 1, "chat"}, {"EVAL", b.PublishScript(), 1, "a\nb", "x"}, {"EVAL", b.PublishScript(), 1, strings.Repeat("x", 256), "x"},
		} {
			if err := client.Do(guard(t), bad...).Err(); err == nil || !strings.HasPrefix(err.Error(), "ERR") {
				t.Errorf("%q: %v", bad[2:], err)
			}
		}
	})
}

// Nodes teach a server the function. It refuses where the run has changed, and writes
// nothing, until a node has been there.
func TestPublishByFunction(t *testing.T) {
	server := redistest.Start(t, durable...)
	b := newBroker(t, keeping(server.Addr()))
	first := keep(t, b, "chat", "1")
	if got := server.MustDo("FCALL", "pregon_publish", "1", "chat", "hola"); got != transport.Cursor("chat", broker.Position{Epoch: first.Epoch, Seq: 1}) {
		t.Errorf("the reply is %q", got)
	}
	if ttl := server.MustDo("PTTL", "__pregon:h:alone"); ttl != "-2" {
		t.Errorf("a channel that is not there has the lifetime %s", ttl)
	}
	server.MustDo("FCALL", "pregon_publish", "1", "alone", "hola")
	if ttl := server.MustDo("PTTL", "__pregon:h:alone"); strings.HasPrefix(ttl, "-") {
		t.Errorf("a new channel has the lifetime %s", ttl)
	}
	b.Close()
	server.Restart()
	if reply, err := server.Do("FCALL", "pregon_publish", "1", "chat", "lost"); err == nil || !strings.HasPrefix(err.Error(), "PREGONRUN") {
		t.Errorf("in a new run: %q, %v", reply, err)
	}
	b = newBroker(t, keeping(server.Addr()))
	keep(t, b, "chat", "2")
	if got := server.MustDo("FCALL", "pregon_publish", "1", "chat", "3"); got != transport.Cursor("chat", broker.Position{Epoch: first.Epoch, Seq: 3}) {
		t.Errorf("the reply is %q", got)
	}
}

// Whatever is published on a channel, no call panics and nothing claimed is believed.
func FuzzUnseal(f *testing.F) {
	server := redistest.Start(f)
	b := newBroker(f, keeping(server.Addr()))
	feed := newFeed(f, b, "chat")
	for _, wire := range []string{"", "\xFFpg1", "\xFFpg1p", "\xFFpg1p\x031-1", "\xFFpg1p\x031-1t", "\xFFpg1p\x031-1t\x28", "\xFFpg1p\xFF", taggedEnvelope(broker.Position{Epoch: 1}, "x")} {
		f.Add([]byte(wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, text := range []string{string(wire), "end"} {
			if _, err := server.Do("PUBLISH", "chat", text); err != nil {
				t.Fatal(err)
			}
		}
		for {
			m, err := feed.Next()
			if err != nil || !m.Position.IsZero() {
				t.Fatalf("heard %q at %v, %v", m.Data, m.Position, err)
			}
			if string(m.Data) == "end" {
				return
			}
		}
	})
}

// Whatever other programs add to a stream, reading it neither panics nor loses nor
// doubles what was published, and publishing works again after one refusal at most.
func FuzzStream(f *testing.F) {
	server := redistest.Start(f)
	b := newBroker(f, keeping(server.Addr()))
	for _, id := range []string{"*", "1-1", "18446744073709551615-18446744073709551615", "9007199254740991-9007199254740991", "1-18446744073709551615"} {
		f.Add(id, "m", "dtext", uint64(1))
	}
	round := 0
	f.Fuzz(func(t *testing.T, id, field, value string, ahead uint64) {
		round++
		channel := fmt.Sprint("c", round)
		first := keep(t, b, channel, "first")
		for _, id := range []string{id, broker.Position{Epoch: first.Epoch + ahead%1000, Seq: ahead}.String()} {
			_, _ = server.Do("XADD", "__pregon:h:"+channel, id, field, value)
		}
		eventually(t, b, channel, "second")
		last := keep(t, b, channel, "last")
		var read []broker.Position
		after := broker.Position{Epoch: 1}
		for more := true; more; {
			page := history(t, b, channel, after, 2)
			for _, m := range page.Messages {
				read, after = append(read, m.Position), m.Position
			}
			more = page.More && len(page.Messages) > 0
		}
		if len(read) == 0 || read[len(read)-1] != last || !slices.IsSortedFunc(read, broker.Position.Compare) {
			t.Fatalf("read %v, want what ends with %v", read, last)
		}
	})
}

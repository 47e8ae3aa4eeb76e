package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// One entry with a number that no publication has does not hide what is acknowledged.
func TestImpossibleNumberInTheEpoch(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	first := keep(t, b, "c", "0")
	server.MustDo("XADD", "__pregon:h:c", fmt.Sprintf("%d-%d", first.Epoch, uint64(1)<<53+5), "m", "dforged")
	var last broker.Position
	for i := range 3 {
		r, err := b.Publish(guard(t), broker.Message{Channel: "c", Data: []byte(fmt.Sprint(i + 1))})
		if errors.Is(err, broker.ErrUnavailable) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		last = r.Position
	}
	page := history(t, b, "c", first, 100)
	newest, _ := b.Newest(guard(t), "c")
	t.Logf("acknowledged up to %v; newest %v; page %+v", last, newest, page)
	if page.Complete && (len(page.Messages) == 0 || page.Messages[len(page.Messages)-1].Position != last) {
		t.Errorf("complete, without what was acknowledged at %v", last)
	}
}

// A program that repeats what was published long ago changes nothing.
func TestRepeatedWitness(t *testing.T) {
	server := redistest.Start(t)
	o := keeping(server.Addr())
	o.History.MaxAge = time.Second // long enough for the rest of the test
	b := newBroker(t, o)
	f := newFeed(t, b, "old", "c")
	client := newClient(t, o)
	sub := client.Subscribe(t.Context(), "old")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	keep(t, b, "old", "x")
	hear(t, f, "old", "x")
	m, err := sub.ReceiveMessage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for server.MustDo("EXISTS", "__pregon:h:old") == "1" {
		time.Sleep(20 * time.Millisecond)
	}
	before := keep(t, b, "c", "0")
	hear(t, f, "c", "0")
	// no new epoch for an honest expiry
	b2 := newBroker(t, o)
	f2 := newFeed(t, b2, "old")
	if p := keep(t, b, "c", "1"); p.Epoch != before.Epoch {
		t.Fatalf("an honest expiry began a new epoch: %v after %v", p, before)
	}
	hear(t, f, "c", "1")
	server.MustDo("PUBLISH", "old", m.Payload)
	hear(t, f2, "old", "x")
	p := keep(t, b2, "c", "2") // its first publication asks for the run
	if p.Epoch != before.Epoch {
		t.Errorf("a repeated envelope began a new epoch: %v after %v", p, before)
	}
}

// A program that may XADD cannot walk the epochs to where they end.
func TestEpochsAreNotWalked(t *testing.T) {
	server := redistest.Start(t)
	o := keeping(server.Addr())
	b := newBroker(t, o)
	keep(t, b, "c", "0")
	client := newClient(t, o)
	epoch := uint64(time.Now().UnixMicro())
	const day = 86_400_000_000
	steps := 0
	for ; epoch < 1<<53-1; steps++ {
		epoch = min(epoch+day-60_000_000, 1<<53-1)
		if err := client.Do(t.Context(), "xadd", "__pregon:h:walk", "MAXLEN", "1", fmt.Sprintf("%d-0", epoch), "m", "dx").Err(); err != nil {
			t.Fatal(err)
		}
		newest, err := b.Newest(guard(t), "walk")
		if err != nil {
			t.Fatal(err)
		}
		if newest[0].Epoch != epoch {
			t.Logf("not believed after %d steps", steps)
			break
		}
	}
	t.Logf("%d steps to %d", steps, epoch)
	server.MustDo("FLUSHALL")
	old := keep(t, b, "c", "a")
	keep(t, b, "c", "acknowledged, behind the cursor")
	server.MustDo("FLUSHALL")
	for i := range 5 {
		keep(t, b, "c", fmt.Sprint("b", i))
	}
	for i := range 3 {
		if i > 0 {
			server.MustDo("FLUSHALL")
		}
		p := keep(t, b, "c", "again")
		if p.Compare(old) <= 0 {
			t.Errorf("after FLUSHALL comes %v again, behind %v: hubs drop it as a repeat", p, old)
		}
		old = p
	}
}

// A user that lacks a command of the function's gets an error only where nothing was done.
func TestFunctionWithoutExpire(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	first := keep(t, b, "chat", "0")
	for _, lacking := range []string{"pexpire", "time", "xinfo", "get", "xadd", "publish"} {
		server.MustDo("ACL", "SETUSER", "app", "reset", "on", ">x", "~*", "&*", "+@all", "-"+lacking)
		o := keeping(server.Addr())
		c := newClient(t, redis.Options{Addr: o.Addr})
		if err := c.Do(t.Context(), "auth", "app", "x").Err(); err != nil {
			t.Fatal(err)
		}
		conn := c.Conn()
		defer conn.Close()
		_ = conn.Do(t.Context(), "auth", "app", "x").Err()
		before := server.MustDo("XLEN", "__pregon:h:chat")
		err := conn.Do(t.Context(), "fcall", "pregon_publish", "1", "chat", "hola").Err()
		after := server.MustDo("XLEN", "__pregon:h:chat")
		t.Logf("-%s: %v, %s -> %s", lacking, err, before, after)
		if err != nil && before != after {
			t.Errorf("without %s: %v, and the message was kept and published", lacking, err)
		}
	}
	_ = first
	_ = strings.TrimSpace
}

// A master that takes no writes for now can still be listened to by a node that knows the secret.
func TestListeningNeedsNoWrite(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	f := newFeed(t, b, "c")
	keep(t, b, "c", "0")
	hear(t, f, "c", "0")
	server.MustDo("FLUSHALL")
	server.MustDo("CONFIG", "SET", "min-replicas-to-write", "1")
	server.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if server.MustDo("PUBLISH", "c", "bare") == "1" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	t.Errorf("not listening; joining: %v", f.Subscribe(ctx, "d"))
}

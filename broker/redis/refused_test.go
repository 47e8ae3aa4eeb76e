package redis_test

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// What Redis refuses inside the script is what it is outside of it, and then
// nothing is kept.
func TestHistoryRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil []string
		cure  []string
		want  error
	}{
		{"out of memory", []string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}, broker.ErrUnavailable},
		{"read-only", []string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}, broker.ErrUnavailable},
		{"too few replicas", []string{"CONFIG", "SET", "min-replicas-to-write", "1"}, []string{"CONFIG", "SET", "min-replicas-to-write", "0"}, broker.ErrUnavailable},
		{"no XADD", []string{"ACL", "SETUSER", "default", "-xadd"}, []string{"ACL", "SETUSER", "default", "+xadd"}, broker.ErrDenied},
		{"no GET", []string{"ACL", "SETUSER", "default", "-get"}, []string{"ACL", "SETUSER", "default", "+get"}, nil},
		{"no EVALSHA", []string{"ACL", "SETUSER", "default", "-evalsha"}, []string{"ACL", "SETUSER", "default", "+evalsha"}, broker.ErrDenied},
		{"no PUBLISH", []string{"ACL", "SETUSER", "default", "-publish"}, []string{"ACL", "SETUSER", "default", "+publish"}, broker.ErrDenied},
		{"no channel", []string{"ACL", "SETUSER", "default", "resetchannels"}, []string{"ACL", "SETUSER", "default", "allchannels"}, broker.ErrDenied},
		{"no key", []string{"ACL", "SETUSER", "default", "resetkeys"}, []string{"ACL", "SETUSER", "default", "allkeys"}, broker.ErrDenied},
		{"a key in other use", []string{"SET", "__pregon:h:chat", "x"}, []string{"DEL", "__pregon:h:chat"}, broker.ErrDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.Start(t)
			b := newBroker(t, keeping(server.Addr()))
			keep(t, b, "chat", "before")
			server.MustDo(c.spoil...)
			for _, key := range []string{"", "k"} {
				if c.want == nil && key == "" {
					continue // it concerns keys only
				}
				_, err := b.Publish(guard(t), broker.Message{Channel: "chat", Data: []byte("refused"), Key: key})
				if !errors.Is(err, cmp.Or(c.want, broker.ErrDenied)) || errors.Is(err, broker.ErrUncertain) {
					t.Errorf("error %v, want one that matches %v", err, c.want)
				}
			}
			server.MustDo(c.cure...)
			keep(t, b, "chat", "after")
			for _, m := range history(t, b, "chat", broker.Position{}, 10).Messages {
				if string(m.Data) == "refused" {
					t.Error("what was refused is kept")
				}
			}
		})
	}
}

// A Redis that is too old is refused with a sentence that says so.
func TestOldRedis(t *testing.T) {
	server := redistest.StartFake(t, func(args []string) string {
		if args[0] == "info" {
			return redistest.Bulk("redis_version:6.2.14\r\nrun_id:abc\r\n")
		}
		return "*0\r\n"
	})
	b := newBroker(t, keeping(server.Addr()))
	_, err := b.Publish(guard(t), broker.Message{Channel: "chat"})
	if !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), "history needs Redis 7 or newer, this is 6") {
		t.Errorf("error %v", err)
	}
}

// Where another node teaches Redis the script in the middle of a batch, what is
// sent again does not overtake: a message whose successor in the same channel was
// published is not published, and says so.
func TestHistoryBatchOrder(t *testing.T) {
	var first, late bool
	server := redistest.StartFake(t, func(args []string) string {
		switch args[0] {
		case "info":
			return redistest.Bulk("redis_version:7.2.0\r\nrun_id:abc\r\n")
		case "config":
			return "*0\r\n"
		case "eval":
			return redistest.Bulk("abc/def 1700000000000000 0 ABCDEFGHIJKLMNOPQRSTUVWXYZ 1000 600000")
		case "script":
			return redistest.Bulk("0123456789")
		case "evalsha":
			data := args[len(args)-1]
			if data == "d0" && !first || data == "d1" && !late {
				first, late = first || data == "d0", late || data == "d1"
				return "-NOSCRIPT No matching script. Please use EVAL.\r\n"
			}
			return "*2\r\n" + redistest.Bulk("1700000000000000-1") + ":0\r\n"
		default:
			return ":1\r\n"
		}
	})
	b := newBroker(t, keeping(server.Addr()))
	results := b.PublishBatch(guard(t), batchOf("a", "b", "a", "c"))
	if err := results[0].Err; !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUncertain) {
		t.Errorf("overtaken: error %v, want one that matches ErrUnavailable", err)
	}
	for i, r := range results[1:] {
		if r.Err != nil || r.Receipt.Position.IsZero() {
			t.Errorf("message %d: %+v", i+1, r)
		}
	}
	b.Close()
	server.Stop()
	sent := map[string]int{}
	for _, args := range server.Commands("evalsha") {
		sent[args[len(args)-1]]++
	}
	for data, want := range map[string]int{"d0": 1, "d1": 2, "d2": 1, "d3": 1} {
		if sent[data] != want {
			t.Errorf("%s was sent %d times, want %d", data, sent[data], want)
		}
	}
}

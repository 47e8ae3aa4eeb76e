package stream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/script"
	"github.com/pregon/pregon/broker/redis/internal/seal"
	"github.com/pregon/pregon/broker/redis/internal/wire"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// A server is a fake one, with what it says of itself.
type server struct {
	*redistest.Fake
	version, runID, replid2, role, replicas string
	aof, fsync                              string
	record                                  string
	library                                 string       // that is loaded
	unknown                                 atomic.Int64 // publications to which it says NOSCRIPT
	number                                  atomic.Int64
}

func startServer(t *testing.T) *server {
	s := &server{version: "7.2.0", runID: "abc", replid2: "000", role: "master", replicas: "0", aof: "yes", fsync: "always"}
	s.record = "abc/000 17 1 SECRET 100 7200000"
	s.Fake = redistest.NewFake(s.answer)
	t.Cleanup(s.Stop)
	return s
}

func (s *server) node(t *testing.T, prefix string) *node {
	settings := wire.Settings{Network: "tcp", Addr: "fake:1", DialTimeout: 10 * time.Second, Timeout: 10 * time.Second}
	return newNode(t, settings, prefix, func(context.Context) (net.Conn, error) { return s.Pipe(), nil })
}

func (s *server) answer(args []string) string {
	switch args[0] {
	case "info":
		if args[1] == "server" {
			return redistest.Bulk("# Server\r\nredis_version:" + s.version + "\r\nrun_id:" + s.runID + "\r\n")
		}
		return redistest.Bulk("role:" + s.role + "\r\nconnected_slaves:" + s.replicas + "\r\nmaster_replid2:" + s.replid2 + "\r\n")
	case "config":
		value := s.aof
		if args[2] == "appendfsync" {
			value = s.fsync
		}
		return "*2\r\n" + redistest.Bulk(args[2]) + redistest.Bulk(value)
	case "eval":
		return redistest.Bulk(s.record)
	case "script":
		return redistest.Bulk("0123")
	case "function":
		return s.function(args)
	case "evalsha":
		if s.unknown.Add(-1) >= 0 {
			return "-NOSCRIPT No matching script.\r\n"
		}
		return "*2\r\n" + redistest.Bulk(fmt.Sprintf("17-%d", s.number.Add(1)-1)) + ":0\r\n"
	}
	return ":1\r\n"
}

func (s *server) function(args []string) string {
	switch {
	case args[1] == "load":
		s.library = args[3]
		return redistest.Bulk("pregon")
	case s.library == "":
		return "*0\r\n"
	}
	b := redistest.Bulk
	return "*1\r\n*8\r\n" + b("library_name") + b("pregon") + b("engine") + b("LUA") + b("functions") + "*0\r\n" + b("library_code") + b(s.library)
}

// loads returns how often the function was loaded.
func (s *server) loads() int {
	return len(slices.DeleteFunc(s.Commands("function"), func(args []string) bool { return args[1] != "load" }))
}

// What a server says of itself goes to the script that keeps the record: which life this
// is, whether it is durable, and whether it can be the old one.
func TestAccount(t *testing.T) {
	for name, test := range map[string]struct {
		change func(s *server)
		want   string // identity, durable, alone
	}{
		"durable and alone": {func(*server) {}, "abc/000 1 1"},
		"no file":           {func(s *server) { s.aof = "no" }, "abc/000 0 1"},
		"every second":      {func(s *server) { s.fsync = "everysec" }, "abc/000 0 1"},
		"with a replica":    {func(s *server) { s.replicas = "1" }, "abc/000 1 0"},
		"replica":           {func(s *server) { s.role = "slave" }, "abc/000 1 0"},
		"promoted":          {func(s *server) { s.replid2 = "f00" }, "abc/f00 1 0"},
		"odd identity":      {func(s *server) { s.runID = "a') b" }, "ab/000 1 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			test.change(s)
			if err := s.node(t, "").Meet(t.Context()); err != nil {
				t.Fatal(err)
			}
			evals := s.Commands("eval")
			if len(evals) != 1 || strings.Join(evals[0][4:7], " ") != test.want || evals[0][1] != script.Record {
				t.Errorf("the script got %q, want %q", evals[0][2:], test.want)
			}
		})
	}
}

// A server that is too old, or makes no sense, is not published to.
func TestUnusable(t *testing.T) {
	for name, test := range map[string]struct {
		change func(s *server)
		want   error
	}{
		"too old":           {func(s *server) { s.version = "6.2.14" }, broker.ErrDenied},
		"no version":        {func(s *server) { s.version = "" }, reply.ErrBadReply},
		"no identity":       {func(s *server) { s.runID = "" }, reply.ErrBadReply},
		"no record":         {func(s *server) { s.record = "" }, reply.ErrBadReply},
		"epoch zero":        {func(s *server) { s.record = "abc/000 0 1 SECRET 100 1" }, reply.ErrBadReply},
		"odd epoch":         {func(s *server) { s.record = "abc/000 x 1 SECRET 100 1" }, reply.ErrBadReply},
		"Lua in the life":   {func(s *server) { s.record = "abc' 17 1 SECRET 100 1" }, reply.ErrBadReply},
		"Lua in a secret":   {func(s *server) { s.record = "abc/000 17 1 SEC'RET 100 1" }, reply.ErrBadReply},
		"too short":         {func(s *server) { s.record = "abc/000 17 1 SECRET" }, reply.ErrBadReply},
		"one word too many": {func(s *server) { s.record += " 1" }, reply.ErrBadReply},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			test.change(s)
			n := s.node(t, "")
			if err := n.Meet(t.Context()); !errors.Is(err, test.want) {
				t.Errorf("Meet returned %v, want %v", err, test.want)
			}
			results, _ := n.Publish(t.Context(), nil, []broker.Message{{Channel: "chat"}})
			if results[0].Err == nil || errors.Is(results[0].Err, broker.ErrUncertain) || len(s.Commands("evalsha")) > 0 {
				t.Errorf("publishing: %v, the server was sent %q", results[0].Err, s.Commands("evalsha"))
			}
		})
	}
}

// A server is asked once for its life: for the first that needs to know.
func TestMeetOnce(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "")
	for range 3 {
		if err := n.Meet(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.Commands("eval")); got != 1 {
		t.Errorf("it was asked %d times", got)
	}
	if known := n.Secrets().Known(); !slices.Equal(known, []string{"SECRET"}) {
		t.Errorf("known are %q", known)
	}
}

// Where the server does not know the script it was started again: it is asked for its new
// life, and what was not executed is sent again, a bounded number of times.
func TestStartedAgain(t *testing.T) {
	for _, test := range []struct {
		unknown     int64
		sent, asked int
		want        error
	}{
		{0, 1, 1, nil},
		{1, 2, 2, nil},
		{2, 3, 3, nil},
		{3, 3, 3, broker.ErrUnavailable},
	} {
		s := startServer(t)
		s.unknown.Store(test.unknown)
		results, _ := s.node(t, "").Publish(t.Context(), nil, []broker.Message{{Channel: "chat"}})
		sent, asked := len(s.Commands("evalsha")), len(s.Commands("eval"))
		if !errors.Is(results[0].Err, test.want) || sent != test.sent || asked != test.asked {
			t.Errorf("NOSCRIPT %d times: %v, sent %d times, asked %d times; want %v, %d, %d", test.unknown, results[0].Err, sent, asked, test.want, test.sent, test.asked)
		}
	}
}

// A new connection may be to another server: it is asked before anything is published.
func TestNewConnection(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "")
	n.keep(t, "chat", "1")
	n.keep(t, "chat", "2")
	if asked := len(s.Commands("eval")); asked != 1 {
		t.Fatalf("it was asked %d times", asked)
	}
	n.dials.Add(1)
	n.keep(t, "chat", "3")
	if asked := len(s.Commands("eval")); asked != 2 {
		t.Errorf("after a new connection it was asked %d times", asked)
	}
}

// The server is asked for what this node has heard, and for what it has published last,
// each with its stream. Heartbeats are no witnesses, and a Feed that has heard nothing has none.
func TestWitnesses(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "app:")
	n.heard = []seal.Witness{
		{},
		{Channel: "old", Sealed: seal.Sealed{Position: broker.Position{Epoch: 5, Seq: 6}, Fields: []byte("dx")}, Seen: time.Now().Add(-2 * retention.MaxAge)},
	}
	n.keep(t, "__beat", "no")
	n.keep(t, "chat", "hello")
	n.keep(t, "__beat", "no")
	n.dials.Add(1)
	n.keep(t, "chat", "again")
	evals := s.Commands("eval")
	if len(evals) != 2 {
		t.Fatalf("it was asked %d times", len(evals))
	}
	const before = 3 + 1 + 7 // the script and its number of keys, the record, arguments
	first, second := evals[0], evals[1]
	if first[2] != "2" || first[4] != "app:__pregon:h:old" || len(first) != before+1+5 {
		t.Errorf("first %q", first[2:])
	}
	if second[2] != "3" || second[4] != "app:__pregon:h:old" || second[5] != "app:__pregon:h:chat" || len(second) != before+2+10 {
		t.Fatalf("then %q", second[2:])
	}
	old, published := second[before+2:before+7], second[before+7:]
	if old[0] != "5" || old[1] != "6" || old[2] != "dx" || old[4] != "1" {
		t.Errorf("what was heard is %q", old)
	}
	if published[0] != "17" || published[1] != "1" || !strings.Contains(published[2], "hello") || published[4] != "0" {
		t.Errorf("what was published is %q", published)
	}
}

// A server is taught the function once in each life, where it is missing or another, and
// by nodes without a prefix only.
func TestTeach(t *testing.T) {
	for name, test := range map[string]struct {
		prefix, there string
		loads         int
	}{
		"missing":       {"", "", 1},
		"another":       {"", "#!lua name=pregon\nold", 1},
		"there":         {"", script.Library(""), 0},
		"with a prefix": {"app:", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			s.library = test.there
			n := s.node(t, test.prefix)
			n.keep(t, "chat", "1")
			n.dials.Add(1)
			n.keep(t, "chat", "2")
			if got := s.loads(); got != test.loads {
				t.Errorf("it was loaded %d times, want %d", got, test.loads)
			}
			if test.prefix == "" && s.library != script.Library("") {
				t.Error("it is not the one of this version")
			}
		})
	}
}

// A stream is told when to expire with the first message of a channel, and again only
// after a tenth of its age.
func TestExpire(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "")
	for range 5 {
		n.keep(t, "a", "x")
		n.keep(t, "b", "x")
	}
	var streams []string
	for _, args := range s.Commands("pexpire") {
		streams = append(streams, args[1])
		if args[2] != fmt.Sprint((2 * retention.MaxAge).Milliseconds()) {
			t.Errorf("a stream lives for %s ms", args[2])
		}
	}
	if !slices.Equal(streams, []string{"__pregon:h:a", "__pregon:h:b"}) {
		t.Errorf("told were %q", streams)
	}
}

// The one command that publishes names the stream, the record and the marker of a key; the
// marker is counted before it.
func TestKey(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "app:")
	n.Publish(t.Context(), nil, []broker.Message{{Channel: "chat", Data: []byte("x"), Key: "k1"}})
	marker := script.MarkerKey("app:", "chat", "k1")
	sent := s.Commands("evalsha")
	if len(sent) != 1 || !slices.Equal(sent[0][1:7], []string{"0123", "3", "app:__pregon:h:chat", "app:__pregon:run", marker, "app:chat"}) {
		t.Fatalf("the server was sent %q", sent)
	}
	if incr := s.Commands("incr"); len(incr) != 1 || incr[0][1] != marker {
		t.Errorf("counted were %q", incr)
	}
}

package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

// inTwoNodes runs test on two nodes with a channel room.1, whose members are seen, on each kind of
// broker. as returns one of them as its client with a subject has it, and as a backend for none.
func inTwoNodes(t *testing.T, test func(t *testing.T, as func(i int, subject string) *node)) {
	for name, open := range map[string]func(t *testing.T) func() broker.Broker{
		"memory": nodesOnBus(memory.NewBus),
		"memory with history": nodesOnBus(func() *memory.Bus {
			return memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Hour})
		}),
		"Redis":              nodesOnRedis(""),
		"Redis with history": nodesOnRedis("?history=5m"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit, open, nodes := tokentest.NewKit(time.Now()), open(t), [2]*node{}
			for i := range nodes {
				nodes[i] = start(t, server.Options{Broker: open(), Access: seen(t, kit)})
			}
			test(t, func(i int, subject string) *node {
				as := *nodes[i]
				as.client = &http.Client{Transport: &as}
				if as.credential = appKey; subject != "" {
					grants := fmt.Sprintf(`{"subscribe":["room.*"],"info":{"name":%q}}`, strings.ToUpper(subject))
					as.credential = kit.HS256(kit.Claims().With("sub", tokentest.Text(subject)).With("pregon", grants))
				}
				return &as
			})
		})
	}
}

func nodesOnBus(newBus func() *memory.Bus) func(*testing.T) func() broker.Broker {
	return func(t *testing.T) func() broker.Broker {
		bus := newBus()
		return func() broker.Broker {
			b := bus.Broker()
			t.Cleanup(func() { _ = b.Close() })
			return b
		}
	}
}

func nodesOnRedis(query string) func(*testing.T) func() broker.Broker {
	return func(t *testing.T) func() broker.Broker {
		url := redistest.Start(t).URL() + query
		return func() broker.Broker { return open(t, url) }
	}
}

// seen returns rules by which members of rooms are seen by those who are granted them.
func seen(t *testing.T, kit *tokentest.Kit) *access.Policy {
	t.Helper()
	v, err := token.New(kit.Issuers(), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := access.DigestOf(appKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := access.New(access.Config{
		Tokens: v, Keys: []access.Key{{Name: "app", Digest: digest}},
		Rules: []access.Rule{
			{Channels: []string{"room.*"}, Subscribe: access.Grant, Presence: true},
			{Channels: []string{"dark.*"}, Subscribe: access.Anyone},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// becomes waits until the list of room.1 is what is wanted.
func (n *node) becomes(what, want string) {
	n.t.Helper()
	want = `{"type":"members","channel":"room.1",` + want + "}\n"
	got := ""
	if !await(func() bool { _, got = n.get("/presence/room.1"); return got == want }) {
		n.t.Fatalf("%s: got %s, want %s", what, got, want)
	}
}

const (
	anaOnce  = `{"sub":"ana","info":{"name":"ANA"},"connections":1}`
	anaTwice = `{"sub":"ana","info":{"name":"ANA"},"connections":2}`
	bobOnce  = `{"sub":"bob","info":{"name":"BOB"},"connections":1}`
)

// Who listens with a token is a member on all nodes, once for all connections, until the last has ended;
// the members of a node that stops leave with it. Listeners that ask for it are told.
func TestMembersOfNodes(t *testing.T) {
	t.Parallel()
	inTwoNodes(t, func(t *testing.T, as func(int, string) *node) {
		for i := range 2 {
			as(i, "").becomes("nobody, and complete", `"count":0,"members":[]`)
		}
		first := as(0, "ana").ws("/ws/room.1")
		as(1, "bob").sse("/sse/room.1")
		second := as(1, "ana").sse("/sse/room.1")
		for i := range 2 {
			as(i, "").becomes("all", `"count":2,"members":[`+anaTwice+`,`+bobOnce+`]`)
		}
		told := as(0, "").sse("/sse/room.1?format=json&presence=1")
		want := `data: {"type":"members","channel":"room.1","count":2,"members":[` + anaTwice + `,` + bobOnce + `]}`
		if got := told.event(); !strings.HasSuffix(got, want) {
			t.Errorf("told %s, want %s", got, want)
		}
		_ = second.resp.Body.Close()
		as(0, "").becomes("one of two has ended", `"count":2,"members":[`+anaOnce+`,`+bobOnce+`]`)
		_ = first.Close()
		for i := range 2 {
			as(i, "").becomes("the last has ended", `"count":1,"members":[`+bobOnce+`]`)
		}
		want = `data: {"type":"presence","channel":"room.1","left":["ana"]}`
		if got := told.event(); !strings.HasSuffix(got, want) {
			t.Errorf("told %s, want %s", got, want)
		}
		if s := as(0, "").server.Stats(); s.Members != 1 || s.Nodes != 2 || s.Channels != 2 {
			t.Errorf("%+v", s)
		}
		as(1, "").stop()
		as(0, "").becomes("a node has stopped", `"count":0,"members":[]`)
	})
}

// What is asked for in a wrong way gets a clear answer, and who may not listen does not see who does.
func TestBadMembersRequests(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(time.Now())
	n := start(t, server.Options{Access: seen(t, kit)})
	user := kit.HS256(kit.Claims().With("pregon", `{"subscribe":["room.*"]}`))
	for _, c := range []struct {
		path, credential string
		status           int
		code             string
	}{
		{"/presence/", user, 404, "not_found"},
		{"/presence/__a", user, 403, "channel_reserved"},
		{"/presence/a%00", user, 400, "bad_channel"},
		{"/presence/room.1?limit=0", user, 400, "bad_limit"},
		{"/presence/room.1?limit=501", user, 400, "bad_limit"},
		{"/presence/room.1?limit=1&limit=1", user, 400, "bad_limit"},
		{"/presence/room.1?limit=x", user, 400, "bad_limit"},
		{"/presence/room.1?after=a&after=b", user, 400, "bad_after"},
		{"/presence/room.1?after=" + strings.Repeat("x", 256), user, 400, "bad_after"},
		{"/presence/room.1?since=x", user, 400, "bad_query"},
		{"/presence/room.1", "", 401, "unauthorized"},
		{"/presence/other.1", user, 403, "forbidden"},
		{"/presence/dark.1", user, 403, "no_presence"},
		{"/presence/dark.1", "", 403, "no_presence"},
		{"/presence/other.1", appKey, 403, "no_presence"},
		{"/sse/dark.1?format=json&presence=1", user, 403, "no_presence"},
		{"/sse/room.1?presence=1", user, 400, "bad_presence"},
		{"/sse/room.1?format=json&presence=2", user, 400, "bad_presence"},
		{"/presence/room.1?after=%F0&limit=500", user, 200, "members"},
	} {
		as := *n
		as.credential, as.client = c.credential, &http.Client{Transport: &as}
		status, body := as.get(c.path)
		if status != c.status || !strings.Contains(body, `"`+c.code+`"`) {
			t.Errorf("%s: %d %s, want %d %s", c.path, status, body, c.status, c.code)
		}
	}
	if status, _ := n.post("/presence/room.1", "text/plain", ""); status != http.StatusMethodNotAllowed {
		t.Error("POST:", status)
	}
}

// Pages are read behind each other with the last subject of the one before.
func TestMembersInPages(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	for i := range 5 {
		n.listenByBody("/sse?format=json", fmt.Sprintf(`{"channels":[{"channel":"c","member":{"sub":"u%d"}}]}`, i)).event()
	}
	for query, want := range map[string]string{
		"?limit=2":          `"members":[{"sub":"u0","connections":1},{"sub":"u1","connections":1}],"more":true`,
		"?after=u1&limit=2": `"members":[{"sub":"u2","connections":1},{"sub":"u3","connections":1}],"more":true`,
		"?after=u3&limit=2": `"members":[{"sub":"u4","connections":1}]`,
		"?after=u4":         `"members":[]`,
	} {
		status, got := n.get("/presence/c" + query)
		got = strings.Replace(got, `,"complete":false`, "", 1) // the node is new
		if want := `{"type":"members","channel":"c","count":5,` + want + "}\n"; status != http.StatusOK || got != want {
			t.Errorf("%s: %d %s, want %s", query, status, got, want)
		}
	}
}

// Where a broker can tell what nodes have said from what other programs do, these cannot say who is there.
func TestForgedMembers(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":            `"count":1,"members":[{"sub":"mallory","connections":1}]`,
		"?history=5m": `"count":0,"members":[]`,
	} {
		redis := redistest.Start(t)
		n := start(t, server.Options{Broker: open(t, redis.URL()+query)})
		n.becomes("before", `"count":0,"members":[]`)
		redis.MustDo("PUBLISH", "__pregon.presence", `{"v":1,"from":"x","seq":1,"changes":[{"c":"room.1","s":"mallory","n":1}]}`)
		heard := n.ws("/ws/room.1")
		n.publish("room.1", "behind it")
		read(t, heard)
		n.becomes("with "+query, want)
	}
}

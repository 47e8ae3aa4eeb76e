package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// wish is a body that asks for channels.
func wish(channels ...string) string {
	return `{"channels":[{"channel":"` + strings.Join(channels, `"},{"channel":"`) + `"}]}`
}

// listenByBody opens an event stream whose channels a body names, which has returned when it is
// subscribed.
func (n *node) listenByBody(path, body string) *stream {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.addr+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := n.client.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		n.t.Fatal("open event stream:", resp.Status, resp.Header)
	}
	return &stream{n.t, bufio.NewReader(resp.Body), resp}
}

// events returns the next events, in the order of their text: channels are independent of each other.
func (s *stream) events(n int) []string {
	s.t.Helper()
	all := make([]string, n)
	for i := range all {
		all[i] = s.event()
	}
	slices.Sort(all)
	return all
}

// Each channel of a body is answered, ahead of its messages: with the place behind which everything
// follows, and with recovered only where since was asked.
func TestChannelsOfABodyAreAnswered(t *testing.T) {
	n, _ := withPast(t, 3)
	for i := range 5 {
		n.publish("a", fmt.Sprint(i+1))
	}
	s := n.listenByBody("/sse?format=json", `{"channels":[
		{"channel":"empty"},
		{"channel":"live","presence":false},
		{"channel":"a","history":2},
		{"channel":"gone","since":"`+at("elsewhere", 4)+`"}]}`)
	subscribed := func(channel, id, recovered string) string {
		return "event: subscribed\ndata: " + `{"type":"subscribed","channel":"` + channel + `","id":"` + id + `"` + recovered + "}"
	}
	message := func(channel string, seq uint64, text string) string {
		id := at(channel, seq)
		return "id: " + id + "\ndata: " + `{"type":"message","channel":"` + channel + `","data":"` + text + `","id":"` + id + `"}`
	}
	want := []string{
		subscribed("empty", beforeFirst("empty"), ""), subscribed("live", beforeFirst("live"), ""), subscribed("a", at("a", 3), ""),
		subscribed("gone", beforeFirst("gone"), `,"recovered":false`), message("a", 4, "4"), message("a", 5, "5"),
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, s.events(len(want))); diff != "" {
		t.Error(diff)
	}
	n.publish("live", "hola")
	if got, want := s.event(), message("live", 1, "hola"); got != want {
		t.Errorf("heard %q, want %q", got, want)
	}

	s = n.listenByBody("/sse?format=json", `{"channels":[{"channel":"a","since":"`+at("a", 4)+`"}]}`)
	for _, want := range []string{subscribed("a", at("a", 4), `,"recovered":true`), message("a", 5, "5")} {
		if got := s.event(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}

// Without a history there is no place, and in other formats it is told all the same: as events.
func TestChannelsOfABodyWithoutHistory(t *testing.T) {
	n := start(t, server.Options{})
	s := n.listenByBody("/sse", wish("c"))
	n.publish("c", "hola")
	for _, want := range []string{"event: subscribed\ndata: " + `{"type":"subscribed","channel":"c"}`, "data: hola"} {
		if got := s.event(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}

// A badWish is a body whose last channel is at fault, or which is at fault as a whole.
type badWish struct {
	body   string
	status int
	code   string
	index  int // of the channel at fault; -1 for none
}

var badWishes = []badWish{
	{``, 400, "bad_json", -1},
	{`{`, 400, "bad_json", -1},
	{`{"channels":[{"channel":"a"}]} x`, 400, "bad_json", -1},
	{strings.Repeat(`[`, 20_000), 400, "bad_json", -1},
	{"{\"channels\":[{\"channel\":\"\xff\"}]}", 400, "invalid_utf8", -1},
	{`null`, 400, "bad_command", -1},
	{`[{"channel":"a"}]`, 400, "bad_command", -1},
	{`{}`, 400, "bad_command", -1},
	{`{"channels":null}`, 400, "bad_command", -1},
	{`{"channels":{"channel":"a"}}`, 400, "bad_command", -1},
	{`{"channels":[{"channel":"a"}],"channels":[{"channel":"b"}]}`, 400, "bad_command", -1},
	{`{"channels":[{"channel":"a"}],"Channels":[]}`, 400, "bad_command", -1},
	{`{"channels":[{"channel":"a"}],"format":"json"}`, 400, "bad_command", -1},
	{`{"channels":[]}`, 400, "no_channel", -1},

	{`{"channels":["a"]}`, 400, "bad_command", 0},
	{`{"channels":[{"channel":"a"},null]}`, 400, "bad_command", 1},
	{`{"channels":[{"channel":"a","ref":1}]}`, 400, "bad_command", 0},
	{`{"channels":[{"type":"subscribe","channel":"a"}]}`, 400, "bad_command", 0},
	{`{"channels":[{"channel":"a"},{"channel":"b","channel":"c"}]}`, 400, "bad_command", 1},
	{`{"channels":[{"channel":"b","ch\u0061nnel":"c"}]}`, 400, "bad_command", 0},
	{`{"channels":[{"channel":7}]}`, 400, "bad_command", 0},
	{`{"channels":[{"channel":"a"},{}]}`, 400, "no_channel", 1},
	{`{"channels":[{"channel":""}]}`, 400, "channel_empty", 0},
	{`{"channels":[{"channel":"` + strings.Repeat("x", 256) + `"}]}`, 400, "channel_too_long", 0},
	{`{"channels":[{"channel":"a"},{"channel":"\u0000"}]}`, 400, "bad_channel", 1},
	{`{"channels":[{"channel":"\ud800"}]}`, 400, "bad_channel", 0},
	{`{"channels":[{"channel":"a"},{"channel":"__pregon.heartbeat"}]}`, 403, "channel_reserved", 1},
	{`{"channels":[{"channel":"a"},{"channel":"b"},{"channel":"\u0061"}]}`, 409, "already_subscribed", 2},
	{wish("a", "b", "c", "d"), 400, "too_many_channels", -1},

	{`{"channels":[{"channel":"a","since":"x"}]}`, 400, "bad_cursor", 0},
	{`{"channels":[{"channel":"a","since":null}]}`, 400, "bad_cursor", 0},
	{`{"channels":[{"channel":"a","history":1001}]}`, 400, "bad_history", 0},
	{`{"channels":[{"channel":"a","history":"1"}]}`, 400, "bad_history", 0},
	{`{"channels":[{"channel":"a","history":1}]}`, 400, "no_history", 0},
	{`{"channels":[{"channel":"a","since":"x","history":1}]}`, 400, "two_ways", 0},
	{`{"channels":[{"channel":"a","presence":1}]}`, 400, "bad_presence", 0},
	{`{"channels":[{"channel":"a","member":"ana"}]}`, 400, "bad_member", 0},
	{`{"channels":[{"channel":"a","member":{"sub":"ana","admin":true}}]}`, 400, "bad_member", 0},
	{`{"channels":[{"channel":"a","member":{"sub":""}}]}`, 400, "bad_member", 0},
	{`{"channels":[{"channel":"b"},{"channel":"a","member":{"sub":"a\nb"}}]}`, 400, "bad_member", 1},
	{`{"channels":[` + strings.Repeat(" ", 70<<10) + `]}`, 413, "too_large", -1},
}

// answerToWish returns the answer to a body, and the index in it, -1 where there is none.
func answerToWish(t *testing.T, h http.Handler, target, body string, headers ...string) (answered, int) {
	t.Helper()
	got := answerTo(h, request("POST", target, strings.NewReader(body), append([]string{"Content-Type", "application/json"}, headers...)...))
	p := struct{ Index int }{-1}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Fatalf("not a problem: %d %s", got.status, got.body)
	}
	return got, p.Index
}

// What is wrong with a body is answered with a status, and with the channel that is the reason.
func TestBadWishes(t *testing.T) {
	h := handler(t, server.Options{Limits: server.Limits{Channels: 3}})
	for _, c := range badWishes {
		got, index := answerToWish(t, h, "/sse?format=json", c.body)
		if got.status != c.status || got.code != c.code || index != c.index {
			t.Errorf("%.80s: %d %s, want %d %s at %d", c.body, got.status, got.body, c.status, c.code, c.index)
		}
	}
	for _, c := range []struct{ query, body, code string }{
		{"?channel=a", wish("a"), "bad_query"}, {"?since=x", wish("a"), "bad_query"}, {"?presence=1", wish("a"), "bad_query"}, {"?lastEventId=x", wish("a"), "bad_query"},
		{"?format=xml", wish("a"), "bad_format"}, {"?format=raw", `{"channels":[{"channel":"a","presence":true}]}`, "bad_presence"},
	} {
		if got, _ := answerToWish(t, h, "/sse"+c.query, c.body); got.status != 400 || got.code != c.code {
			t.Errorf("%s: %d %s, want %s", c.query, got.status, got.body, c.code)
		}
	}
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprint("c", i))
	}
	if got, _ := answerToWish(t, handler(t, server.Options{}), "/sse", wish(many...)); got.code != "too_many_channels" {
		t.Errorf("1001 channels: %d %s", got.status, got.body)
	}
	for _, kind := range []string{"", "text/plain", "application/x-ndjson", "application/json; charset=latin1"} {
		if got := answerTo(h, request("POST", "/sse", strings.NewReader(wish("a")), "Content-Type", kind)); got.code != "type_not_supported" {
			t.Errorf("%q: %d %s", kind, got.status, got.body)
		}
	}
}

// Whoever refuses a channel, the answer says which one it is.
func TestRefusedChannelOfABody(t *testing.T) {
	h := handler(t, server.Options{Access: rules(t, true, true), Hooks: server.Hooks{
		OnSubscribe: func(_ context.Context, _ transport.Identity, channel string) error {
			if channel == "wall" {
				return errors.New("no walls today")
			}
			return nil
		},
	}})
	for _, c := range []struct {
		body, credential string
		status, index    int
	}{
		{wish("news", "room.1"), "", 401, 1},
		{wish("news", "room.1", "room.2"), anaToken, 403, 2},
		{wish("news", "room.1", "wall"), anaToken, 403, 2}, // by the hook
	} {
		var headers []string
		if c.credential != "" {
			headers = []string{"Authorization", "Bearer " + c.credential}
		}
		if got, index := answerToWish(t, h, "/sse", c.body, headers...); got.status != c.status || index != c.index {
			t.Errorf("%s: %d %s, want %d at %d", c.body, got.status, got.body, c.status, c.index)
		}
	}
}

// Where there is no room, programs are told by a status, and when to come back.
func TestBodiesWhereThereIsNoRoom(t *testing.T) {
	n := start(t, server.Options{MaxConnections: 1})
	first := n.listenByBody("/sse", wish("c"))
	first.event()
	resp, body := n.raw(batchOf("/sse", "application/json", wish("c")))
	checkAnswer(t, badInput{status: 503, code: "too_many_connections"}, resp, body)
	if resp.Header.Get("Retry-After") == "" {
		t.Error(resp.Header)
	}
	if resp, body := n.raw(get("GET /sse/c")); resp.StatusCode != http.StatusOK || !strings.Contains(body, "too_many_connections") {
		t.Error("an EventSource:", resp.Status, body)
	}
}

// Over HTTP/2 a body counts among all bodies while it is read, not for as long as its client listens.
func TestBodiesOfListenersOverHTTP2(t *testing.T) {
	web := httptest.NewUnstartedServer(handler(t, server.Options{MaxMessage: 16 << 10, MaxBodies: 256 << 10}))
	web.EnableHTTP2 = true
	web.StartTLS()
	t.Cleanup(web.Close)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	padding := strings.Repeat(" ", 60<<10) // of which 44 KiB count
	for i := range 20 {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, web.URL+"/sse?format=json", strings.NewReader(padding+wish(fmt.Sprint("c", i))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
			t.Fatalf("client %d: %s %s", i, resp.Proto, resp.Status)
		}
		s := &stream{t, bufio.NewReader(resp.Body), resp}
		if got, want := s.event(), fmt.Sprintf("event: subscribed\ndata: {%q:%q,%q:%q}", "type", "subscribed", "channel", fmt.Sprint("c", i)); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}

// Any body opens a stream of what it names, or is refused, never by a failure of the server.
func FuzzWishes(f *testing.F) {
	for _, c := range badWishes {
		f.Add(c.body)
	}
	f.Add(wish("a", "b"))
	f.Add(`{"channels":[{"channel":"a","since":"` + at("a", 1) + `","presence":true,"member":{"sub":"ana","info":{}}}]}`)
	h := handler(f, server.Options{Limits: server.Limits{Channels: 3}})
	f.Fuzz(func(t *testing.T, body string) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // so that a stream ends at once
		r := request("POST", "/sse?format=json", strings.NewReader(body), "Content-Type", "application/json").WithContext(ctx)
		if got := answerTo(h, r); got.status >= 500 && got.code != "not_subscribed" {
			t.Errorf("%q: %d %s", body, got.status, got.body)
		}
	})
}

// A client that asks for it is told who is in a channel behind the answer, and one that says who it is
// is a member, as over other transports.
func TestPresenceByBody(t *testing.T) {
	n := start(t, server.Options{})
	s := n.listenByBody("/sse?format=json", `{"channels":[{"channel":"c","presence":true,"member":{"sub":"ana","info":{"name":"Ana"}}}]}`)
	if got, want := s.event(), "event: subscribed\ndata: "+`{"type":"subscribed","channel":"c"}`; got != want {
		t.Fatalf("heard %q, want %q", got, want)
	}
	members := "event: members\ndata: " + `{"type":"members","channel":"c","count":1,"members":[{"sub":"ana","info":{"name":"Ana"},"connections":1}]`
	if got := s.event(); !strings.HasPrefix(got, members) { // of a node that is new the list is not complete
		t.Fatalf("heard %q, want %q", got, members)
	}
	n.listenByBody("/sse?format=json", `{"channels":[{"channel":"c","member":{"sub":"bob"}}]}`).event()
	told := s.event()
	for !strings.Contains(told, `"sub":"bob"`) { // the list may be complete first
		told = s.event()
	}
	if !strings.HasPrefix(told, "event: presence\n") && !strings.HasPrefix(told, "event: members\n") {
		t.Errorf("heard %q", told)
	}
}

// A name that no token could have is bad input and no matter of rights: the answer says which limit it
// has broken. What is just within the limits is taken.
func TestMembersBeyondTheLimits(t *testing.T) {
	const characters = "The sub of a member is UTF-8 without control and format characters."
	h := handler(t, server.Options{})
	for _, c := range []struct{ member, detail string }{
		{`{"sub":"` + strings.Repeat("x", 256) + `"}`, "The sub of a member has at most 255 bytes."},
		{`{"sub":"` + strings.Repeat("ñ", 128) + `"}`, "The sub of a member has at most 255 bytes."},
		{`{"sub":"a\u0000"}`, characters},
		{`{"sub":"a\nb"}`, characters},
		{`{"sub":"a\u202e"}`, characters},
		{`{"sub":"a\u2028"}`, characters},
		{`{"sub":""}`, "The sub of a member must not be empty."},
		{`{"sub":"ana","info":"` + strings.Repeat("x", 1023) + `"}`, "The info of a member has at most 1024 bytes of JSON."},
	} {
		got, index := answerToWish(t, h, "/sse?format=json", `{"channels":[{"channel":"b"},{"channel":"a","member":`+c.member+`}]}`)
		if got.status != http.StatusBadRequest || got.code != "bad_member" || index != 1 || !strings.Contains(got.body, c.detail) {
			t.Errorf("%.60s: %d %s, want 400 bad_member at 1, %q", c.member, got.status, got.body, c.detail)
		}
	}
	n := start(t, server.Options{})
	most := `{"sub":"` + strings.Repeat("x", 255) + `","info":"` + strings.Repeat("x", 1022) + `"}`
	if got := n.listenByBody("/sse?format=json", `{"channels":[{"channel":"a","member":`+most+`}]}`).event(); !strings.HasPrefix(got, "event: subscribed\n") {
		t.Errorf("within the limits: %q", got)
	}
}

// Where the server takes tokens, nobody says who it is by itself; and what a rule does not let anybody
// know, nobody is told. The answer says which channel it is about.
func TestRefusedPresenceByBody(t *testing.T) {
	h := handler(t, server.Options{Access: rules(t, true, true)})
	for _, c := range []struct{ body, code string }{
		{`{"channels":[{"channel":"news"},{"channel":"wall","member":{"sub":"ana"}}]}`, "bad_member"},
		{`{"channels":[{"channel":"news"},{"channel":"wall","member":{"sub":"a\n"}}]}`, "bad_member"},
		{`{"channels":[{"channel":"news"},{"channel":"wall","presence":true}]}`, "no_presence"},
	} {
		got, index := answerToWish(t, h, "/sse?format=json", c.body)
		if got.status != http.StatusForbidden || got.code != c.code || index != 1 {
			t.Errorf("%s: %d %s, want 403 %s at 1", c.body, got.status, got.body, c.code)
		}
	}
}

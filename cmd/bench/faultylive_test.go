package bench_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/cmd/bench"
)

// A faultyLive is a server of /live that does to the fifth publication what its fault says. It hears
// one publisher, whose messages all clients are sent.
type faultyLive struct {
	fault  string
	mu     sync.Mutex
	conns  map[string][]*websocket.Conn // by channel
	seen   int
	held   []string // answers that come with the next one
	ponged bool     // by the publisher
}

func startFaultyLive(t *testing.T, fault string) string {
	t.Helper()
	f := &faultyLive{fault: fault, conns: map[string][]*websocket.Conn{}}
	var serving sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		f.serve(w, r)
	}))
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})
	return s.URL
}

func (f *faultyLive) serve(w http.ResponseWriter, r *http.Request) {
	conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetPongHandler(func(string) error { f.ponged = true; return nil })
	switch channel := path.Base(r.URL.Path); {
	case channel != "live":
		f.subscribe(conn, channel)
	case f.fault == "unwelcome":
		goodBye(conn)
	default:
		say(conn, `{"type":"welcome","ping":25}`)
	}
	for {
		var command struct{ Type, Ref, Channel, Data string }
		if err := conn.ReadJSON(&command); err != nil {
			return
		}
		f.mu.Lock()
		ok := f.publish(conn, command.Ref, command.Channel, command.Data)
		f.mu.Unlock()
		if !ok {
			return
		}
	}
}

func say(conn *websocket.Conn, frames ...string) {
	for _, frame := range frames {
		_ = conn.WriteMessage(websocket.TextMessage, []byte(frame))
	}
}

func (f *faultyLive) subscribe(conn *websocket.Conn, channel string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.fault {
	case "forbidden":
		say(conn, `{"type":"error","status":403,"code":"forbidden","detail":"You may not."}`)
	case "closed":
		goodBye(conn)
	default:
		say(conn, `{"type":"welcome","ping":25}`, `{"type":"ping"}`, `{"type":"something new"}`, "nothing known",
			`{"type":"subscribed","channel":"`+channel+`"}`)
		f.conns[channel] = append(f.conns[channel], conn)
	}
}

func goodBye(conn *websocket.Conn) {
	_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4008, "slowly"))
}

// publish reports false where the connection is to end.
func (f *faultyLive) publish(conn *websocket.Conn, ref, channel, data string) bool {
	f.seen++
	heard := []string{`{"type":"message","channel":"` + channel + `","data":"` + data + `","id":"1-1","by":{"session":"s"}}`}
	answers := []string{`{"type":"published","ref":"` + ref + `","channel":"` + channel + `","id":"1-1"}`}
	answers = append(answers, f.held...)
	f.held = nil
	switch {
	case f.fault == "lose all":
		return f.seen < 8
	case f.fault == "ping" && f.seen == 6 && !f.ponged:
		return false
	case f.seen == 5:
		var ok bool
		if heard, answers, ok = f.spoil(conn, ref, heard, answers); !ok {
			return false
		}
	}
	for _, c := range f.conns[channel] {
		say(c, heard...)
	}
	say(conn, answers...)
	return true
}

// spoil returns what is sent instead of a message and of the answer, or false where the connection is
// to end.
func (f *faultyLive) spoil(conn *websocket.Conn, ref string, heard, answers []string) (h, a []string, ok bool) {
	switch f.fault {
	case "drop":
		heard = nil
	case "gap":
		heard = append(heard, `{"type":"gap","channel":"c","reason":"not-kept"}`)
	case "end":
		heard = []string{`{"type":"unsubscribed","channel":"c","status":403,"code":"forbidden","detail":"No more."}`}
	case "refuse":
		heard, answers = nil, refusal(ref, http.StatusServiceUnavailable)
	case "time out":
		answers = refusal(ref, http.StatusGatewayTimeout)
	case "late":
		f.held, answers = answers, nil
	case "nobody's":
		answers = []string{strings.Replace(answers[0], ref, "fff", 1)}
	case "no answer":
		answers = []string{`{"type":"error",`}
	case "all over":
		answers = refusal("", http.StatusUnauthorized)
	case "ping":
		_ = conn.WriteMessage(websocket.PingMessage, []byte("p"))
	case "close":
		goodBye(conn)
		return nil, nil, false
	case "lose":
		return nil, nil, false
	}
	return heard, answers, true
}

func refusal(ref string, status int) []string {
	detail := "Come back."
	if ref == "" {
		detail = "Expired."
	}
	return []string{fmt.Sprintf(`{"type":"error","ref":%q,"status":%d,"code":"x","detail":%q}`, ref, status, detail)}
}

// What a server does wrong over /live is counted exactly, and fails the test. What it says beside
// is not wrong, nor is the order of its answers.
func TestFaultsOverLive(t *testing.T) {
	for fault, c := range map[string]struct {
		pipeline int
		want     bench.Result // for one subscriber, but for PublishFailed
		says     string
		calls    int64 // accepted publications
	}{
		"none":      {8, bench.Result{}, "", 50},
		"ping":      {1, bench.Result{}, "", 50},
		"late":      {8, bench.Result{}, "", 50},
		"drop":      {8, bench.Result{Lost: 1}, "20 were lost", 50},
		"gap":       {8, bench.Result{Gaps: 1}, "20 gaps", 50},
		"end":       {8, bench.Result{Disconnected: 1, Lost: 46}, "403: No more.", 50},
		"refuse":    {8, bench.Result{PublishFailed: 1}, "publish: the server answered 503: Come back.", 49},
		"time out":  {8, bench.Result{PublishFailed: 1}, "publish: the server answered 504: Come back.", 49},
		"nobody's":  {1, bench.Result{PublishFailed: 1}, "that was not sent", 4},
		"no answer": {1, bench.Result{PublishFailed: 1}, "not understood", 4},
		"all over":  {1, bench.Result{PublishFailed: 1}, "401: Expired.", 4},
		"close":     {1, bench.Result{PublishFailed: 1}, `close code 4008 "slowly"`, 4},
		"lose":      {1, bench.Result{PublishFailed: 1}, "publish: ", 4},
		"lose all":  {8, bench.Result{PublishFailed: 8}, "publish: ", 0},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			o := small()
			o.URL, o.Drain, o.Pipeline = startFaultyLive(t, fault), 2*time.Second, c.pipeline
			o.Transport, o.Format, o.PublishOver = "live", "json", "live"
			r := measure(t, o)
			got, n := r.Server, int64(o.Subscribers)
			if got.Lost != n*c.want.Lost || got.Duplicated != 0 || got.Reordered != 0 || got.Corrupt != 0 || got.Gaps != n*c.want.Gaps ||
				got.Disconnected != n*c.want.Disconnected || got.PublishFailed != c.want.PublishFailed || got.Published != c.calls {
				got.Publish, got.Delivery, got.Series = bench.Latency{}, bench.Latency{}, nil
				t.Errorf("%+v", got)
			}
			err := r.Err()
			if c.says == "" && (err != nil || !r.Passed) {
				t.Error(err)
			}
			if c.says != "" && (!errors.Is(err, bench.ErrFailed) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// A server that does not confirm a channel, or says no welcome, keeps a measurement from beginning.
func TestNoBeginningOverLive(t *testing.T) {
	for fault, says := range map[string]string{
		"forbidden": "connect subscriber 1 of 1: the server answered 403: You may not.",
		"closed":    `connect subscriber 1 of 1: close code 4008 "slowly"`,
		"unwelcome": `connect a publisher: close code 4008 "slowly"`,
	} {
		o := small()
		o.URL, o.Transport, o.Format, o.PublishOver, o.Subscribers = startFaultyLive(t, fault), "live", "json", "live", 1
		if r, err := bench.Run(t.Context(), o); r != nil || err == nil || err.Error() != says {
			t.Errorf("%s: %v, %v; want %q", fault, r, err, says)
		}
	}
}

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// A channel that is known, and whose link to Redis is down, is not opened: not at once,
// but when the link is back, or never.
func TestFoundOpenWhileTheLinkIsDown(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, durable...)
	n := start(t, onHistory(t, redis.URL()))
	other := n.ws("/ws/c")
	n.publish("c", "0")
	read(t, other)
	redis.Kill()
	n.awaitReady(http.StatusServiceUnavailable) // it has noticed
	if _, err := n.dial("/ws/c"); err == nil || !strings.Contains(err.Error(), "not_subscribed") {
		t.Errorf("opened while Redis was dead: %v", err)
	}
	live, last := make(chan *websocket.Conn, 1), make(chan *websocket.Conn, 1)
	open := func(path string, opened chan<- *websocket.Conn) {
		for {
			c, err := n.dial(path)
			if err == nil {
				t.Cleanup(func() { _ = c.Close() })
				opened <- c
				return
			}
			if !strings.Contains(err.Error(), "not_subscribed") {
				t.Errorf("%s: %v", path, err)
				close(opened)
				return
			}
		}
	}
	go open("/ws/c?format=raw", live)
	go open("/ws/c?format=raw&history=1", last)
	redis.Restart()
	clients := map[string]*websocket.Conn{"live": <-live, "the last": <-last}
	if t.Failed() {
		return
	}
	for i := 1; i <= 4; i++ {
		n.publishAtLast("c", fmt.Sprint(i))
	}
	for name, c := range clients {
		want := []string{"1", "2", "3", "4"}
		if name != "live" {
			want = append([]string{"0"}, want...)
		}
		for _, text := range want {
			if got := read(t, c); got != text {
				t.Errorf("%s: got %q, want %q", name, got, text)
			}
		}
	}
}

// publishAtLast publishes with a key until the answer is 200.
func (n *node) publishAtLast(channel, text string) {
	n.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodPost, "http://"+n.addr+"/publish/"+channel, strings.NewReader(text))
		if err != nil {
			n.t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", text)
		resp, err := n.client.Do(req)
		if err != nil {
			n.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			n.t.Fatal("publish:", resp.Status)
		}
	}
}

// receipt publishes text and returns its cursor.
func (n *node) receipt(channel, text string) string {
	n.t.Helper()
	var receipt struct{ ID string }
	status, body := n.post("/publish/"+channel, "text/plain", text)
	if err := json.Unmarshal([]byte(body), &receipt); status != http.StatusOK || err != nil {
		n.t.Fatalf("publish: %d %s %v", status, body, err)
	}
	return receipt.ID
}

// A client that keeps the id of what it has read last, be it of subscribed, and is cut
// off in the middle of a replay misses nothing, however often that happens.
func TestFoundCutInTheMiddleOfAReplay(t *testing.T) {
	onMemoryAndRedis(t, func(t *testing.T, n *node) {
		const messages = 500
		id := n.receipt("c", "0")
		for i := 1; i < messages; i++ {
			n.publish("c", fmt.Sprint(i))
		}
		next := 1
		for cut := 0; next < messages; cut++ {
			c := n.ws("/ws/c?format=json&since=" + id)
			for range 1 + cut%200 { // the first time subscribed alone
				var e struct{ Type, ID, Data string }
				if err := json.Unmarshal([]byte(read(t, c)), &e); err != nil || e.ID == "" {
					t.Fatal("no id:", e, err)
				}
				id = e.ID
				if e.Type == "message" {
					if e.Data != fmt.Sprint(next) {
						t.Fatalf("got %s after cut %d, want %d", e.Data, cut, next)
					}
					if next++; next == messages {
						break
					}
				}
			}
			_ = c.Close()
		}
	})
}

// Who was not recovered, and who is in an empty channel, goes on from the id of
// subscribed, in event streams and WebSockets alike.
func TestFoundIDOfSubscribed(t *testing.T) {
	onMemoryAndRedis(t, func(t *testing.T, n *node) {
		n.publish("c", "before")
		for _, channel := range []string{"c", "empty"} {
			foreign := transport.Cursor("other", broker.Position{Epoch: epoch, Seq: 1})
			var told []string
			c := n.ws("/ws/" + channel + "?format=json&since=" + foreign)
			told = append(told, read(t, c))
			_ = c.Close()
			s := n.sse("/sse/"+channel, "Last-Event-ID", foreign)
			told = append(told, strings.TrimPrefix(s.event(), "event: subscribed\ndata: "))
			_ = s.resp.Body.Close()
			for _, text := range []string{"1", "2"} {
				n.publish(channel, text)
			}
			for _, line := range told {
				var e struct {
					ID        string
					Recovered bool
				}
				if err := json.Unmarshal([]byte(line), &e); err != nil || e.Recovered || e.ID == "" {
					t.Fatalf("%s: %s, %v", channel, line, err)
				}
				again := n.ws("/ws/" + channel + "?format=json&since=" + e.ID)
				read(t, again) // subscribed
				for _, text := range []string{"1", "2"} {
					if got := read(t, again); !strings.Contains(got, fmt.Sprintf("%q", text)) {
						t.Errorf("%s: got %s, want %s", channel, got, text)
					}
				}
			}
		}
	})
}

// A client that reads slowly is fed from the history in each of its channels, also in
// one that it has heard nothing of.
func TestFoundSlowInTwoChannels(t *testing.T) {
	for name, url := range map[string]string{"memory": "memory://", "redis": redistest.Start(t).URL()} {
		t.Run(name, func(t *testing.T) {
			n := start(t, server.Options{Broker: open(t, url+keepHistory), QueueBytes: 64 << 10, CatchUp: true, WriteTimeout: time.Hour})
			slow := n.ws("/ws?channel=a&channel=b")
			filling := strings.Repeat("x", 64<<10)
			want := map[string]int{"a": 256, "b": 2} // 16 MiB are more than the kernel's buffers take
			for _, channel := range []string{"a", "b"} {
				for range want[channel] {
					n.publish(channel, filling)
				}
			}
			for range want["a"] + want["b"] {
				want[read(t, slow)[1:2]]--
			}
			if want["a"] != 0 || want["b"] != 0 {
				t.Errorf("%v are missing", want)
			}
		})
	}
}

// What is dropped for a slow client behind a gap of another reason is told behind it.
func TestFoundDroppedBehindAnotherGap(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, server.Options{Broker: open(t, redis.URL()+keepHistory), QueueBytes: 256 << 10, DropOldest: true, WriteTimeout: time.Hour})
	slow, pace := n.ws("/ws/c?format=json"), n.ws("/ws/c?format=json")
	filling := strings.Repeat("x", 64<<10)
	say := func(from, to int) {
		for i := from; i < to; i++ {
			n.publish("c", fmt.Sprint(i, " ", filling))
			for text := ""; !strings.Contains(text, `"data"`); {
				text = read(t, pace)
			}
		}
	}
	say(0, 256) // 16 MiB are more than the kernel's buffers take
	redis.MustDo("FLUSHALL")
	say(256, 400)
	next, told := 0, false
	for next < 400 {
		var e struct {
			Type, Data string
			Reason     broker.GapReason
		}
		if err := json.Unmarshal([]byte(read(t, slow)), &e); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Type == "gap" && e.Reason == transport.SlowClient:
			told = true
		case e.Type == "gap": // of the flush, which comes behind 255
			if next < 256 && !told {
				t.Errorf("%d to 255 are missing before the gap %s, untold", next, e.Reason)
			}
			next, told = max(next, 256), false
		default:
			var i int
			if _, err := fmt.Sscan(e.Data, &i); err != nil || i < next || i > next && !told {
				t.Fatalf("%d came where %d was due, told %v, %v", i, next, told, err)
			}
			next, told = i+1, false
		}
	}
}

// A history that is deleted is one hole, which each client is told of once, and the
// first message of the new one has all behind it that there is.
func TestFoundFlushIsOneGap(t *testing.T) {
	redis := redistest.Start(t)
	nodes := []*node{start(t, onHistory(t, redis.URL())), start(t, onHistory(t, redis.URL()))}
	for i := range 6 {
		nodes[i%2].publish("c", "before")
		nodes[i%2].publish("quiet", "before")
	}
	clients := []*websocket.Conn{nodes[0].ws("/ws/c?format=json"), nodes[1].ws("/ws/c?format=json"), nodes[1].ws("/ws/quiet?format=json")}
	redis.MustDo("FLUSHALL")
	beats := func() int { // of both nodes, which take turns
		n, _ := strconv.Atoi(redis.MustDo("XLEN", "__pregon:h:__pregon.probe"))
		return n / 2
	}
	for end := time.Now().Add(patience); beats() <= len(nodes); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the nodes' heartbeats do not go on")
		}
	}
	var first string
	for i := range 12 {
		id := nodes[i%2].receipt("c", "after")
		if i == 0 {
			first = id
		}
		nodes[i%2].history("/history/quiet") // reads, so that there are new connections
	}
	for _, channel := range []string{"c", "quiet"} {
		nodes[1].publish(channel, "last")
	}
	for i, c := range clients {
		gaps := 0
		for got := ""; !strings.Contains(got, `"last"`); {
			if got = read(t, c); strings.Contains(got, `"gap"`) {
				gaps++
			}
		}
		if gaps != 1 {
			t.Errorf("client %d was told %d gaps", i, gaps)
		}
	}
	for _, n := range nodes {
		if a := n.history("/history/c?since=" + first); !a.Complete || len(a.Messages) != 12 {
			t.Errorf("behind the first message of the new history: %d messages, complete %v", len(a.Messages), a.Complete)
		}
	}
}

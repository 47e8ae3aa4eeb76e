package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/miniredis"
	_ "github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// open opens a broker that is closed when the test ends.
func open(t testing.TB, url string) broker.Broker {
	t.Helper()
	b, err := broker.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// What is published right after an open is heard, on the embedded Redis too.
func TestOpenMeansSubscribedOnMiniredis(t *testing.T) {
	t.Parallel()
	b, err := miniredis.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	openThenPublish(t, start(t, server.Options{Broker: b}))
}

// What is published right after an open is heard, on Redis too.
func TestOpenMeansSubscribedOnRedis(t *testing.T) {
	t.Parallel()
	openThenPublish(t, start(t, server.Options{Broker: open(t, redistest.Start(t).URL())}))
}

// What any program publishes on Redis is heard by the clients of two servers,
// and so is what either of them publishes. Bytes that are no text are binary.
func TestTwoNodesOnRedis(t *testing.T) {
	redis := redistest.Start(t)
	one, two := start(t, server.Options{Broker: open(t, redis.URL())}), start(t, server.Options{Broker: open(t, redis.URL())})
	conns := []*websocket.Conn{one.ws("/ws/chat"), two.ws("/ws/chat")}
	redis.MustDo("PUBLISH", "chat", "hola")
	one.publish("chat", "uno")
	two.publish("chat", "dos")
	redis.MustDo("PUBLISH", "chat", "\xff\xfe")
	for _, c := range conns {
		for _, want := range []string{"[chat] hola", "[chat] uno", "[chat] dos"} {
			if got := read(t, c); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if kind, p, err := c.ReadMessage(); kind != websocket.BinaryMessage || string(p) != "[chat] \xff\xfe" {
			t.Errorf("%d %q %v", kind, p, err)
		}
	}
}

// Readiness is red while Redis is dead, publishing answers 503 or 504, and both
// recover with it.
func TestReadiness(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	n := start(t, server.Options{Broker: open(t, redis.URL())})
	redis.Kill()
	n.awaitReady(503)
	if status, body := n.post("/publish/c", "", "x"); status != 503 && status != 504 {
		t.Errorf("publish without Redis: %d %s", status, body)
	}
	redis.Restart()
	n.awaitReady(200)
	n.publish("c", "x")
}

// awaitReady polls /readyz as a load balancer does.
func (n *node) awaitReady(want int) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err := n.client.Get("http://" + n.addr + "/readyz")
		if err != nil {
			n.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == want {
			return
		}
	}
	n.t.Fatalf("/readyz did not become %d", want)
}

// A witness is a client that notes what it hears, and comes back when it is sent
// away.
type witness struct {
	name string
	last int // the newest number heard
	told bool
	errs []string

	heard *atomic.Int64 // numbers heard by everybody
	acked *sync.Map     // numbers whose publication was answered with 200
}

// hear checks one number: new, in order, and with nothing acknowledged missing
// since the last one unless a gap was told in between.
func (w *witness) hear(text string) {
	n, err := strconv.Atoi(text)
	if err != nil || n <= w.last {
		w.errs = append(w.errs, fmt.Sprintf("heard %q after %d", text, w.last))
		return
	}
	for missing := w.last + 1; missing < n && !w.told && w.last > 0; missing++ {
		if _, ok := w.acked.Load(missing); ok {
			w.errs = append(w.errs, fmt.Sprintf("%d is missing before %d, and no gap was told", missing, n))
		}
	}
	w.last, w.told = n, false
	w.heard.Store(int64(n))
}

// listenJSON listens until stop, over one connection that must not break.
func (w *witness) listenJSON(c *websocket.Conn, stop <-chan struct{}) {
	for {
		_, p, err := c.ReadMessage()
		if err != nil {
			select {
			case <-stop:
			default:
				w.errs = append(w.errs, "the connection ended: "+err.Error())
			}
			return
		}
		var e struct{ Type, Data string }
		_ = json.Unmarshal(p, &e)
		if e.Type == "gap" {
			w.told = true
		} else {
			w.hear(e.Data)
		}
	}
}

// listenText listens until stop, and comes back after each close with 4001.
func (w *witness) listenText(n *node, stop <-chan struct{}) {
	for {
		c, err := n.dial("/ws/c")
		for err == nil {
			var p []byte
			if _, p, err = c.ReadMessage(); err == nil {
				w.hear(strings.TrimPrefix(string(p), "[c] "))
			}
		}
		select {
		case <-stop:
			return
		default:
		}
		w.told = w.told || websocket.IsCloseError(err, 4001)
		if c != nil {
			_ = c.Close()
		}
	}
}

// Redis is killed again and again while messages are published: nothing is
// doubled or reordered, every hole is told, and delivery goes on.
func TestKillsOfRedis(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 3
	}
	redis := redistest.Start(t)
	n := start(t, server.Options{Broker: open(t, redis.URL())})
	stop := make(chan struct{})
	var heard atomic.Int64
	var acked sync.Map
	var witnesses []*witness
	var listening sync.WaitGroup
	for i := range 4 {
		w := &witness{name: fmt.Sprint("json ", i), heard: &heard, acked: &acked}
		c := n.ws("/ws/c?format=json")
		listening.Go(func() { w.listenJSON(c, stop) })
		witnesses = append(witnesses, w)
	}
	text := &witness{name: "text", heard: new(atomic.Int64), acked: &acked}
	listening.Go(func() { text.listenText(n, stop) })
	witnesses = append(witnesses, text)

	var published atomic.Int64
	publishing := make(chan struct{})
	go func() {
		defer close(publishing)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			published.Store(int64(i))
			// A fresh number each time: a failed publication is not repeated.
			if status, _ := n.post("/publish/c", "", strconv.Itoa(i)); status == 200 {
				acked.Store(i, true)
			}
		}
	}()
	var slowest time.Duration
	goesOn := func() {
		from, since := published.Load(), time.Now()
		for deadline := since.Add(patience); heard.Load() <= from; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("delivery does not go on")
				return
			}
		}
		slowest = max(slowest, time.Since(since))
	}
	goesOn()
	slowest = 0
	for range kills {
		redis.Kill()
		redis.Restart()
		goesOn()
	}
	close(stop)
	<-publishing
	n.stop() // ends the witnesses' connections
	listening.Wait()
	for _, w := range witnesses {
		if w.last == 0 {
			t.Errorf("%s heard nothing", w.name)
		}
		for _, e := range w.errs[:min(5, len(w.errs))] {
			t.Errorf("%s: %s", w.name, e)
		}
	}
	t.Logf("%d kills, %d published, slowest return of delivery %v after Redis answered again", kills, published.Load(), slowest)
}

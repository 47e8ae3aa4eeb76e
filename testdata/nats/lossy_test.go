package nats_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/nats"
	natstest "github.com/pregon/pregon/testdata/nats"
)

// lossy opens a node that puts up with what a cluster loses, on one of its servers.
func lossy(t *testing.T, server *natstest.Server) broker.Broker {
	t.Helper()
	b := opened(t, nats.Options{Servers: []string{server.Addr()}, Lossy: true, Heartbeat: 5 * time.Second})
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// tell publishes text until the feed has heard it: nobody says when a server knows of what was subscribed at another one.
func tell(t *testing.T, b broker.Broker, f broker.Feed, text string) {
	t.Helper()
	heard := make(chan error, 1)
	go func() {
		for {
			m, err := f.Next()
			if err != nil && !isGap(err) || err == nil && string(m.Data) == text {
				heard <- err
				return
			}
		}
	}()
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, err := b.Publish(t.Context(), broker.Message{Channel: "c", Data: []byte(text)})
		if err != nil && (!errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrUncertain) || time.Now().After(deadline)) {
			t.Fatal(err)
		}
		select {
		case err := <-heard:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-time.After(20 * time.Millisecond): // to publish again
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q is not heard", text)
		}
	}
}

// With lossy, nodes on all servers of a cluster without JetStream hear each other: once all servers know of the subscriptions,
// every message once, and in the order of its publisher.
func TestLossyCluster(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartPlainCluster(t, 3)
	var nodes []broker.Broker
	var feeds []broker.Feed
	for _, s := range cluster {
		b := lossy(t, s)
		nodes, feeds = append(nodes, b), append(feeds, listen(t, b, "c"))
	}
	for i, f := range feeds {
		for j, b := range nodes {
			tell(t, b, f, fmt.Sprint("known ", i, j))
		}
	}
	const each = 200
	var publishing sync.WaitGroup
	t.Cleanup(publishing.Wait)
	for i, b := range nodes {
		publishing.Go(func() {
			for n := range each {
				if _, err := b.Publish(t.Context(), broker.Message{Channel: "c", Data: fmt.Appendf(nil, "m %d %d", i, n)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for at, f := range feeds {
		next := make([]int, len(nodes))
		for total := 0; total < each*len(nodes); {
			m, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(m.Data), "m ") { // of the beginning
				continue
			}
			var i, n int
			if _, err := fmt.Sscanf(string(m.Data), "m %d %d", &i, &n); err != nil {
				t.Fatal(err)
			}
			if n != next[i] {
				t.Fatalf("node %d hears message %d of node %d, want %d", at, n, i, next[i])
			}
			next[i]++
			total++
		}
	}
}

// With lossy, the loss of a node's own server is told as it is of one server: a gap, and then the node hears again.
func TestLossyClusterTellsLostLinks(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartPlainCluster(t, 3)
	publisher, reader := lossy(t, cluster[0]), lossy(t, cluster[1])
	f := listen(t, reader, "c")
	tell(t, publisher, f, "before")
	cluster[1].Kill()
	cluster[1].Restart()
	for {
		m, err := f.Next()
		if isGap(err) {
			break
		}
		if err != nil || string(m.Data) != "before" {
			t.Fatalf("ahead of the gap: %q, %v", m.Data, err)
		}
	}
	tell(t, publisher, f, "after")
}

// What a cluster does not promise is said once it is known that the server is in one: by the node, and by Diagnose. A server that is
// in none promises everything, and lossy is not needed.
func TestLossySaysWhatIsNotPromised(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server   *natstest.Server
		severity broker.Severity
		loses    bool
	}{
		"a cluster":  {natstest.StartPlainCluster(t, 3)[0], broker.SeverityWarning, true},
		"one server": {natstest.Start(t), broker.SeverityOK, false},
	} {
		b := lossy(t, c.server)
		if said := b.(broker.Lossy).NotPromised(); said != "" {
			t.Errorf("%s: before there is a connection: %q", name, said)
		}
		if f := found(t, b)["cluster"]; f.Severity != c.severity || f.Advice == "" {
			t.Errorf("%s: %+v", name, f)
		}
		if said := b.(broker.Lossy).NotPromised(); (said != "") != c.loses {
			t.Errorf("%s: %q", name, said)
		}
	}
}

// A server says of a cluster what it does not promise, where an operator looks.
func TestLossyClusterIsSaidToOperators(t *testing.T) {
	t.Parallel()
	address := startNode(t, lossy(t, natstest.StartPlainCluster(t, 3)[0]), slog.New(slog.DiscardHandler))
	for deadline := time.Now().Add(30 * time.Second); ; {
		said := readiness(t, address)
		if strings.HasPrefix(said, "ok\nnot promised: Messages may be lost") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz says %q", said)
		}
		time.Sleep(20 * time.Millisecond) // to ask again
	}
}

// readiness returns what /readyz answers.
func readiness(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

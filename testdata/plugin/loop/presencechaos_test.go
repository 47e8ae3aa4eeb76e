package loop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"example.com/pregon-plugin/loop"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

const rooms = 5

// A stay is a member in a room, by one connection.
type stay struct {
	node          int
	room, subject string
	leave         func()
}

// Members come and go on three nodes, of which one after the other stops and is replaced: afterwards
// all nodes list who is there, and with how many connections.
func TestPresenceAmongNodesThatAreReplaced(t *testing.T) {
	t.Parallel()
	backend := loop.NewBackend()
	rng := rand.New(rand.NewPCG(13, 4))
	var nodes [3]*server.Server
	for i := range nodes {
		nodes[i] = node(t, backend)
	}
	var stays []stay
	for range 6 {
		for range 200 {
			if i := rng.IntN(60); i < len(stays) {
				stays[i].leave()
				stays = slices.Delete(stays, i, i+1)
			} else {
				stays = append(stays, join(t, nodes[:], rng))
			}
		}
		over := rng.IntN(len(nodes))
		stays = slices.DeleteFunc(stays, func(s stay) bool {
			if s.node == over { // or the node waits for it as long as it drains
				s.leave()
			}
			return s.node == over
		})
		if err := nodes[over].Close(); err != nil {
			t.Fatal(err)
		}
		nodes[over] = node(t, backend)
	}
	there := map[string]map[string]int{}
	for i := range rooms {
		there[fmt.Sprint("room.", i)] = map[string]int{}
	}
	for _, s := range stays {
		there[s.room][s.subject]++
	}
	for _, s := range nodes {
		for room, want := range there {
			lists(t, s, room, want)
		}
	}
	for _, s := range stays {
		s.leave()
	}
}

// join has a random member join a random room on a random node.
func join(t *testing.T, nodes []*server.Server, rng *rand.Rand) stay {
	t.Helper()
	s := stay{node: rng.IntN(len(nodes)), room: fmt.Sprint("room.", rng.IntN(rooms)), subject: fmt.Sprint("u", rng.IntN(30))}
	sub, err := nodes[s.node].Subscribe(t.Context(), transport.Identity{},
		transport.Subscription{Channel: s.room, Member: &transport.Member{Subject: s.subject}})
	if err != nil {
		t.Fatal(err)
	}
	s.leave = func() { sub.Close() }
	return s
}

// lists waits until a node lists who is in a room as is wanted, and calls that complete.
func lists(t *testing.T, s *server.Server, room string, want map[string]int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/presence/"+room, nil))
		var page struct {
			Members []struct {
				Sub         string
				Connections int
			}
			Complete *bool
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		got := map[string]int{}
		for _, m := range page.Members {
			got[m.Sub] = m.Connections
		}
		if page.Complete == nil && maps.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: the list is %s, want %v", room, w.Body, want)
		}
	}
}

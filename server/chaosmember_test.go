package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	mostRooms  = 4 // that a member is in at once
	backInTime = time.Second
	toldWithin = 2 * time.Second // how late an observer may be told that a member has left
)

// A presenceKey is a subject in a channel.
type presenceKey struct{ channel, subject string }

// An attendanceBook knows who is really connected.
type attendanceBook struct {
	mu    sync.Mutex
	held  map[presenceKey]int       // connections that a server has confirmed
	since map[presenceKey]time.Time // without an end that must be told
	lost  map[presenceKey]time.Time // when the last connection was
}

func newAttendanceBook() *attendanceBook {
	return &attendanceBook{held: map[presenceKey]int{}, since: map[presenceKey]time.Time{}, lost: map[presenceKey]time.Time{}}
}

// join notes that a connection is in a channel. Where another was lost a moment ago, nobody is told.
func (b *attendanceBook) join(k presenceKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[k]++; b.held[k] > 1 {
		return
	}
	if lost, was := b.lost[k]; !was || time.Since(lost) > backInTime {
		b.since[k] = time.Now()
	}
	delete(b.lost, k)
}

// end notes that a connection is in a channel no more: it has left, or it was lost.
func (b *attendanceBook) end(k presenceKey, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[k]--; b.held[k] > 0 {
		return
	}
	delete(b.held, k)
	if lost {
		b.lost[k] = time.Now()
	} else {
		delete(b.lost, k)
	}
}

// here reports whether k has been there so long that nobody may be told any more that it has left.
func (b *attendanceBook) here(k presenceKey) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held[k] > 0 && time.Since(b.since[k]) > toldWithin
}

// in returns how many connections each subject has in a channel.
func (b *attendanceBook) in(channel string) map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	there := map[string]int{}
	for k, n := range b.held {
		if k.channel == channel {
			there[k.subject] = n
		}
	}
	return there
}

// A member is a client of /live that names itself, and joins and leaves rooms.
type member struct {
	chaos   *presenceChaos
	subject string
	rng     *rand.Rand

	mu      sync.Mutex
	wants   map[string]bool // the rooms it is to be in
	in      map[string]bool // those it is in, as the server says
	pending map[string]bool // those it waits for an answer about
}

func newMember(c *presenceChaos, i int) *member {
	return &member{
		chaos: c, subject: fmt.Sprint("u", i*3/4), // of each four, two are the same
		rng:   rand.New(rand.NewPCG(uint64(i), 4)),
		wants: map[string]bool{},
	}
}

// run is connected to one node or another until ctx ends.
func (m *member) run(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, 50*time.Millisecond+m.random(200*time.Millisecond)) {
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+m.chaos.address(m.rng.IntN(presenceNodes))+"/live", nil)
		if err == nil {
			m.visit(ctx, conn)
		}
	}
}

func (m *member) random(d time.Duration) time.Duration { return time.Duration(m.rng.Int64N(int64(d))) }

// visit joins and leaves rooms until the connection ends, by the server or, now and then, by itself.
func (m *member) visit(ctx context.Context, conn *websocket.Conn) {
	unhook := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer unhook()
	m.mu.Lock()
	m.in, m.pending = map[string]bool{}, map[string]bool{}
	m.mu.Unlock()
	over := make(chan struct{})
	go func() {
		defer close(over)
		m.listen(conn)
	}()
	for stays := true; stays; {
		m.ask(conn)
		select {
		case <-over:
			stays = false
		case <-time.After(m.random(2 * m.chaos.interval)):
			stays = m.chaos.quiet.Load() || m.change()
		}
	}
	_ = conn.Close()
	<-over // what was answered counts until then
	m.lose()
}

// change wants to be in another room, or in one less. It reports false where the connection is to be
// dropped.
func (m *member) change() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	room := m.chaos.rooms[m.rng.IntN(len(m.chaos.rooms))]
	if m.rng.IntN(mostRooms) < len(m.wants) {
		for room = range m.wants {
			break
		}
	}
	if m.wants[room] {
		delete(m.wants, room)
	} else {
		m.wants[room] = true
	}
	return m.rng.IntN(8) > 0
}

// ask sends the commands for which it does not wait already.
func (m *member) ask(conn *websocket.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, room := range m.chaos.rooms {
		command := ""
		switch {
		case m.pending[room] || m.wants[room] == m.in[room]:
			continue
		case m.wants[room]:
			command = fmt.Sprintf(`{"type":"subscribe","ref":%q,"channel":%q,"member":{"sub":%q}}`, room, room, m.subject)
		default:
			command = fmt.Sprintf(`{"type":"unsubscribe","ref":%q,"channel":%q}`, room, room)
			m.chaos.book.end(presenceKey{room, m.subject}, false)
			delete(m.in, room)
		}
		m.pending[room] = true
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		_ = conn.WriteMessage(websocket.TextMessage, []byte(command)) // what is wrong, listen sees
	}
}

// listen hears the answers until the connection ends.
func (m *member) listen(conn *websocket.Conn) {
	for {
		var a struct {
			Type, Channel string
			Ref           json.RawMessage
		}
		if conn.ReadJSON(&a) != nil {
			return
		}
		m.hear(a.Type, a.Channel, string(a.Ref))
	}
}

func (m *member) hear(kind, room, ref string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch kind {
	case "subscribed":
		m.in[room] = true
		m.chaos.book.join(presenceKey{room, m.subject})
	case "unsubscribed":
		if m.in[room] { // nobody asked for it
			m.chaos.book.end(presenceKey{room, m.subject}, false)
		}
		delete(m.in, room)
	case "error": // it asks again
		_ = json.Unmarshal([]byte(ref), &room)
	default:
		return
	}
	delete(m.pending, room)
}

// lose notes that the connection is over.
func (m *member) lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for room := range m.in {
		m.chaos.book.end(presenceKey{room, m.subject}, true)
	}
	m.in = map[string]bool{}
}

// isSettled reports whether the member is where it is to be.
func (m *member) isSettled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pending) == 0 && maps.Equal(m.wants, m.in)
}

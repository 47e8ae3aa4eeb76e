package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// An observer follows the lists of all rooms on one node.
type observer struct {
	chaos *presenceChaos
	node  int

	mu    sync.Mutex
	lists map[string]*roster
	wrong []string
	left  int // members of which it was told that they have left
}

// A roster is the list that an observer has of one room.
type roster struct {
	members  map[string]bool // nil until there is one
	complete bool
	page     map[string]bool // those of the pages so far
}

// run observes until ctx ends. With each connection it begins anew.
func (o *observer) run(ctx context.Context) {
	for ; ctx.Err() == nil; between(ctx) {
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+o.chaos.address(o.node)+"/live", nil)
		if err != nil {
			continue
		}
		unhook := context.AfterFunc(ctx, func() { _ = conn.Close() })
		o.listen(ctx, conn)
		unhook()
		_ = conn.Close()
	}
}

func (o *observer) subscribe(conn *websocket.Conn, room string) {
	_ = conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"subscribe","ref":%q,"channel":%q,"presence":true}`, room, room))
}

// A toldOfMembers is what an observer reads.
type toldOfMembers struct {
	Type, Channel string
	Ref           json.RawMessage
	Members       []struct {
		Sub         string
		Connections int
	}
	Count    int
	More     bool
	Complete *bool
	Joined   []struct{ Sub string }
	Left     []string
}

func (o *observer) listen(ctx context.Context, conn *websocket.Conn) {
	o.mu.Lock()
	o.lists = map[string]*roster{}
	o.mu.Unlock()
	for _, room := range o.chaos.rooms {
		o.subscribe(conn, room)
	}
	for {
		var a toldOfMembers
		if conn.ReadJSON(&a) != nil {
			return
		}
		if a.Type == "error" { // the broker is away
			room := ""
			_ = json.Unmarshal(a.Ref, &room)
			pause(ctx, 100*time.Millisecond)
			o.subscribe(conn, room)
			continue
		}
		o.hear(a)
	}
}

// hear takes in a page or a change.
func (o *observer) hear(a toldOfMembers) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lists[a.Channel]
	if l == nil {
		l = &roster{page: map[string]bool{}}
		o.lists[a.Channel] = l
	}
	switch a.Type {
	case "members":
		for _, m := range a.Members {
			l.page[m.Sub] = true
		}
		if !a.More {
			l.members, l.complete, l.page = l.page, a.Complete == nil || *a.Complete, map[string]bool{}
		}
	case "presence":
		if l.members == nil || len(l.page) > 0 {
			o.failf("%s: a change comes before the list, or between its pages", a.Channel)
			return
		}
		for _, m := range a.Joined {
			l.members[m.Sub] = true
		}
		for _, subject := range a.Left {
			o.leave(l, presenceKey{a.Channel, subject})
		}
	}
}

func (o *observer) leave(l *roster, k presenceKey) {
	o.left++
	if !l.members[k.subject] {
		o.failf("%s: %s has left, and was not there", k.channel, k.subject)
	}
	delete(l.members, k.subject)
	if !o.chaos.faulty.Load() && o.chaos.book.here(k) {
		o.failf("%s: without a fault %s is said to have left, and is there", k.channel, k.subject)
	}
}

func (o *observer) failf(format string, args ...any) {
	if len(o.wrong) < 5 {
		o.wrong = append(o.wrong, fmt.Sprintf("an observer on node %d: ", o.node)+fmt.Sprintf(format, args...))
	}
}

// claims returns how many lists the observer has that are complete.
func (o *observer) claims() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lists {
		if l.members != nil && l.complete {
			n++
		}
	}
	return n
}

// check returns what is wrong with the list of a room, whose members are these.
func (o *observer) check(room string, there map[string]int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lists[room]
	if l == nil || l.members == nil {
		return errors.New("there is no list")
	}
	want := map[string]bool{}
	for subject := range there {
		want[subject] = true
	}
	if !maps.Equal(l.members, want) {
		return fmt.Errorf("the list is %v, complete: %v, and there are %v", l.members, l.complete, want)
	}
	if !l.complete {
		return errors.New("the list is not complete")
	}
	return nil
}

// checkList returns what is wrong with what a node answers who is in a room.
func checkList(address, room string, there map[string]int) error {
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + address + "/presence/" + room + "?limit=500")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var a toldOfMembers
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %v", resp.Status, err)
	}
	got := map[string]int{}
	for _, m := range a.Members {
		got[m.Sub] = m.Connections
	}
	if a.Complete != nil || a.More || a.Count != len(there) || !maps.Equal(got, there) {
		return fmt.Errorf("the list is %v, count %d, complete: %v, and there are %v", got, a.Count, a.Complete == nil, there)
	}
	return nil
}

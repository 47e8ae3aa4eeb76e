package presence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/presence"
	"github.com/pregon/pregon/transport"
)

func join(t *testing.T, e *presence.Engine, channel, subject string) func(lost bool) {
	t.Helper()
	leave, err := e.Join(channel, transport.Member{Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

// is returns who is in a channel, with their connections, and "?" where that may not be all.
func is(e *presence.Engine, channel string) string {
	m := e.Members(channel, transport.MembersQuery{})
	words := []string{}
	for _, one := range m.Members {
		words = append(words, fmt.Sprintf("%s%s*%d", one.Subject, one.Info, one.Connections))
	}
	if m.Incomplete {
		words = append(words, "?")
	}
	return strings.Join(words, " ")
}

func wants(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// A member is there with its first connection and leaves with its last, on all nodes: at once where
// it unsubscribes, and after two seconds where its connection is lost and it does not come back.
func TestMembersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, _ := settled(t, 2)
		defer closeAll(e)
		ann := join(t, e[0], "room", "ann")
		ann2 := join(t, e[0], "room", "ann")
		bob := join(t, e[1], "room", "bob")
		annThere := join(t, e[1], "room", "ann")
		wants(t, "at once here", is(e[0], "room"), "ann*2")
		time.Sleep(time.Second)
		for i := range e {
			wants(t, fmt.Sprint("node ", i), is(e[i], "room"), "ann*3 bob*1")
		}
		bob(false)
		ann(true)
		wants(t, "unsubscribed", is(e[1], "room"), "ann*3")
		time.Sleep(time.Second)
		wants(t, "lost, one of two", is(e[1], "room"), "ann*2")
		ann2(true)
		annThere(false)
		time.Sleep(time.Second)
		wants(t, "lost, the last", is(e[1], "room"), "ann*1")
		time.Sleep(2 * time.Second)
		wants(t, "gone", is(e[1], "room"), "")
		wants(t, "gone", is(e[0], "room"), "")
		leave := join(t, e[0], "room", "ann")
		leave(true)
		time.Sleep(1500 * time.Millisecond)
		back := join(t, e[0], "room", "ann")
		time.Sleep(5 * time.Second)
		wants(t, "back in time", is(e[1], "room"), "ann*1")
		back(false)
		if s := e[1].Stats(); s.Nodes != 2 || s.Rejected != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Observers are told the list first and then what changes, joined for a time: who comes and goes in
// between is not told of, and no one is told to have left who only went from one node to another.
func TestObserversAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, _ := settled(t, 2)
		defer closeAll(e)
		ann := join(t, e[0], "room", "ann")
		time.Sleep(time.Second)
		v, stop := watch(e[1], "room")
		time.Sleep(time.Second)
		wants(t, "first", v.take(), "members 1 of 1, more false, complete true")
		join(t, e[0], "room", "brief")(false)
		bob := join(t, e[1], "room", "bob")
		join(t, e[1], "room", "cid")
		time.Sleep(time.Second)
		wants(t, "changes", v.take(), "joined [bob cid] left []")
		ann(true)
		bob(false)
		join(t, e[1], "room", "ann")
		time.Sleep(4 * time.Second)
		wants(t, "to another node", v.take(), "joined [] left [bob]")
		if _, err := e[0].Join("room", transport.Member{Subject: "cid", Info: json.RawMessage(`{ "n": 1 }`)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		wants(t, "an update", v.take(), "joined [cid] left []")
		wants(t, "its info", is(e[1], "room"), `ann*1 cid{"n":1}*2`)
		stop()
		join(t, e[0], "room", "dan")
		time.Sleep(time.Second)
		wants(t, "after stop", v.take(), "")
	})
}

// A new node calls no list complete in its first five seconds, and tells its observers when it does.
func TestNewNodeIsNotSure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e, _ := settled(t, 1)
		join(t, e[0], "room", "ann")
		late, _ := b.engine()
		defer closeAll(append(e, late))
		v, _ := watch(late, "room")
		time.Sleep(100 * time.Millisecond)
		time.Sleep(4500 * time.Millisecond)
		wants(t, "before its time", is(late, "room"), "ann*1 ?")
		time.Sleep(time.Second)
		wants(t, "then", is(late, "room"), "ann*1")
		if got := v.take(); !strings.Contains(got, "complete false; ") || !strings.HasSuffix(got, "; members 1 of 1, more false, complete true") {
			t.Errorf("told %q", got)
		}
	})
}

// The members of a node that dies have left within ten seconds, and those of one that stops after the
// time in which they can come back. Before, the list is said not to be complete where it is not known.
func TestNodesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, ports := settled(t, 3)
		defer e[0].Close()
		defer e[2].Close()
		join(t, e[1], "room", "ann")
		join(t, e[2], "room", "bob")
		v, _ := watch(e[0], "room")
		time.Sleep(time.Second)
		v.take()
		e[1].Close()
		time.Sleep(time.Second)
		wants(t, "just after it stops", is(e[0], "room"), "ann*1 bob*1")
		time.Sleep(2 * time.Second)
		wants(t, "stopped", v.take(), "joined [] left [ann]")
		ports[2].cutLink(true)
		time.Sleep(5 * time.Second)
		wants(t, "silent", is(e[0], "room"), "bob*1 ?")
		time.Sleep(5 * time.Second)
		wants(t, "dead", is(e[0], "room"), "")
		wants(t, "the dead one knows that it is not heard", is(e[2], "room"), "bob*1 ?")
		if got := v.take(); !strings.HasPrefix(got, "members 1 of 1, more false, complete false; ") || !strings.HasSuffix(got, "members 0 of 0, more false, complete true") {
			t.Errorf("told %q", got)
		}
	})
}

// A node whose own link is down gives nobody up, says that it may not know all, and tells the lists
// again when it does.
func TestOwnLinkIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, ports := settled(t, 2)
		defer closeAll(e)
		join(t, e[1], "room", "ann")
		v, _ := watch(e[0], "room")
		time.Sleep(time.Second)
		v.take()
		ports[0].cutLink(true)
		time.Sleep(20 * time.Second)
		wants(t, "down", v.take(), "members 1 of 1, more false, complete false")
		bob := join(t, e[1], "room", "bob")
		ports[0].cutLink(false)
		time.Sleep(5 * time.Second)
		wants(t, "up", is(e[0], "room"), "ann*1 bob*1")
		if got := v.take(); !strings.HasSuffix(got, "members 2 of 2, more false, complete true") {
			t.Errorf("told %q", got)
		}
		bob(false)
		time.Sleep(time.Second)
		wants(t, "changes", v.take(), "joined [] left [bob]")
	})
}

// What was lost on the way is found out by the next beat, and told as a whole list.
func TestHolesAreToldAsLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e, _ := settled(t, 2)
		defer closeAll(e)
		v, _ := watch(e[1], "room")
		other, _ := watch(e[1], "other")
		time.Sleep(time.Second)
		v.take()
		other.take()
		b.losing(func() bool { return true })
		join(t, e[0], "room", "ann")
		time.Sleep(200 * time.Millisecond)
		b.losing(nil)
		time.Sleep(5 * time.Second)
		wants(t, "told", v.take(), "members 1 of 1, more false, complete true")
		wants(t, "told of another channel", other.take(), "")
	})
}

// Who cannot be a member is none, and the error does not say who it was.
func TestBadMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, _ := settled(t, 1)
		defer closeAll(e)
		for _, m := range []transport.Member{
			{}, {Subject: strings.Repeat("x", 256)}, {Subject: "bad\xff"}, {Subject: "bad\n"}, {Subject: "bad\u202e"},
			{Subject: "bad", Info: json.RawMessage(`{`)},
			{Subject: "bad", Info: json.RawMessage("\"\xff\"")},
			{Subject: "bad", Info: json.RawMessage(`"` + strings.Repeat("x", 1<<10) + `"`)},
		} {
			_, err := e[0].Join("room", m)
			misnamed, said := errors.AsType[*transport.MemberError](err)
			if !errors.Is(err, transport.ErrMember) || !said || misnamed.Detail == "" || strings.Contains(err.Error(), "bad") {
				t.Errorf("%+v: %v", m, err)
			}
		}
		wants(t, "nobody", is(e[0], "room"), "")
	})
}

// Pages are in the order of bytes, each begins behind a subject, and none has more than 500.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, _ := settled(t, 1)
		defer closeAll(e)
		for i := range 1200 {
			join(t, e[0], "room", fmt.Sprintf("u%04d", i))
		}
		for _, c := range []struct {
			query transport.MembersQuery
			first string
			n     int
			more  bool
		}{
			{transport.MembersQuery{}, "u0000", 500, true},
			{transport.MembersQuery{Limit: 10000}, "u0000", 500, true},
			{transport.MembersQuery{After: "u0499", Limit: 2}, "u0500", 2, true},
			{transport.MembersQuery{After: "u0999x"}, "u1000", 200, false},
			{transport.MembersQuery{After: "u1199"}, "", 0, false},
		} {
			m := e[0].Members("room", c.query)
			if len(m.Members) != c.n || m.More != c.more || m.Count != 1200 || c.n > 0 && m.Members[0].Subject != c.first {
				t.Errorf("%+v: %d of %d, more %v", c.query, len(m.Members), m.Count, m.More)
			}
		}
	})
}

// A node that goes by another configuration is logged once, and counted while it does.
func TestConfigurationsAreCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, said := &bus{}, &strings.Builder{}
		var config atomic.Pointer[string]
		one, two := "one", "two"
		config.Store(&one)
		logger := slog.New(slog.NewTextHandler(said, nil))
		e := presence.New(presence.Options{Bus: b.port(), Logger: logger, Config: func() string { return "one" }})
		other := presence.New(presence.Options{Bus: b.port(), Logger: quiet, Config: func() string { return *config.Load() }})
		without, _ := b.engine()
		defer closeAll([]*presence.Engine{e, other, without})
		differing := func() int { time.Sleep(10 * time.Second); return e.Stats().Differently }
		if n := differing(); n != 0 || said.Len() > 0 {
			t.Errorf("%d differ: %s", n, said)
		}
		config.Store(&two)
		if n := differing(); n != 1 || strings.Count(said.String(), "configuration") != 1 {
			t.Errorf("%d differ: %s", n, said)
		}
		config.Store(&one)
		if n := differing(); n != 0 {
			t.Errorf("%d differ", n)
		}
	})
}

package presence_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/presence"
	"github.com/pregon/pregon/transport"
)

const crowd = 10_000

// since returns how many messages were published since the call of it, and how long they are.
func (b *bus) since() func() (messages, bytes, longest int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := len(b.said)
	return func() (messages, bytes, longest int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, data := range b.said[from:] {
			bytes += len(data)
			longest = max(longest, len(data))
		}
		return len(b.said) - from, bytes, longest
	}
}

// Ten thousand that join at once, and leave at once, are told in few messages of bounded length; those
// that come and go before it is their turn are not told of at all. Where nothing happens there are beats only.
func TestCrowdIsToldInFewMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e, _ := settled(t, 3)
		defer closeAll(e)
		info := json.RawMessage(fmt.Sprintf(`{"name":%q}`, strings.Repeat("n", 40)))
		leaves := make([]func(bool), crowd)
		told := b.since()
		for i := range leaves {
			leaves[i], _ = e[0].Join("room", transport.Member{Subject: fmt.Sprintf("user-%d", i), Info: info})
		}
		for i := range crowd {
			join(t, e[0], "room", fmt.Sprint("brief-", i))(false)
		}
		time.Sleep(2 * time.Second)
		for i := range e {
			if n := e[i].Members("room", transport.MembersQuery{}).Count; n != crowd {
				t.Errorf("node %d has %d", i, n)
			}
		}
		messages, bytes, longest := told()
		if messages > 60 || bytes > crowd*200 || longest > 64<<10 {
			t.Errorf("%d messages of %d bytes, the longest of %d", messages, bytes, longest)
		}
		told = b.since()
		for _, leave := range leaves {
			leave(true)
		}
		time.Sleep(5 * time.Second)
		if messages, bytes, _ := told(); messages > 80 || bytes > 2*crowd*200 || e[2].Members("room", transport.MembersQuery{}).Count != 0 {
			t.Errorf("%d messages of %d bytes tell that all have left", messages, bytes)
		}
		told = b.since()
		time.Sleep(time.Minute)
		if messages, bytes, _ := told(); messages > 3*32 || bytes > messages<<10 {
			t.Errorf("%d messages of %d bytes in a minute in which nothing happens", messages, bytes)
		}
	})
}

// What a node publishes in a second is bounded, however long the infos are, and all is told in the end:
// by changes, and to a node that comes later by parts.
func TestLongInfosAreToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e, _ := settled(t, 1)
		info := json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
		told := b.since()
		for i := range crowd {
			if _, err := e[0].Join("room", transport.Member{Subject: fmt.Sprint("u", i), Info: info}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if messages, bytes, longest := told(); messages > 60 || bytes > 4<<20 || longest > 64<<10 {
			t.Errorf("%d messages of %d bytes in a second, the longest of %d", messages, bytes, longest)
		}
		time.Sleep(9 * time.Second)
		late, _ := b.engine()
		defer closeAll(append(e, late))
		v, _ := watch(late, "room")
		time.Sleep(30 * time.Second)
		list, _, complete, wrong := v.look()
		if len(list) != crowd || !complete || len(wrong) > 0 {
			t.Errorf("an observer knows %d, complete %v; %q", len(list), complete, wrong)
		}
	})
}

// A long list is told in pages, so many bytes at a time, while members come and go; above a thousand
// members changes are told as counts, and below by name again, behind the whole list.
func TestLongListsAreToldInPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, _ := settled(t, 2)
		defer closeAll(e)
		leaves := map[string]func(bool){}
		info := json.RawMessage(`"` + strings.Repeat("x", 900) + `"`)
		for i := range 2000 {
			name := fmt.Sprint("u", i)
			leaves[name], _ = e[0].Join("room", transport.Member{Subject: name, Info: info})
		}
		time.Sleep(5 * time.Second)
		perTurn, turn := 0, time.Now()
		v := &viewer{}
		e[1].Observe("room", func(n *presence.Event) {
			if time.Since(turn) > 100*time.Millisecond {
				turn, perTurn = time.Now(), 0
			}
			if perTurn += len(n.Encode(jsonText{})); perTurn > 400<<10 {
				t.Errorf("%d bytes in a turn", perTurn)
			}
			v.hear(n)
		})
		for i := range 100 {
			join(t, e[1], "room", fmt.Sprint("late", i))
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		if _, count, _, wrong := v.look(); count != 2100 || len(wrong) > 0 {
			t.Errorf("told %d: %q", count, wrong)
		}
		for name, leave := range leaves {
			leave(false)
			delete(leaves, name)
			if len(leaves) == 500 {
				break
			}
		}
		time.Sleep(10 * time.Second)
		list, count, _, wrong := v.look()
		if len(list) != 600 || count != 0 || len(wrong) > 0 {
			t.Errorf("knows %d, told %d: %q", len(list), count, wrong)
		}
		v.take()
		for name, leave := range leaves {
			leave(false)
			time.Sleep(time.Second)
			wants(t, "by name again", v.take(), fmt.Sprintf("joined [] left [%s]", name))
			break
		}
	})
}

// jsonText is the json format alone.
type jsonText struct{ transport.Encoding }

func (jsonText) Members(m transport.Members) []byte {
	format, _ := transport.FormatByName("json")
	text, _ := format.AppendMembers(nil, m)
	return text
}

func (jsonText) Presence(p transport.Presence) []byte {
	format, _ := transport.FormatByName("json")
	text, _ := format.AppendPresence(nil, p)
	return text
}

// What all observers of a channel are told is encoded once for each encoding.
func TestEventsAreEncodedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e, _ := settled(t, 1)
		defer closeAll(e)
		var encoded []*byte
		events := map[*presence.Event]bool{} // the list may be told in two, as some observers come later
		for range 100 {
			e[0].Observe("room", func(n *presence.Event) {
				events[n] = true
				encoded = append(encoded, &n.Encode(jsonText{})[0])
			})
		}
		time.Sleep(time.Second)
		join(t, e[0], "room", "ann")
		time.Sleep(time.Second)
		synctest.Wait()
		different := map[*byte]bool{}
		for _, at := range encoded {
			different[at] = true
		}
		if len(encoded) != 200 || len(different) != len(events) || len(events) > 3 {
			t.Errorf("%d of %d events, encoded %d times", len(encoded), len(events), len(different))
		}
		if got := (&presence.Event{Members: &transport.Members{}}).Encode(nil); got != nil {
			t.Errorf("an encoding without words for it: %q", got)
		}
	})
}

package presence_test

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/pregon/pregon/server/presence"
	"github.com/pregon/pregon/transport"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// A viewer is a client that is told who is in a channel, and keeps the list as the contract says.
type viewer struct {
	mu       sync.Mutex
	list     map[string]string // info by subject
	next     map[string]string // of pages that have come
	complete bool
	count    int // where it is told counts, otherwise 0
	events   []string
	wrong    []string // what must not have come
	left     func(subject string)
}

func watch(e *presence.Engine, channel string) (*viewer, func()) {
	v := &viewer{}
	return v, e.Observe(channel, v.hear)
}

func (v *viewer) hear(e *presence.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e.Members != nil {
		v.page(*e.Members)
	} else {
		v.change(*e.Presence)
	}
}

func (v *viewer) page(m transport.Members) {
	v.log("members %d of %d, more %v, complete %v", len(m.Members), m.Count, m.More, !m.Incomplete)
	if v.next == nil {
		v.next = map[string]string{}
	}
	for _, one := range m.Members {
		v.next[one.Subject] = string(one.Info)
	}
	if len(m.Members) > transport.MaxMembers {
		v.fault("a page of %d", len(m.Members))
	}
	if m.More {
		return
	}
	if len(v.next) != m.Count {
		v.fault("%d members of %d", len(v.next), m.Count)
	}
	v.list, v.next, v.complete, v.count = v.next, nil, !m.Incomplete, 0
}

func (v *viewer) change(p transport.Presence) {
	if p.Count > 0 {
		v.log("count %d", p.Count)
		v.count = p.Count
	} else {
		names := []string{}
		for _, m := range p.Joined {
			names = append(names, m.Subject)
		}
		slices.Sort(names)
		slices.Sort(p.Left)
		v.log("joined %v left %v", names, p.Left)
	}
	if v.list == nil || v.next != nil {
		v.fault("a change where a page was due")
		return
	}
	if v.count > 0 && (len(p.Joined) > 0 || len(p.Left) > 0) {
		v.fault("a change by name beside counts")
	}
	for _, subject := range p.Left {
		if _, there := v.list[subject]; !there {
			v.fault("%s has left and was not there", subject)
		}
		delete(v.list, subject)
		if v.left != nil {
			v.left(subject)
		}
	}
	for _, m := range p.Joined {
		if info, there := v.list[m.Subject]; there && info == string(m.Info) {
			v.fault("%s has joined and was there", m.Subject)
		}
		v.list[m.Subject] = string(m.Info)
	}
}

func (v *viewer) log(format string, args ...any) {
	v.events = append(v.events, fmt.Sprintf(format, args...))
}
func (v *viewer) fault(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// take returns what came since the last call.
func (v *viewer) take() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	events := strings.Join(append(v.events, v.wrong...), "; ")
	v.events, v.wrong = nil, nil
	return events
}

// look returns the list, and whether it is said to be complete.
func (v *viewer) look() (list map[string]string, count int, complete bool, wrong []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.list), v.count, v.complete, v.wrong
}

package presence_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/server/presence"
	"github.com/pregon/pregon/transport"
)

// Whoever comes and goes and whatever happens to the nodes and what they say: a node knows its own
// members at any time; once nothing has happened for some time all lists are what is connected, or
// are said not to be complete; and observers know what they were told is true, or that it may not be.
// Without faults nobody is told to have left who has not.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seed := rapid.Uint64().Draw(r, "seed")
		steps := rapid.IntRange(1, 60).Draw(r, "steps")
		faults := rapid.Bool().Draw(r, "faults")
		var wrong []string
		synctest.Test(t, func(*testing.T) { wrong = playModel(seed, steps, faults) })
		if len(wrong) > 0 {
			r.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

// A connection is one that a model has made.
type connection struct {
	node             int
	channel, subject string
	leave            func(lost bool)
}

// A model is some nodes, what is connected to them, and who looks.
type model struct {
	*rand.Rand
	bus         *bus
	engines     []*presence.Engine
	ports       []*port
	dead        []bool
	goOn        []func() // of nodes that are stopped
	connections []connection
	viewers     map[*viewer]viewed
	faults      bool
	wrong       []string

	mu    sync.Mutex
	since map[string]time.Time // by channel and subject, of those that are connected: since when
}

type viewed struct {
	node    int
	channel string
}

const modelNodes = 3

var modelChannels = []string{"a", "b", "c"}

func playModel(seed uint64, steps int, faults bool) []string {
	m := &model{Rand: rand.New(rand.NewPCG(seed, 0)), bus: &bus{}, viewers: map[*viewer]viewed{}, since: map[string]time.Time{}, faults: faults}
	for range modelNodes {
		m.start()
	}
	time.Sleep(6 * time.Second)
	for range steps {
		m.step()
		m.checkOwn()
		time.Sleep(m.pause())
	}
	m.heal()
	time.Sleep(3 * time.Second) // until lost connections have left
	for _, after := range []time.Duration{9 * time.Second, 0, 5 * time.Second} {
		time.Sleep(after) // nodes that were killed are dead by then
		m.checkAll()
	}
	for _, e := range m.engines {
		e.Close()
	}
	return m.wrong
}

func (m *model) start() {
	e, p := m.bus.engine()
	m.engines, m.ports, m.dead, m.goOn = append(m.engines, e), append(m.ports, p), append(m.dead, false), append(m.goOn, nil)
}

func (m *model) pause() time.Duration {
	return []time.Duration{0, 50 * time.Millisecond, time.Second, 3 * time.Second, 11 * time.Second}[m.IntN(5)]
}

func (m *model) step() {
	switch m.IntN(12) {
	case 0, 1, 2, 3:
		m.join()
	case 4, 5:
		m.leave()
	case 6:
		m.watch()
	default:
		if m.faults {
			m.fault(m.IntN(len(m.engines)))
		}
	}
}

func (m *model) join() {
	c := connection{node: m.IntN(len(m.engines)), channel: modelChannels[m.IntN(3)], subject: fmt.Sprint("u", m.IntN(5))}
	if m.dead[c.node] {
		return
	}
	info := json.RawMessage(fmt.Sprintf(`{"u":%q}`, c.subject))
	c.leave, _ = m.engines[c.node].Join(c.channel, transport.Member{Subject: c.subject, Info: info})
	m.connections = append(m.connections, c)
	m.noteSince(c)
}

// noteSince notes since when the member of a connection that came or went is there.
func (m *model) noteSince(c connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, n := c.channel+" "+c.subject, m.connected(c.channel, -1)[c.subject]
	switch at := m.since[name]; {
	case n == 0:
		delete(m.since, name)
	case at.IsZero():
		m.since[name] = time.Now()
	}
}

// checkLeft looks whether somebody who is said to have left was not connected lately.
func (m *model) checkLeft(channel, subject string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, connected := m.since[channel+" "+subject]; connected && !m.faults && time.Since(at) > 500*time.Millisecond {
		m.wrong = append(m.wrong, fmt.Sprintf("%s has left %s, but is connected for %v", subject, channel, time.Since(at)))
	}
}

func (m *model) leave() {
	if len(m.connections) == 0 {
		return
	}
	i := m.IntN(len(m.connections))
	c := m.connections[i]
	m.connections = slices.Delete(m.connections, i, i+1)
	m.noteSince(c)
	c.leave(m.IntN(2) == 0)
}

func (m *model) watch() {
	at := viewed{m.IntN(len(m.engines)), modelChannels[m.IntN(3)]}
	if m.dead[at.node] {
		return
	}
	v := &viewer{left: func(subject string) { m.checkLeft(at.channel, subject) }}
	m.engines[at.node].Observe(at.channel, v.hear)
	m.viewers[v] = at
}

// fault does something to a node.
func (m *model) fault(i int) {
	p := m.ports[i]
	if m.dead[i] {
		return
	}
	switch m.IntN(7) {
	case 0:
		p.cutLink(m.IntN(2) == 0)
	case 1:
		mute := m.IntN(2) == 0
		p.set(func(p *port) { p.mute = mute })
	case 2:
		deaf := m.IntN(2) == 0
		p.set(func(p *port) { p.deaf = deaf })
	case 3:
		lose := m.IntN(3)
		m.bus.losing(func() bool { return rand.IntN(3) < lose })
	case 4:
		m.bus.again(m.IntN)
	case 5:
		if m.goOn[i] == nil {
			m.goOn[i] = p.stopped()
		} else {
			m.goOn[i]()
			m.goOn[i] = nil
		}
	case 6:
		m.kill(i)
	}
}

// kill has a node die, and another one start.
func (m *model) kill(i int) {
	m.dead[i] = true
	m.ports[i].set(func(p *port) { p.cut = true })
	m.connections = slices.DeleteFunc(m.connections, func(c connection) bool { return c.node == i })
	maps.DeleteFunc(m.viewers, func(_ *viewer, at viewed) bool { return at.node == i })
	m.start()
}

// heal ends all faults but deaths.
func (m *model) heal() {
	m.bus.losing(nil)
	for i, p := range m.ports {
		if m.goOn[i] != nil {
			m.goOn[i]()
			m.goOn[i] = nil
		}
		if !m.dead[i] {
			p.set(func(p *port) { p.cut, p.mute, p.deaf = false, false, false })
		}
	}
}

// connected returns how many connections each member of a channel has, at one node or, where that is
// negative, at all.
func (m *model) connected(channel string, node int) map[string]int {
	n := map[string]int{}
	for _, c := range m.connections {
		if c.channel == channel && (node < 0 || c.node == node) {
			n[c.subject]++
		}
	}
	return n
}

// checkOwn looks whether each node knows who is connected to it.
func (m *model) checkOwn() {
	for i, e := range m.engines {
		for _, channel := range modelChannels {
			there := map[string]int{}
			for _, one := range e.Members(channel, transport.MembersQuery{}).Members {
				there[one.Subject] = one.Connections
			}
			for subject, n := range m.connected(channel, i) {
				if there[subject] < n {
					m.fail("node %d does not know %d connections of %s in %s, but %d", i, n, subject, channel, there[subject])
				}
			}
		}
	}
}

// checkAll looks whether all nodes know who is connected to all, and all observers.
func (m *model) checkAll() {
	for i, e := range m.engines {
		for _, channel := range modelChannels {
			if m.dead[i] {
				continue
			}
			page := e.Members(channel, transport.MembersQuery{})
			there := map[string]int{}
			for _, one := range page.Members {
				there[one.Subject] = one.Connections
			}
			if want := m.connected(channel, -1); page.Incomplete || !maps.Equal(there, want) {
				m.fail("node %d has %v in %s, incomplete %v; connected are %v", i, there, channel, page.Incomplete, want)
			}
		}
	}
	for v, at := range m.viewers {
		list, _, complete, wrong := v.look()
		want := m.connected(at.channel, -1)
		for subject := range want {
			if want, got := fmt.Sprintf(`{"u":%q}`, subject), list[subject]; got != want {
				m.fail("an observer at node %d has %q of %s in %s: %v", at.node, got, subject, at.channel, v.events)
			}
		}
		if !complete || len(list) != len(want) || len(wrong) > 0 {
			m.fail("an observer at node %d has %v in %s, complete %v; connected are %v; %q: %v", at.node, list, at.channel, complete, want, wrong, v.events)
		}
	}
}

func (m *model) fail(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
}

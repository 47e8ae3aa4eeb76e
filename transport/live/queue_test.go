package live_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/transport/live"
)

// A modelled command is one that the model knows, in the order in which they came.
type modelled struct {
	kind, channel string
	begun, done   bool
	group         int // with which it has begun
}

// A queueModel is the queue as the rules have it: it says for each command whether it has to have begun.
type queueModel struct {
	t        *rapid.T
	queue    live.Queue
	commands []*modelled
	known    []*live.Command // the same
	running  [][]*live.Command
	groups   int
}

// began checks what begins: each command once, and none ahead of what it must wait for.
func (m *queueModel) began(started [][]*live.Command) {
	for _, group := range started {
		m.groups++
		for _, c := range group {
			i := slices.IndexFunc(m.known, func(k *live.Command) bool { return *k == *c })
			begun := m.commands[i]
			if begun.begun {
				m.t.Fatalf("command %d begins twice", i)
			}
			begun.begun, begun.group = true, m.groups
			if len(group) > 1 && begun.kind != "publish" {
				m.t.Fatalf("a %s is done together with others", begun.kind)
			}
		}
		m.running = append(m.running, group)
	}
	for i, c := range m.commands {
		if want := m.mayHaveBegun(i); c.begun != want {
			m.t.Fatalf("command %d of %s on %q: has begun is %v, want %v", i, c.kind, c.channel, c.begun, want)
		}
	}
}

// mayHaveBegun reports whether command i has begun, where the rules say so: all that may begin does.
func (m *queueModel) mayHaveBegun(i int) bool {
	c := m.commands[i]
	if c.done {
		return true
	}
	for _, before := range m.commands[:i] {
		switch {
		case before.done:
		case before.kind == "renew" || c.kind == "renew":
			return false
		case before.channel == c.channel && !(before.begun && c.begun && before.group == c.group):
			return false
		}
	}
	return c.kind != "publish" || c.begun || !m.publishing()
}

func (m *queueModel) publishing() bool {
	return slices.ContainsFunc(m.commands, func(c *modelled) bool { return c.kind == "publish" && c.begun && !c.done })
}

func (m *queueModel) add(kind, channel string) {
	if kind == "renew" {
		channel = ""
	}
	c := live.NewCommand(kind, channel)
	m.commands = append(m.commands, &modelled{kind: kind, channel: channel})
	m.known = append(m.known, c)
	m.began(m.queue.Add(c))
}

func (m *queueModel) finish(at int) {
	group := m.running[at]
	m.running = slices.Delete(m.running, at, at+1)
	for _, c := range group {
		m.commands[slices.IndexFunc(m.known, func(k *live.Command) bool { return *k == *c })].done = true
	}
	m.began(m.queue.Done(group))
}

// Whatever comes and whatever is done when: commands on one channel begin in their order, and
// otherwise as soon as they may; publications that wait begin together; a renew is alone; and each command
// begins once.
func TestQueue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &queueModel{t: t}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if len(m.running) > 0 && rapid.Bool().Draw(t, "finish") {
				m.finish(rapid.IntRange(0, len(m.running)-1).Draw(t, "which"))
				continue
			}
			m.add(rapid.SampledFrom([]string{"publish", "publish", "publish", "subscribe", "unsubscribe", "members", "renew"}).Draw(t, "kind"),
				rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "channel"))
		}
		for len(m.running) > 0 {
			m.finish(0)
		}
		if m.queue.Len() > 0 {
			t.Fatalf("%d commands are left", m.queue.Len())
		}
	})
}

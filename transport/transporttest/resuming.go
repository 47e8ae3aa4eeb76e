package transporttest

import (
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// foreign is a position that the broker has not given.
var foreign = broker.Position{Epoch: 1, Seq: 1}

// resume publishes five messages to channel a, and asks to continue behind the second.
func (f *fixture) resume() []transport.Subscription {
	var second broker.Position
	for i, text := range numbers("", 5) {
		if p := f.publish("a", text); i == 1 {
			second = p
		}
	}
	return from("a", transport.Start{Since: true, After: second})
}

func testRecovered(f *fixture) {
	tells := f.tellsUnrecovered()
	p := f.dial(f.resume())
	f.publish("a", "6")
	e := p.event()
	if e.Kind == Subscribed {
		if !e.Recovered {
			f.Error("told that it was not recovered, though everything is there")
		}
		if e.ID != "" && e.ID != f.cursors["a 2"] {
			f.Error("told to go on behind another message than the one that it asked for")
		}
		e = p.event()
	} else if tells {
		f.Error("not told that it was recovered, though it would have been told that it was not")
	}
	p.is(e, "a", "3")
	p.hears("a", "4", "5", "6")
	f.publish("a", "7")
	p.hears("a", "7")
}

// tellsUnrecovered reports whether a client is told that it cannot be continued, rather
// than closed.
func (f *fixture) tellsUnrecovered() bool {
	p := f.dial(from("elsewhere", transport.Start{Since: true, After: foreign}))
	f.publish("elsewhere", "so that something comes")
	e, err := p.next()
	return err == nil && e.Kind == Subscribed
}

func testNotRecovered(f *fixture) {
	asked := f.resume()
	for name, after := range map[string]broker.Position{"of another history": foreign, "that is none": {}} {
		asked[0].After = after
		p := f.dial(asked)
		f.publish("a", name)
		e, err := p.next()
		if err != nil {
			p.ended(err, transport.CloseUnrecovered)
			continue
		}
		p.check(e)
		if e.Kind != Subscribed || e.Recovered {
			f.Fatalf("a client with a cursor %s heard %s, not that it was not recovered", name, e)
		}
		p.hears("a", name)
	}
}

func testLast(f *fixture) {
	f.resume()
	p := f.dial(from("a", transport.Start{Last: 2}))
	f.publish("a", "6")
	p.hears("a", "4", "5", "6")
	few := f.dial(from("a", transport.Start{Last: 100}))
	few.hears("a", numbers("", 6)...)
	f.publish("a", "7")
	p.hears("a", "7")
	few.hears("a", "7")
}

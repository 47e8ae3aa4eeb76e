package server_test

import (
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A told is what a server says over /live.
type told struct {
	object
	Channel, Code, Detail string
	Ref, Status           int
}

// at is the position of the id.
func (a *told) at() broker.Position {
	p, _ := transport.ParseCursor(a.Channel, a.ID) // what is wrong is followed by nothing
	return p
}

// hear reports false where the client is to be cut off.
func (ch *talker) hear(a told) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch a.Type {
	case "welcome", "ping":
	case "subscribed":
		ch.subscribed(a)
	case "message":
		at := a.at()
		before := broker.Position{Epoch: at.Epoch, Seq: at.Seq - 1}
		ch.hears.hear(said{What: "message", Channel: a.Channel, Text: a.Data, At: at, Prev: before})
		return !ch.isCutOff(a)
	case "unsubscribed":
		ch.unsubscribed(a)
	case "error":
		ch.refused(a)
	default:
		ch.hears.failf("heard %+v", a)
	}
	return true
}

// find returns the stay whose command has the ref.
func (ch *talker) find(a told, ref int) *talk {
	for _, s := range ch.talks {
		if s.number == ref && s.channel == a.Channel {
			return s
		}
	}
	ch.hears.failf("heard %+v, which answers nothing", a)
	return nil
}

func (ch *talker) subscribed(a told) {
	s := ch.find(a, a.Ref)
	if s == nil {
		return
	}
	asked := s.since != broker.Position{}
	if (a.Recovered != nil) != asked || asked && (!*a.Recovered || a.at() != s.since) {
		ch.hears.failf("%+v, behind %v", a, s.since)
	}
	if s.begun {
		ch.hears.hear(said{What: "resume", Channel: a.Channel, Stay: s.number, At: a.at()})
	} else {
		ch.hears.hear(said{What: "open", Channel: a.Channel, Stay: s.number, At: a.at()})
		s.owed = ch.chaos.load.begunIn(a.Channel)
		s.begun = true
		close(s.settled)
	}
	if ch.cuts && (asked || s.history > 0) && ch.cutAfter == 0 {
		ch.cutAfter = 1 + ch.dice.IntN(4)
	}
}

func (ch *talker) unsubscribed(a told) {
	s := ch.find(a, -a.Ref)
	switch {
	case s == nil:
		return
	case !s.leaving, !s.begun && !s.overtaken:
		ch.hears.failf("%+v ends what has not begun or was to stay", a)
	}
	ch.hears.hear(said{What: "shut", Channel: a.Channel, Stay: s.number, Owed: s.owed})
	ch.talks = slices.DeleteFunc(ch.talks, func(other *talk) bool { return other == s })
}

// refused hears why a command was not done: where it was overtaken by the one that ends it, or
// the link was down for too long, and then the client tries again.
func (ch *talker) refused(a told) {
	s := ch.find(a, a.Ref)
	if s == nil {
		return
	}
	if a.Code == "not_subscribed" && !s.leaving {
		ch.subscribe(s)
		return
	}
	if a.Code != "unsubscribed" && a.Code != "not_subscribed" || !s.leaving || s.overtaken {
		ch.hears.failf("heard %+v", a)
	}
	if s.overtaken = true; !s.begun {
		close(s.settled)
	}
}

// isCutOff reports whether the client is to be cut off after a message.
func (ch *talker) isCutOff(a told) bool {
	if ch.cutAfter == 0 || ch.chaos.calm.Load() {
		return false
	}
	if ch.cutAfter--; ch.cutAfter > 0 {
		return false
	}
	if publisher, n, err := parseSaid(a.Data); err == nil && n < ch.chaos.load.publishers[publisher].latest() {
		ch.inReplay++
	}
	return true
}

// cutOff returns how often the client was cut off in the middle of a replay.
func (ch *talker) cutOff() int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.inReplay
}

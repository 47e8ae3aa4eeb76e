package sse

import (
	"encoding/json"

	"github.com/pregon/pregon/transport"
)

// answerSome gives clients that EventSource may be their Answers: where they continue, and a first id.
// EventSource knows one id, which is the first channel's.
func (e *encoding) answerSome(subs []transport.Subscription) {
	for i := range subs {
		switch sub := &subs[i]; {
		case sub.Since:
			sub.Answer = e.subscribed
		case i == 0 && sub.Start == transport.Start{}:
			sub.Answer = e.start
		}
	}
}

// answerEach gives clients that have named their channels in a body an Answer for each.
func (e *encoding) answerEach(subs []transport.Subscription) {
	for i := range subs {
		subs[i].Answer = e.placed
		if subs[i].Since {
			subs[i].Answer = e.subscribed
		}
	}
}

// subscribed is the Answer to a client that continues. It has no id, as the messages that
// it announces are yet to come.
func (e *encoding) subscribed(s transport.Subscribed) (frames []byte, ok bool) {
	payload, _ := e.events.AppendSubscribed(nil, s)
	return e.event("subscribed", "", payload), true
}

// placed is the Answer to a client that does not continue: as subscribed, without a word on
// whether that was possible.
func (e *encoding) placed(s transport.Subscribed) (frames []byte, ok bool) {
	return e.event("subscribed", "", placeOf("subscribed", s)), true
}

// start is the Answer to a client that begins live: an event that gives it its first id,
// where there is one. EventSource remembers an id when its event ends, some clients only
// if that has data, and others dispatch it if it has none: so it has data, and a name that
// no page listens to unless it wants to.
func (e *encoding) start(s transport.Subscribed) (frames []byte, ok bool) {
	id := transport.Cursor(s.Channel, s.Position)
	if id == "" {
		return nil, true
	}
	return e.event("start", id, placeOf("start", s)), true
}

// placeOf returns the payload of an event that tells where a client begins.
func placeOf(event string, s transport.Subscribed) []byte {
	payload, err := json.Marshal(struct {
		Type    string `json:"type"`
		Channel string `json:"channel"`
		ID      string `json:"id,omitempty"`
	}{event, s.Channel, transport.Cursor(s.Channel, s.Position)})
	if err != nil {
		panic(err) // strings always encode
	}
	return payload
}

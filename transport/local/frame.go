package local

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A frame is the length of its body in 8 bytes, and the body: its kind, a flag, two
// positions, and five texts with their lengths ahead of them.
type kind byte

const (
	message kind = iota
	gap
	subscribed
	closing
)

// fields are what a body has, whatever it is of.
type fields struct {
	kind                kind
	flag                bool
	from, to            broker.Position
	channel, word, data []byte
	subject, session    []byte // of the author
}

// texts are those of f, in their order in a body.
func (f *fields) texts() [5]*[]byte {
	return [...]*[]byte{&f.channel, &f.word, &f.data, &f.subject, &f.session}
}

const fixed = 2 + 4*8 // bytes ahead of the texts

func (f fields) frame() []byte {
	size := fixed
	for _, text := range f.texts() {
		size += binary.MaxVarintLen64 + len(*text)
	}
	b := make([]byte, 8, 8+size)
	b = append(b, byte(f.kind), 0)
	if f.flag {
		b[len(b)-1] = 1
	}
	for _, n := range []uint64{f.from.Epoch, f.from.Seq, f.to.Epoch, f.to.Seq} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, text := range f.texts() {
		b = append(binary.AppendUvarint(b, uint64(len(*text))), *text...)
	}
	binary.BigEndian.PutUint64(b, uint64(len(b)-8))
	return b
}

// cutFrame returns the body of the first frame in b, and what follows, if it is whole.
func cutFrame(b []byte) (body, rest []byte, ok bool) {
	if len(b) < 8 {
		return nil, b, false
	}
	size := binary.BigEndian.Uint64(b)
	if size > math.MaxInt32 || len(b)-8 < int(size) {
		return nil, b, false
	}
	return b[8 : 8+size], b[8+size:], true
}

var errFrame = errors.New("local: a frame that is none")

// parse is the reverse of fields.frame. The texts are parts of body.
func parse(body []byte) (f fields, err error) {
	if len(body) < fixed {
		return f, errFrame
	}
	f.kind, f.flag = kind(body[0]), body[1] == 1
	body = body[2:]
	for _, n := range []*uint64{&f.from.Epoch, &f.from.Seq, &f.to.Epoch, &f.to.Seq} {
		*n, body = binary.BigEndian.Uint64(body), body[8:]
	}
	for _, text := range f.texts() {
		size, n := binary.Uvarint(body)
		if n <= 0 || size > uint64(len(body)-n) {
			return f, errFrame
		}
		*text, body = body[n:n+int(size)], body[n+int(size):]
	}
	return f, nil
}

// decode returns the Event of a body, or the error that ends the Subscription.
func decode(body []byte) (Event, error) {
	f, err := parse(body)
	if err != nil {
		return Event{}, err
	}
	channel := string(f.channel)
	switch f.kind {
	case message:
		m := broker.Message{Channel: channel, Data: append([]byte(nil), f.data...), Binary: f.flag, Position: f.to}
		if by := (broker.Author{Subject: string(f.subject), Session: string(f.session)}); by != (broker.Author{}) {
			m.By = &by
		}
		return Event{Message: &m}, nil
	case gap:
		return Event{Gap: &transport.Gap{Channel: channel, Reason: broker.GapReason(f.word), From: f.from, To: f.to}}, nil
	case subscribed:
		return Event{Subscribed: &transport.Subscribed{Channel: channel, Recovered: f.flag, Position: f.to}}, nil
	case closing:
		return Event{}, &EndedError{transport.CloseReason(f.to.Seq)}
	default:
		return Event{}, errFrame
	}
}

// An encoding makes frames. It has one value, which all Subscriptions share, and is their
// Control, too.
type encoding struct{}

// Message implements transport.Encoding.
func (encoding) Message(m broker.Message) []byte {
	f := fields{kind: message, flag: m.Binary, to: m.Position, channel: []byte(m.Channel), data: m.Data}
	if m.By != nil {
		f.subject, f.session = []byte(m.By.Subject), []byte(m.By.Session)
	}
	return f.frame()
}

// Gap implements transport.Encoding.
func (encoding) Gap(g transport.Gap) []byte {
	return fields{kind: gap, from: g.From, to: g.To, channel: []byte(g.Channel), word: []byte(g.Reason)}.frame()
}

// Ping implements transport.Control. There is nothing in between to be kept open.
func (encoding) Ping() []byte { return nil }

// Close implements transport.Control.
func (encoding) Close(reason transport.CloseReason) []byte {
	return fields{kind: closing, to: broker.Position{Seq: uint64(reason)}}.frame()
}

// answer is the Answer of a Subscription whose channel does not begin live.
func answer(s transport.Subscribed) ([]byte, bool) {
	return fields{kind: subscribed, flag: s.Recovered, to: s.Position, channel: []byte(s.Channel)}.frame(), true
}

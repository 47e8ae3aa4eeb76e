package live

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

// maxRef is the longest ref in bytes, without the quotes of a string.
const maxRef = 64

// A parser makes commands of what clients send.
type parser struct {
	maxMessage   int64 // bytes; 0 for any number
	keepsHistory bool
}

// errNoObject means that a text is no JSON object.
var errNoObject = errors.New("live: not a JSON object")

// parse returns the command that text is, of which it keeps nothing. Where that cannot be done the
// error says why, and the command has no more than the ref and the channel to answer with, as far as
// they can be told. An error that is errNoObject has no answer.
func (p parser) parse(text []byte) (*command, error) {
	f, ok := readFields(text)
	if !ok {
		return nil, errNoObject
	}
	c := &command{}
	refErr := c.readRef(&f)
	kindErr := c.readKind(&f)
	channelErr := c.readChannel(&f)
	if err := cmp.Or(kindErr, refErr, channelErr); err != nil {
		return c, err
	}
	return c, p.readRest(c, &f)
}

// refOf returns the ref with which to answer a text of which only the beginning is known.
func refOf(beginning []byte) []byte {
	f, _ := readFields(beginning)
	c := &command{}
	_ = c.readRef(&f) // without one it is answered without one
	return c.ref
}

func (c *command) readRef(f *fields) error {
	ref := f.values[mRef]
	size := len(ref)
	if size > 0 && ref[0] == '"' {
		size -= len(`""`)
	}
	switch {
	case len(ref) == 0:
		return nil
	case f.repeated[mRef]:
		return badCommand("The member ref comes twice.")
	case ref[0] != '"' && ref[0] != '-' && (ref[0] < '0' || ref[0] > '9'):
		return badCommand("A ref is a number or a string.")
	case size > maxRef:
		return badCommand("A ref has at most 64 bytes.")
	}
	c.ref = bytes.Clone(ref)
	return nil
}

// readKind sees that the members are those of the command's type, each once.
func (c *command) readKind(f *fields) error {
	if len(f.values[mType]) == 0 || f.repeated[mType] {
		return badCommand("A command has one member type.")
	}
	name, ok := item.Text(f.values[mType])
	if !ok {
		return badCommand("The type of a command is a string.")
	}
	known, ok := kinds[name]
	if !ok {
		return &transport.Problem{Status: http.StatusBadRequest, Code: "unknown_type", Detail: "This type of command is not known here."}
	}
	c.kind = known.kind
	if f.unknown {
		return badCommand("The command has a member that is not known.")
	}
	for m := mType; m < memberCount; m++ {
		switch {
		case f.repeated[m]:
			return badCommand("A member of the command comes twice.")
		case len(f.values[m]) > 0 && m != mType && m != mRef && !slices.Contains(known.takes, m):
			return badCommand("The command has a member that is another one's.")
		}
	}
	return nil
}

// readChannel reads the channel, if there is one, whatever else is wrong: it is told in the
// answer.
func (c *command) readChannel(f *fields) error {
	value := f.values[mChannel]
	switch {
	case len(value) == 0 && (c.kind == renew || c.kind == none):
		return nil
	case len(value) == 0:
		return bad("no_channel", "The command names no channel.")
	case f.repeated[mChannel]:
		return badCommand("The member channel comes twice.")
	}
	name, ok := item.Text(value)
	switch {
	case !ok:
		return badCommand("The name of a channel is a string.")
	case item.HasLoneSurrogate(value):
		return bad("bad_channel", "The channel name is not valid Unicode.")
	}
	if err := broker.CheckChannel(name); err != nil {
		return err
	}
	c.channel = name
	return nil
}

// readRest reads the members of the command's own type.
func (p parser) readRest(c *command, f *fields) (err error) {
	switch c.kind {
	case subscribe:
		c.subscription, err = p.readSubscription(c.channel, f)
	case publish:
		c.message, err = p.readMessage(c.channel, f)
		c.size = len(c.message.Data)
	case renew:
		var ok bool
		if len(f.values[mToken]) > 0 {
			c.token, ok = item.Text(f.values[mToken])
		}
		if !ok || c.token == "" {
			err = badCommand("A renew has a token, a string.")
		}
	}
	return err
}

func (p parser) readMessage(channel string, f *fields) (broker.Message, error) {
	m, err := item.Message(f.values[mData], f.values[mEncoding])
	switch {
	case err != nil:
		return m, err
	case p.maxMessage > 0 && int64(len(m.Data)) > p.maxMessage:
		return broker.Message{}, &transport.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Detail: "The message is longer than this server takes."}
	}
	m.Channel = channel
	if key := f.values[mKey]; len(key) > 0 {
		var ok bool
		if m.Key, ok = item.Text(key); !ok || m.Key == "" {
			return m, bad("bad_key", "A key is 1 to 255 visible characters of ASCII, with spaces only between them.")
		}
	}
	return m, nil
}

func (p parser) readSubscription(channel string, f *fields) (*transport.Subscription, error) {
	w := item.Wish{Since: f.values[mSince], History: f.values[mHistory], Presence: f.values[mPresence], Member: f.values[mMember]}
	s, err := w.Subscription(channel, p.keepsHistory)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

func badCommand(detail string) *transport.Problem { return bad("bad_command", detail) }

func bad(code, detail string) *transport.Problem {
	return &transport.Problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

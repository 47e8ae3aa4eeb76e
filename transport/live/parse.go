package live

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

const (
	maxRef     = 64   // bytes of a ref, without the quotes of a string
	maxHistory = 1000 // messages that a subscribe may ask for, as over HTTP
)

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
	s := &transport.Subscription{Channel: channel}
	since, history, presence := f.values[mSince], f.values[mHistory], f.values[mPresence]
	switch {
	case len(since) > 0 && len(history) > 0:
		return nil, bad("two_ways", "Begin with since or with history, not with both.")
	case len(presence) > 0 && string(presence) != "true" && string(presence) != "false":
		return nil, bad("bad_presence", "The member presence is true or false.")
	}
	s.Presence = string(presence) == "true"
	if err := p.readStart(s, since, history); err != nil {
		return nil, err
	}
	if value := f.values[mMember]; len(value) > 0 {
		var err error
		if s.Member, err = readMember(value); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readStart reads where to begin. A cursor of another channel is not recovered, as over HTTP.
func (p parser) readStart(s *transport.Subscription, since, history []byte) error {
	switch {
	case len(since) > 0:
		cursor, ok := item.Text(since)
		at, err := transport.ParseCursor(s.Channel, cursor)
		if !ok || err != nil && !errors.Is(err, transport.ErrForeignCursor) {
			return bad("bad_cursor", "The cursor in since is not one that this server gives.")
		}
		s.Start = transport.Start{Since: true, After: at}
	case len(history) > 0:
		n, err := strconv.ParseUint(string(history), 10, 31) // which takes no sign
		if err != nil || n < 1 || n > maxHistory {
			return bad("bad_history", "Give history as a number of messages from 1 to 1000.")
		}
		if !p.keepsHistory {
			return bad("no_history", "This server keeps no history.")
		}
		s.Start = transport.Start{Last: int(n)}
	}
	return nil
}

// readMember returns who a client says it is. Whether it may, the server says.
func readMember(value []byte) (*transport.Member, error) {
	var m transport.Member
	known := map[string]func(value []byte) bool{
		"sub": func(value []byte) (ok bool) {
			m.Subject, ok = item.Text(value)
			return ok && m.Subject != "" && !item.HasLoneSurrogate(value)
		},
		"info": func(value []byte) bool { m.Info = bytes.Clone(value); return true },
	}
	ok := eachMember(value, func(name string, value []byte) bool {
		read := known[name]
		delete(known, name) // so that it comes once
		return read != nil && read(value)
	})
	if !ok || m.Subject == "" {
		return nil, bad("bad_member", "A member is an object with sub, a string, and, if you like, info.")
	}
	return &m, nil
}

func badCommand(detail string) *transport.Problem { return bad("bad_command", detail) }

func bad(code, detail string) *transport.Problem {
	return &transport.Problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

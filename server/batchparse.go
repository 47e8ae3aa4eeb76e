package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

// readBatch reads a batch out of the body. A problem with one item has its
// position as the member index.
func (s *Server) readBatch(w http.ResponseWriter, r *http.Request, verdict error) (*batch, error) {
	if len(r.Header.Values(keyHeader)) > 0 {
		return nil, badRequest("bad_key", "Give each item of a batch a key of its own, as its member key, not in the header.")
	}
	kind, err := mediaType(r.Header, batchTypes)
	if err != nil {
		return nil, err
	}
	body, err := readBody(w, r, s.longestBatch(), verdict)
	if err != nil {
		return nil, err
	}
	items := lines
	switch {
	case kind == "application/json" && bytes.HasPrefix(bytes.TrimLeft(body, item.Space), []byte("{")):
		items = one
	case kind == "application/json":
		items = elements
	}
	return s.parseBatch(items(body))
}

func (s *Server) parseBatch(items iter.Seq2[json.RawMessage, error]) (*batch, error) {
	b, i := &batch{}, 0
	for raw, err := range items {
		if err == nil {
			err = s.parseItem(b, i, raw)
		}
		if err != nil {
			return nil, itemProblem(i, err)
		}
		i++
	}
	if i == 0 {
		return nil, badRequest("empty", "There is no message in the batch.")
	}
	return b, nil
}

// itemProblem is what is wrong with item i because of err.
func itemProblem(i int, err error) error {
	var p *transport.Problem
	switch {
	case errors.Is(err, errNoArray):
		return badRequest("bad_batch", "A batch is an object or an array of objects in JSON; send one object per line as application/x-ndjson.")
	case errors.Is(err, errBadJSON):
		p = badRequest("bad_json", "The batch is not valid JSON from this item on.")
	case !errors.As(err, &p):
		return err
	}
	p.Extensions = map[string]any{"index": i}
	return p
}

// parseItem adds the publications of item i, which is valid JSON, to b.
func (s *Server) parseItem(b *batch, i int, raw json.RawMessage) error {
	if !utf8.Valid(raw) {
		return badRequest("invalid_utf8", "The item is not valid UTF-8; send bytes in base64.")
	}
	fields, err := itemFields(raw)
	if err != nil {
		return err
	}
	channels, err := itemChannels(fields, maxBatch-len(b.messages))
	if err != nil {
		return err
	}
	m, err := item.Message(fields["data"], fields["encoding"])
	if err != nil {
		return err
	}
	if int64(len(m.Data)) > s.options.MaxMessage {
		return &transport.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Detail: "The message is longer than this server takes."}
	}
	if m.Key, err = s.itemKey(fields); err != nil {
		return err
	}
	b.add(i, m, channels)
	return nil
}

// itemFields returns the members of the object that is an item.
func itemFields(raw json.RawMessage) (map[string][]byte, error) {
	fields, err := item.Object(raw, "channel", "channels", "data", "encoding", "key")
	switch {
	case errors.Is(err, item.ErrUnknown):
		return nil, badRequest("bad_item", "An item has the members channel or channels, data, encoding and key, and no others.")
	case errors.Is(err, item.ErrRepeated):
		return nil, badRequest("bad_item", "A member of the item comes twice.")
	case err != nil:
		return nil, badRequest("bad_item", "An item of a batch is an object.")
	}
	return fields, nil
}

// itemChannels returns the distinct channels of an item, which may name room at
// most.
func itemChannels(fields map[string][]byte, room int) ([]string, error) {
	one, single := fields["channel"]
	many, several := fields["channels"]
	switch {
	case single && several:
		return nil, badRequest("two_ways", "Name the channel as channel, or many as channels, not both.")
	case single && room < 1:
		return nil, tooManyMessages()
	case single:
		name, err := channelName(one, "bad_item")
		return []string{name}, err
	case !several:
		return nil, badRequest("no_channel", "The item names no channel.")
	}
	var channels []string
	seen := map[string]bool{}
	named := 0
	for raw, err := range elements(many) {
		if err != nil {
			return nil, badRequest("bad_item", "The member channels is an array of names.")
		}
		if named++; named > room {
			return nil, tooManyMessages()
		}
		name, err := channelName(raw, "bad_item")
		if err != nil {
			return nil, err
		}
		if !seen[name] {
			seen[name] = true
			channels = append(channels, name)
		}
	}
	if len(channels) == 0 {
		return nil, badRequest("no_channel", "The item names no channel.")
	}
	return channels, nil
}

func tooManyMessages() *transport.Problem {
	return badRequest("too_many_messages", "A batch has at most "+strconv.Itoa(maxBatch)+" messages, each channel counted.")
}

// channelName returns the name that a valid JSON value is. A value that is no text is a problem with
// that code.
func channelName(raw json.RawMessage, code string) (string, error) {
	name, ok := item.Text(raw)
	switch {
	case !ok:
		return "", badRequest(code, "The name of a channel is a string.")
	case item.HasLoneSurrogate(raw):
		return "", badRequest("bad_channel", "The channel name is not valid Unicode.")
	}
	return name, channelProblem(broker.CheckChannel(name))
}

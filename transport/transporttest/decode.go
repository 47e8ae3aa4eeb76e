package transporttest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pregon/pregon/transport"
)

// Decode returns the Event that is payload in a format, for protocols that carry payloads
// as the format makes them. binary says whether the protocol has marked the payload
// so.
func Decode(format transport.Format, payload []byte, binary bool) (Event, error) {
	switch format.Name() {
	case "raw":
		return Event{Kind: Message, Data: payload, Binary: binary}, nil
	case "text":
		rest, bracket := strings.CutPrefix(string(payload), "[")
		channel, data, ok := strings.Cut(rest, "] ")
		if !bracket || !ok {
			return Event{}, errors.New(`transporttest: not "[channel] message"`)
		}
		return Event{Kind: Message, Channel: channel, Data: []byte(data), Binary: binary}, nil
	case "json":
		if binary {
			return Event{}, errors.New("transporttest: binary, in a format that is text")
		}
		return decodeJSON(payload)
	}
	return Event{}, fmt.Errorf("transporttest: a format that is not known: %s", format.Name())
}

// decodeJSON is Decode for the format json.
func decodeJSON(payload []byte) (Event, error) {
	var read struct {
		Type, Channel, ID, Reason, Encoding string
		Data                                *string
		Recovered                           bool
	}
	if err := json.Unmarshal(payload, &read); err != nil {
		return Event{}, fmt.Errorf("transporttest: not an object of the format json: %w", err)
	}
	e := Event{Channel: read.Channel, ID: read.ID}
	if read.Channel == "" {
		return Event{}, errors.New("transporttest: an object without a channel")
	}
	switch read.Type {
	case "message":
		if read.Data == nil {
			return Event{}, errors.New("transporttest: a message without data")
		}
		e.Kind, e.Data = Message, []byte(*read.Data)
		if read.Encoding != "" {
			var err error
			e.Binary = true
			if e.Data, err = base64.StdEncoding.DecodeString(*read.Data); err != nil {
				return Event{}, fmt.Errorf("transporttest: data: %w", err)
			}
		}
	case "gap":
		e.Kind, e.Reason = Gap, read.Reason
	case "subscribed":
		e.Kind, e.Recovered = Subscribed, read.Recovered
	default:
		return Event{}, errors.New("transporttest: an object of a type that is not known")
	}
	return e, nil
}

package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

// publish answers POST /publish/{channel}.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) error {
	channel, err := pathChannel(r, "/publish/")
	if err != nil {
		return err
	}
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	if err := checkParameters(query, []string{"message"}); err != nil {
		return err
	}
	client, verdict := s.permitted(r, access.Publish, channel)
	m, err := s.messageOf(w, r, query, verdict)
	switch {
	case err != nil:
		return err
	case verdict != nil:
		return verdict
	}
	m.Channel = channel
	ctx, cancel := publishContext(r)
	defer cancel()
	result := client.Publish(ctx, m)[0]
	if result.Err != nil {
		return s.publishProblem(r, result.Err)
	}
	w.Header().Set("Content-Type", "application/json")
	// A caller that has gone does not get its receipt.
	_ = json.NewEncoder(w).Encode(receiptOf(channel, result.Receipt))
	return nil
}

// publishContext bounds publishing for r. A caller that goes away does not leave
// it half done.
func publishContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), publishTimeout)
}

// A receipt is the answer to an accepted publication.
type receipt struct {
	Channel  string `json:"channel"`
	ID       string `json:"id,omitempty"` // cursor, where there is history
	Repeated bool   `json:"repeated,omitempty"`
}

func receiptOf(channel string, r broker.Receipt) receipt {
	return receipt{Channel: channel, ID: transport.Cursor(channel, r.Position), Repeated: r.Repeated}
}

// messageOf takes the message out of the query or the body, and its key out of the
// header. See readBody for verdict.
func (s *Server) messageOf(w http.ResponseWriter, r *http.Request, query url.Values, verdict error) (broker.Message, error) {
	key, err := s.headerKey(r)
	if err != nil {
		return broker.Message{}, err
	}
	m, err := s.contentOf(w, r, query, verdict)
	m.Key = key
	return m, err
}

func (s *Server) contentOf(w http.ResponseWriter, r *http.Request, query url.Values, verdict error) (broker.Message, error) {
	body, err := readBody(w, r, s.options.MaxMessage, verdict)
	if err != nil {
		return broker.Message{}, err
	}
	if !query.Has("message") {
		return parseBody(r.Header, body)
	}
	if len(body) > 0 {
		return broker.Message{}, badRequest("two_messages", "Give the message in the query or in the body, not in both.")
	}
	return single(query)
}

// parseBody makes a message of a body as its Content-Type says.
func parseBody(h http.Header, body []byte) (broker.Message, error) {
	kind, err := mediaType(h, messageTypes)
	if err != nil {
		return broker.Message{}, err
	}
	if len(body) == 0 {
		return broker.Message{}, badRequest("empty", "There is no message: give ?message= or a body.")
	}
	if kind == "application/octet-stream" {
		return broker.Message{Data: body, Binary: true}, nil
	}
	if !utf8.Valid(body) {
		return broker.Message{}, invalidUTF8()
	}
	switch kind {
	case "application/json":
		return parseJSON(body)
	case "application/x-www-form-urlencoded":
		return parseForm(body)
	default:
		return broker.Message{Data: body}, nil
	}
}

// parseJSON takes the text of a JSON string, and any other JSON value as the
// text that it came as.
func parseJSON(body []byte) (broker.Message, error) {
	if !item.Valid(body) {
		return broker.Message{}, badRequest("bad_json", "The body is not valid JSON.")
	}
	return item.FromJSON(body)
}

func parseForm(body []byte) (broker.Message, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return broker.Message{}, badRequest("bad_form", "The form is not well formed.")
	}
	if !form.Has("message") {
		return broker.Message{}, badRequest("no_message",
			"The form has no field message. To send a body as it is, set Content-Type: text/plain.")
	}
	return single(form)
}

// single takes the one message out of a form or a query. It may be empty.
func single(values url.Values) (broker.Message, error) {
	text := values["message"]
	switch {
	case len(text) > 1:
		return broker.Message{}, badRequest("two_messages", "There is more than one message.")
	case !utf8.ValidString(text[0]):
		return broker.Message{}, invalidUTF8()
	}
	return broker.Message{Data: []byte(text[0])}, nil
}

func invalidUTF8() *transport.Problem {
	return badRequest("invalid_utf8", "The message is not valid UTF-8; send bytes as application/octet-stream.")
}

package cmd

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pregon/pregon/transport"
)

// A subscription is what a sub has heard, over all of its connections.
type subscription struct {
	*subCommand
	out      *console
	comeback *comeback
	heard    map[string]string // cursor of the last message by channel
}

func (c *subCommand) subscription(out *console) *subscription {
	s := &subscription{subCommand: c, out: out, heard: map[string]string{}}
	if out != nil {
		s.comeback = &comeback{stderr: out.stderr}
	}
	return s
}

// query says what to hear, and where to begin. Last-Event-ID, with which browsers
// come back, would do for one channel only: here each goes on where it was.
func (s *subscription) query() url.Values {
	query := url.Values{"channel": s.Channels, "format": {s.Format}}
	switch {
	case len(s.heard) > 0:
		query["since"] = slices.Sorted(maps.Values(s.heard))
	case s.Last > 0:
		query.Set("history", fmt.Sprint(s.Last))
	}
	return query
}

// listen prints the events of one connection.
func (s *subscription) listen(ctx context.Context, client *caller) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(s.URL)+"/sse?"+s.query().Encode(), nil)
	if err != nil {
		return fmt.Errorf("subscribe: %w", refusal{err})
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := client.do(req)
	if err != nil {
		return unreachable(s.URL, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("subscribe: %w", s.Client.hint(answerError(resp)))
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		return fmt.Errorf("subscribe: %w", refusal{errors.New("the answer is no stream of events: is --url the address of a pregon?")})
	}
	s.comeback.succeeded()
	return s.print(resp.Body)
}

// print prints events until the stream ends.
func (s *subscription) print(stream io.Reader) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 2*maxLine)
	var e subEvent
	why := "" // what the server says of a stream that ends at once
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if err := s.printEvent(e); err != nil {
				return err
			}
			e = subEvent{}
		case field == "" && value != "":
			why = ": " + value
		case field == "event":
			e.name = value
		case field == "id":
			e.id = value
		case field == "data":
			e.data = append(e.data, value)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // with which each stream ends
		return fmt.Errorf("read the stream: %w", err)
	}
	return errors.New("the server has ended the stream" + why)
}

// A subEvent is one event of the stream.
type subEvent struct {
	name, id string
	data     []string
}

// printEvent prints one event, and remembers it. One without data lines is none.
func (s *subscription) printEvent(e subEvent) error {
	if e.data == nil {
		return nil
	}
	text := strings.Join(e.data, "\n")
	if e.name == "binary" {
		bytes, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("decode a binary message: %w", err)
		}
		text = string(bytes)
	}
	switch e.name {
	case "", "message", "binary":
	case "gap", "subscribed":
		s.tell(e.name, text)
		if s.Format != "json" {
			return nil
		}
	default: // it is no message; but its id may be a place to go on from
		s.remember(e.id)
		return nil
	}
	if _, err := fmt.Fprintln(s.out.stdout, shown(s.out.stdout, text)); err != nil {
		return fmt.Errorf("print: %w", refusal{err})
	}
	s.remember(e.id)
	return nil
}

// tell tells people what is no message. Programs read it in the output itself.
func (s *subscription) tell(name, text string) {
	if name == "gap" {
		if s.Format != "json" {
			fmt.Fprintln(s.out.stderr, "pregon: messages may be missing here:", shown(s.out.stderr, text))
		}
		return
	}
	var subscribed struct {
		Channel   string
		Recovered bool
	}
	if json.Unmarshal([]byte(text), &subscribed) == nil && !subscribed.Recovered {
		fmt.Fprintf(s.out.stderr, "pregon: %q cannot be continued where it was left: messages may be missing here\n", subscribed.Channel)
	}
}

// remember notes that the message with this id was heard. It reports whether that
// is one of the channels', which an id shows.
func (s *subscription) remember(id string) bool {
	for _, channel := range s.Channels {
		if _, err := transport.ParseCursor(channel, id); err == nil {
			s.heard[channel] = id
			return true
		}
	}
	return false
}

package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// A streamSource is an event stream in JSON (WHATWG HTML, section 9.2).
type streamSource struct {
	ctx  context.Context
	end  context.CancelFunc
	body io.ReadCloser // nil for a stream of no channel
	in   *bufio.Scanner
	why  string // what the server says of a stream that ends at once
}

// openStream connects to /sse.
func (s *subscription) openStream(ctx context.Context) (source, error) {
	ctx, end := context.WithCancel(ctx)
	if len(s.channels) == 0 {
		return &streamSource{ctx: ctx, end: end}, nil
	}
	body, err := s.requestStream(ctx)
	if err != nil {
		end()
		return nil, err
	}
	return newStreamSource(ctx, end, body), nil
}

// newStreamSource returns the source that reads the body of an answer. It closes that, and calls end.
func newStreamSource(ctx context.Context, end context.CancelFunc, body io.ReadCloser) *streamSource {
	in := bufio.NewScanner(body)
	in.Buffer(nil, 4*maxLine)
	return &streamSource{ctx: ctx, end: end, body: body, in: in}
}

func (s *subscription) requestStream(ctx context.Context) (io.ReadCloser, error) {
	query := s.query()
	query.Set("format", "json")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(s.URL)+"/sse?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", refusal{err})
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := s.client.do(req)
	if err != nil {
		return nil, s.client.unreachable(err)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode != http.StatusOK:
		err = s.client.hint(answerError(resp))
	case kind != "text/event-stream":
		err = refusal{errors.New("the answer is no stream of events: is --url the address of a pregon?")}
	default:
		return resp.Body, nil
	}
	_ = resp.Body.Close() // what it says is read
	return nil, fmt.Errorf("subscribe: %w", err)
}

// next implements source. An event without data has at most an id: the place where the stream begins.
func (s *streamSource) next() (frame, error) {
	if s.body == nil {
		<-s.ctx.Done()
		return frame{}, s.ctx.Err()
	}
	var id string
	var data []string
	for s.in.Scan() {
		field, value, _ := strings.Cut(s.in.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case s.in.Text() == "" && data != nil:
			return eventFrame(id, strings.Join(data, "\n"))
		case s.in.Text() == "" && id != "":
			return frame{Type: "start", ID: id}, nil
		case field == "" && value != "":
			s.why = ": " + value
		case field == "id":
			id = value
		case field == "data":
			data = append(data, value)
		}
	}
	if err := s.in.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // with which each stream ends
		return frame{}, fmt.Errorf("read the stream: %w", err)
	}
	return frame{}, errors.New("the server has ended the stream" + s.why)
}

// eventFrame returns the frame of an event. What is no JSON is of no message, as in the event start.
func eventFrame(id, data string) (frame, error) {
	f, err := parseFrame([]byte(data))
	if err != nil {
		return frame{Type: "start", ID: id}, nil
	}
	return f, nil
}

// subscribe implements source: a stream has the channels with which it was opened.
func (s *streamSource) subscribe(_, _ string) error { return errChanged }

// unsubscribe implements source.
func (s *streamSource) unsubscribe(string) error { return errChanged }

// renew implements source: the server ends the stream, and the next one brings what is in the file then.
func (s *streamSource) renew(string) error { return nil }

// about implements source: there are no commands.
func (s *streamSource) about(int) string { return "" }

// close implements source.
func (s *streamSource) close() {
	s.end()
	if s.body != nil {
		_ = s.body.Close() // nothing is left to be lost
	}
}

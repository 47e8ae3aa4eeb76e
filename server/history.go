package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

const (
	defaultLimit = 100
	maxWait      = time.Minute
	readTimeout  = 5 * time.Second // for one answer of the broker
)

// A reading is what GET /history/{channel} asks for.
type reading struct {
	channel string
	after   broker.Position
	limit   int
	wait    time.Duration // for news where there is none, 0 for not at all
}

// A historyAnswer is what it gets.
type historyAnswer struct {
	Channel  string        `json:"channel"`
	Messages []pastMessage `json:"messages"`
	Complete bool          `json:"complete"` // nothing is missing behind since or in between
	More     bool          `json:"more"`     // behind these or, without since, before them
	Next     string        `json:"next"`     // cursor
}

type pastMessage struct {
	ID       string `json:"id"`
	Data     string `json:"data"`
	Encoding string `json:"encoding,omitempty"`

	By *broker.Author `json:"by,omitempty"` // as in the json format
}

// history answers GET /history/{channel}.
func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	asked, err := readingOf(r)
	if err != nil {
		return err
	}
	client, err := s.permitted(r, access.Subscribe, asked.channel)
	if err != nil {
		return err
	}
	if !s.node.KeepsHistory() {
		return noHistory()
	}
	answer, err := s.readHistory(w, r, historyReader{client, asked})
	switch {
	case r.Context().Err() != nil:
		return nil // nobody is left to answer
	case err != nil:
		return err
	}
	var body bytes.Buffer
	out := json.NewEncoder(&body)
	out.SetEscapeHTML(false) // as the json format has it
	if err := out.Encode(answer); err != nil {
		return fmt.Errorf("server: encode a history: %w", err)
	}
	return s.answers.write(w, r, body.Bytes())
}

// readHistory reads at once or, where the client wants that, when there is news.
func (s *Server) readHistory(w http.ResponseWriter, r *http.Request, h historyReader) (historyAnswer, error) {
	read := h.look
	if h.wait > 0 {
		read = func(context.Context) (found, error) { return s.poll(w, r, h) }
	}
	f, err := read(r.Context())
	if err != nil {
		return historyAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	mark, err := h.client.Mark(ctx, h.channel)
	if err != nil {
		return historyAnswer{}, err
	}
	if !mark.IsZero() && mark.Compare(h.begin(f)) >= 0 {
		f.Complete = false // what other programs publish is not kept
	}
	return h.answer(f), nil
}

// begin returns the position behind which what was found is to be complete: since, or
// that of the first message.
func (h historyReader) begin(f found) broker.Position {
	switch {
	case !h.after.IsZero():
		return h.after
	case len(f.Messages) > 0:
		return f.Messages[0].Position
	default:
		return behindNewest
	}
}

// readingOf returns what r asks for: the channel of the path, and ?since=, ?limit=
// and ?wait=.
func readingOf(r *http.Request) (reading, error) {
	channel, err := pathChannel(r, "/history/")
	if err != nil {
		return reading{}, err
	}
	query, err := parseQuery(r)
	if err != nil {
		return reading{}, err
	}
	if err := checkParameters(query, []string{"since", "limit", "wait"}); err != nil {
		return reading{}, err
	}
	return parseReading(channel, query)
}

func parseReading(channel string, query url.Values) (reading, error) {
	after, err := sinceOf(channel, query["since"])
	if err != nil {
		return reading{}, err
	}
	asked := reading{channel: channel, after: after, limit: defaultLimit}
	if query.Has("limit") {
		if asked.limit, err = parseCount(query["limit"], item.MaxHistory); err != nil {
			return asked, badRequest("bad_limit", "Give limit once, as a number of messages from 1 to 1000.")
		}
	}
	if query.Has("wait") {
		asked.wait, err = time.ParseDuration(query.Get("wait"))
		if err != nil || len(query["wait"]) > 1 || asked.wait < 0 || asked.wait > maxWait {
			return asked, badRequest("bad_wait", "Give wait once, as a time from 0s to 60s, such as 30s.")
		}
	}
	return asked, nil
}

// A historyReader answers one request out of a history.
type historyReader struct {
	client transport.Client
	reading
}

// found is what a historyReader has found, and where that continues from: since
// or, where since is no place to go on from and nothing is kept behind it, behind the
// newest message. It is zero where there has never been one.
type found struct {
	broker.Page
	from broker.Position
}

// look reads what there is now. Where it finds nothing it reads again once the
// newest position is known, so that nothing in between is passed over.
func (h historyReader) look(ctx context.Context) (found, error) {
	page, err := h.read(ctx, h.after)
	if err != nil || len(page.Messages) > 0 || page.Complete && !h.after.IsZero() {
		return found{page, h.after}, err
	}
	newest, err := h.newest(ctx)
	if err != nil {
		return found{}, err
	}
	if page, err = h.read(ctx, h.after); err != nil || len(page.Messages) > 0 {
		return found{page, h.after}, err
	}
	return found{page, newest}, nil
}

// lookAgain reads what has come since f, in which there was nothing.
func (h historyReader) lookAgain(ctx context.Context, f found) (found, error) {
	if !f.from.IsZero() {
		page, err := h.read(ctx, f.from)
		page.Complete = page.Complete && f.Complete
		return found{page, f.from}, err
	}
	page, err := h.read(ctx, beforeOldest) // all of it, the oldest first
	page.Complete = f.Complete
	return found{page, f.from}, err
}

// read reads behind a position, or else the beginning of the newest messages.
func (h historyReader) read(ctx context.Context, after broker.Position) (broker.Page, error) {
	page := func(q broker.Query) (broker.Page, error) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		return h.client.History(ctx, h.channel, q)
	}
	if after.IsZero() {
		return broker.LastPage(h.limit, page)
	}
	return page(broker.Query{After: after, Limit: h.limit})
}

// answer makes the answer of what was found.
func (h historyReader) answer(f found) historyAnswer {
	messages, next := make([]pastMessage, len(f.Messages)), f.from
	for i, m := range f.Messages {
		if (i > 0 || !f.from.IsZero()) && !m.Follows(next) { // an epoch that ended may have lost its end
			f.Complete = false
		}
		messages[i], next = pastMessageOf(h.channel, m), m.Position
	}
	if next.IsZero() || next == beforeOldest {
		next = transport.Outset
	}
	return historyAnswer{h.channel, messages, f.Complete, f.More, transport.Cursor(h.channel, next)}
}

func (h historyReader) newest(ctx context.Context) (broker.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return h.client.Newest(ctx, h.channel)
}

func pastMessageOf(channel string, m broker.Message) pastMessage {
	past := pastMessage{ID: transport.Cursor(channel, m.Position), Data: string(m.Data), By: m.By}
	if m.Binary {
		past.Data, past.Encoding = base64.StdEncoding.EncodeToString(m.Data), "base64"
	}
	return past
}

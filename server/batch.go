package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

const (
	maxBatch    = 10_000 // publications of one batch
	batchBodies = 16     // times MaxMessage is the longest body of a batch
)

// publishMany answers POST /publish: one message to the channels of the query,
// or a batch.
func (s *Server) publishMany(w http.ResponseWriter, r *http.Request) error {
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	if err := checkParameters(query, []string{"channel", "message"}); err != nil {
		return err
	}
	client, verdict := s.clientOf(r)
	b, err := s.batchOf(w, r, query, cmp.Or(verdict, nowhere(client, access.Publish)))
	switch {
	case err != nil:
		return err
	case verdict != nil:
		return verdict
	}
	if err := s.checkBatch(r, client, b); err != nil {
		return err
	}
	return s.publishBatch(w, r, client, b)
}

// nowhere returns why c may do something in no channel at all, nil where it may in some, or is none.
func nowhere(c *node.Client, a access.Action) error {
	if c == nil {
		return nil
	}
	return c.CheckAnywhere(a)
}

// batchOf returns what r asks to publish. Verdict is why nothing of it can be, if that is known.
func (s *Server) batchOf(w http.ResponseWriter, r *http.Request, query url.Values, verdict error) (*batch, error) {
	if !query.Has("channel") && !query.Has("message") {
		return s.readBatch(w, r, verdict)
	}
	channels, err := queryChannels(query)
	if err != nil {
		return nil, err
	}
	return s.oneToMany(w, r, query, channels)
}

// checkBatch returns why the caller may not publish b, with the first item that is the reason.
func (s *Server) checkBatch(r *http.Request, client *node.Client, b *batch) error {
	for i, m := range b.messages {
		if err := client.Check(access.Publish, m.Channel); err != nil {
			p := s.publishProblem(r, err)
			p.Extensions = map[string]any{"index": b.items[i]}
			return p
		}
	}
	return nil
}

// A batch is publications in their order, and the item that each came from.
type batch struct {
	messages []broker.Message
	items    []int
}

func (b *batch) add(item int, m broker.Message, channels []string) {
	for _, m.Channel = range channels {
		b.messages = append(b.messages, m)
		b.items = append(b.items, item)
	}
}

// oneToMany makes a batch of one message, each channel being an item.
func (s *Server) oneToMany(w http.ResponseWriter, r *http.Request, query url.Values, channels []string) (*batch, error) {
	_, verdict := s.permitted(r, access.Publish, channels...)
	m, err := s.messageOf(w, r, query, verdict)
	if err != nil {
		return nil, err
	}
	b := &batch{}
	for i, channel := range channels {
		b.add(i, m, []string{channel})
	}
	return b, nil
}

// publishBatch publishes b and answers with its receipts.
func (s *Server) publishBatch(w http.ResponseWriter, r *http.Request, client *node.Client, b *batch) error {
	ctx, cancel := publishContext(r)
	defer cancel()
	results := client.PublishAllOrNone(ctx, b.messages...)
	if err := s.batchFailure(r, b, results); err != nil {
		return err
	}
	answer := struct {
		Receipts []receipt `json:"receipts"`
	}{make([]receipt, len(b.messages))}
	for i, m := range b.messages {
		answer.Receipts[i] = receiptOf(m.Channel, results[i].Receipt)
	}
	w.Header().Set("Content-Type", "application/json")
	// A caller that has gone does not get its receipts.
	_ = json.NewEncoder(w).Encode(answer)
	return nil
}

// batchFailure returns nil where all of b was published. Otherwise it is a
// problem that says of each publication what became of it.
func (s *Server) batchFailure(r *http.Request, b *batch, results []broker.Result) error {
	first, parseCount, outcomes := -1, map[broker.Outcome]int{}, make([]string, len(results))
	for i, result := range results {
		outcome := broker.OutcomeOf(result.Err)
		outcomes[i] = outcome.String()
		parseCount[outcome]++
		if first < 0 && result.Err != nil && !errors.Is(result.Err, node.ErrHeldBack) {
			first = i
		}
	}
	if first < 0 {
		return nil
	}
	p := s.problemOfBatch(r, results[first].Err, parseCount)
	p.Extensions = map[string]any{"index": b.items[first], "published": parseCount[broker.Published], "outcomes": outcomes}
	return p
}

// problemOfBatch is the answer to a batch whose first failure was err. Only where
// nothing was published is it that of the failure, which may ask the caller to come
// again with the same.
func (s *Server) problemOfBatch(r *http.Request, err error, parseCount map[broker.Outcome]int) *transport.Problem {
	switch {
	case parseCount[broker.OutcomeUnknown] > 0:
		s.warnOfBatch(r, err, parseCount)
		p := outcomeUnknown()
		p.Detail = "The broker did not answer for some messages, which may or may not have been published: see outcomes."
		return p
	case parseCount[broker.Published] > 0:
		s.warnOfBatch(r, err, parseCount)
		return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "partly_published",
			Detail: "The broker did not take some of the messages: see outcomes."}
	default:
		return s.publishProblem(r, err)
	}
}

func (s *Server) warnOfBatch(r *http.Request, err error, parseCount map[broker.Outcome]int) {
	s.logOf(r).Warn("server: a batch was not wholly published", "published", parseCount[broker.Published],
		"not_published", parseCount[broker.NotPublished], "unknown", parseCount[broker.OutcomeUnknown], "error", err)
}

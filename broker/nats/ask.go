package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

// A request is something that a server, or its JetStream, answers.
type request struct {
	subject string
	header  natsgo.Header
	data    []byte
	many    bool // the answer is any number of messages, and one that ends them
}

// An answer is what has come for a request.
type answer struct {
	messages []*natsgo.Msg
	end      *natsgo.Msg // what has said that these are all, nil where nothing did
	ended    bool        // all of it has come
	err      error       // that it was refused
}

// ask sends requests together and returns their answers, in about one round trip. An error means that not all
// answers have come, which those that have not ended are.
func (c *conn) ask(ctx context.Context, requests []request) ([]answer, error) {
	answers := make([]answer, len(requests))
	if len(requests) == 0 {
		return answers, nil
	}
	inbox := c.NewInbox()
	sub, err := c.SubscribeSync(inbox + ".*")
	if err != nil {
		return answers, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return answers, err
	}
	left, sent := 0, map[string]struct{}{}
	for i, r := range requests {
		err := c.PublishMsg(&natsgo.Msg{Subject: r.subject, Reply: inbox + "." + strconv.Itoa(i), Header: r.header, Data: r.data})
		if errors.Is(err, natsgo.ErrMaxPayload) {
			answers[i] = answer{ended: true, err: fmt.Errorf("%w: the server takes %d bytes", broker.ErrTooLarge, c.MaxPayload())}
		} else if errors.Is(err, natsgo.ErrBadSubject) {
			answers[i] = answer{ended: true, err: fmt.Errorf("the subject of the channel: %w: %w", err, broker.ErrDenied)}
		} else if err != nil {
			return answers, err
		} else {
			left++
			sent[r.subject] = struct{}{}
		}
	}
	refused, err := c.confirm(ctx, maps.Keys(sent))
	if err != nil {
		return answers, err
	}
	for i, r := range requests {
		if why := refused[r.subject]; why != nil && !answers[i].ended {
			answers[i] = answer{ended: true, err: why}
			left--
		}
	}
	return answers, c.collect(ctx, sub, len(inbox)+1, requests, answers, left)
}

// collect takes what is answered until nothing is left.
func (c *conn) collect(ctx context.Context, sub *natsgo.Subscription, at int, requests []request, answers []answer, left int) error {
	for left > 0 {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		i, err := strconv.Atoi(m.Subject[at:])
		if err != nil || i < 0 || i >= len(answers) || answers[i].ended {
			continue
		}
		a := &answers[i]
		status := m.Header.Get("Status")
		switch {
		case status == "":
			a.messages = append(a.messages, m)
			a.ended = !requests[i].many
		case status == "204", status == "404":
			a.end, a.ended = m, true
		default:
			a.ended, a.err = true, statusError(status)
		}
		if a.ended {
			left--
		}
	}
	return nil
}

// statusError is what a status means that is none of success.
func statusError(status string) error {
	switch status {
	case "503":
		return fmt.Errorf("there is no stream, or JetStream is not ready: %w", broker.ErrUnavailable)
	case "408", "412", "413":
		return fmt.Errorf("JetStream does not understand what it was asked (%s): %w", status, broker.ErrDenied)
	}
	return fmt.Errorf("JetStream answers %s: %w", status, broker.ErrUnavailable)
}

// A get asks for messages of a stream, in the words of JetStream.
type get struct {
	Seq       uint64   `json:"seq,omitempty"`
	Next      string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	UpToSeq   uint64   `json:"up_to_seq,omitempty"`
}

// of returns the request of g to a stream.
func (g get) of(stream string) request {
	data, _ := json.Marshal(g) // cannot fail
	return request{subject: "$JS.API.DIRECT.GET." + stream, data: data, many: g.Batch > 0 || len(g.MultiLast) > 0}
}

// A stored is a message of a stream.
type stored struct {
	subject string
	seq     uint64
	pending uint64 // messages behind it that the question is about
	data    []byte
	time    string
}

// storedOf returns what a message is that JetStream has answered, or sent.
func storedOf(m *natsgo.Msg) stored {
	s := stored{subject: m.Header.Get("Nats-Subject"), data: m.Data, time: m.Header.Get("Nats-Time-Stamp")}
	s.seq = number(m, "Nats-Sequence")
	s.pending = number(m, "Nats-Num-Pending")
	return s
}

// number returns a number in the header of a message, 0 where there is none.
func number(m *natsgo.Msg, name string) uint64 {
	n, _ := strconv.ParseUint(m.Header.Get(name), 10, 64)
	return n
}

// gets asks a stream and returns what each get has found.
func (c *conn) gets(ctx context.Context, stream string, gets ...get) ([][]stored, error) {
	requests := make([]request, len(gets))
	for i, g := range gets {
		requests[i] = g.of(stream)
	}
	answers, err := c.ask(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("ask the stream %s: %w: %w", stream, err, broker.ErrUnavailable)
	}
	found := make([][]stored, len(gets))
	for i, a := range answers {
		if a.err != nil {
			return nil, fmt.Errorf("ask the stream %s: %w", stream, a.err)
		}
		for _, m := range a.messages {
			found[i] = append(found[i], storedOf(m))
		}
	}
	return found, nil
}

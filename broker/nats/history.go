package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

var (
	_ broker.Historian = (*Broker)(nil)
	_ broker.Prober    = (*Broker)(nil)
)

// maxSubjects is about how many subjects JetStream takes in one request.
const maxSubjects = 500

// Retention implements broker.Historian.
func (b *Broker) Retention() broker.Retention { return b.opts.History }

// History implements broker.Historian.
func (b *Broker) History(ctx context.Context, channel string, q broker.Query) (page broker.Page, err error) {
	err = b.read(ctx, "read the history", []string{channel}, func(ctx context.Context, s *session) (err error) {
		p := pager{session: s, ctx: ctx, channel: channel, subject: b.opts.names.subject(channel), epochs: s.known()}
		if q.After.IsZero() {
			page, err = p.newest(q.Before, q.Limit)
		} else {
			page, err = p.behind(q.After, q.Limit)
		}
		return err
	})
	return page, err
}

// Newest implements broker.Historian.
func (b *Broker) Newest(ctx context.Context, channels ...string) (positions []broker.Position, err error) {
	positions = make([]broker.Position, len(channels))
	err = b.read(ctx, "ask for the newest positions", channels, func(ctx context.Context, s *session) error {
		lasts, err := s.lasts(ctx, channels)
		for i, l := range lasts {
			positions[i] = l.position
		}
		return err
	})
	return positions, err
}

// Keep implements broker.Historian. Of a channel whose newest message will not be there for long enough it stores
// a note of where that is.
func (b *Broker) Keep(ctx context.Context, channels ...string) error {
	return b.read(ctx, "keep the history", channels, func(ctx context.Context, s *session) error {
		lasts, err := s.lasts(ctx, channels)
		if err != nil {
			return err
		}
		var notes []request
		for i, l := range lasts {
			if !l.position.IsZero() && time.Since(l.stored) > b.opts.History.MaxAge/spare {
				notes = append(notes, b.opts.noteRequest(channels[i], l.position.Seq))
			}
		}
		for some := range slices.Chunk(notes, maxStored) {
			answers, err := s.ask(ctx, some)
			if err != nil {
				return fmt.Errorf("%w: %w", err, broker.ErrUnavailable)
			}
			for _, a := range answers {
				if _, _, err := ackOf(a); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// noteRequest is the publication of a note in place of the one before.
func (o Options) noteRequest(channel string, newest uint64) request {
	return request{
		subject: o.names.note(channel),
		header:  natsgo.Header{"Nats-Rollup": {"sub"}},
		data:    strconv.AppendUint(nil, newest, 10),
	}
}

// Probe implements broker.Prober. The channel's newest probe is kept, on a subject of its own, which is in no
// history.
func (b *Broker) Probe(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	switch {
	case b.opts.History.IsZero():
		return broker.Receipt{}, fmt.Errorf("nats: probe: %w", errors.ErrUnsupported)
	case !strings.HasPrefix(m.Channel, broker.ReservedPrefix):
		return broker.Receipt{}, fmt.Errorf("nats: a probe is for channels whose names begin with %q: %w", broker.ReservedPrefix, errors.ErrUnsupported)
	}
	r := b.publisher.publish(ctx, &call{messages: []broker.Message{m}, probe: true})[0]
	if r.Err != nil {
		return broker.Receipt{}, fmt.Errorf("nats: probe: %w", r.Err)
	}
	return r.Receipt, nil
}

// read calls do for channels, which all have names.
func (b *Broker) read(ctx context.Context, what string, channels []string, do func(context.Context, *session) error) error {
	if slices.Contains(channels, "") {
		return fmt.Errorf("nats: %s: %w", what, errNoName)
	}
	return b.reader.do(ctx, what, do)
}

// A last is where a channel is.
type last struct {
	position broker.Position // of its newest message, zero where nothing is known
	stored   time.Time       // when that, or the newer note of it, was stored
}

// lasts returns where each channel is, by two questions for some hundreds of them.
func (s *session) lasts(ctx context.Context, channels []string) ([]last, error) {
	subjects := make([]string, 0, 2*len(channels))
	for _, c := range channels {
		subjects = append(subjects, s.opts.names.subject(c), s.opts.names.note(c))
	}
	found, err := s.newestOf(ctx, subjects)
	if err != nil {
		return nil, err
	}
	epochs := s.known()
	lasts := make([]last, len(channels))
	for i := range channels {
		message, kept := found[subjects[2*i]]
		note, noted := found[subjects[2*i+1]]
		if kept {
			lasts[i] = last{epochs.at(message.seq), timeOf(message)}
		}
		if seq := noteOf(note); noted && (!kept || seq == message.seq) {
			lasts[i] = last{epochs.at(seq), timeOf(note)}
		}
	}
	return lasts, nil
}

// noteOf returns the number that a note has.
func noteOf(note stored) uint64 {
	seq, _ := strconv.ParseUint(string(note.data), 10, 64)
	return seq
}

func timeOf(s stored) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, s.time)
	return t
}

// newestOf returns the newest message of each subject that has one.
func (s *session) newestOf(ctx context.Context, subjects []string) (map[string]stored, error) {
	var gets []get
	for some := range slices.Chunk(subjects, maxSubjects) {
		gets = append(gets, get{MultiLast: some})
	}
	newest := map[string]stored{}
	for len(gets) > 0 {
		found, err := s.gets(ctx, s.opts.names.stream, gets...)
		if err != nil {
			return nil, err
		}
		var rest []get
		for i, some := range found {
			for _, m := range some {
				newest[m.subject] = m
			}
			if n := len(some); n > 0 && some[n-1].pending > 0 { // of many large ones not all are sent
				rest = append(rest, get{MultiLast: gets[i].MultiLast, Seq: some[n-1].seq + 1})
			}
		}
		gets = rest
	}
	return newest, nil
}

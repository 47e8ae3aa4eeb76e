package nats

import (
	"context"
	"math"
	"time"

	"github.com/pregon/pregon/broker"
)

// maxPage is about how many bytes a page has.
const maxPage = 1 << 20

// A pager reads the history of a channel.
type pager struct {
	*session
	ctx     context.Context
	channel string
	subject string
	epochs  epochs
}

func (p *pager) gets(gets ...get) ([][]stored, error) {
	return p.session.gets(p.ctx, p.opts.names.stream, gets...)
}

// next asks for messages of the channel from a number on.
func (p *pager) next(from uint64, messages int) get {
	return get{Seq: from, Next: p.subject, Batch: messages, MaxBytes: maxPage}
}

// behind returns the page behind a position.
func (p *pager) behind(after broker.Position, limit int) (page broker.Page, err error) {
	start := p.epochs.from(following(after))
	if start == math.MaxUint64 {
		return page, nil // no message can be there yet
	}
	found, err := p.gets(
		p.next(start, limit+1),
		get{Seq: max(after.Seq, 1)},
		p.next(0, 1),
		get{MultiLast: []string{p.opts.names.note(p.channel)}},
	)
	if err != nil {
		return page, err
	}
	rest, at, prev := found[0], found[1], broker.PrevUnknown
	switch given := p.epochs.at(after.Seq) == after; {
	case given && len(at) > 0 && at[0].seq == after.Seq && at[0].subject == p.subject,
		given && p.aheadOfFirst(found[2], found[3]) == after:
		prev, page.Complete = after, true
	case len(rest) > 0 && len(found[2]) > 0 && rest[0].seq == found[2][0].seq:
		prev = p.aheadOfFirst(found[2], found[3])
	}
	page.More = len(rest) > limit || len(rest) > 0 && rest[len(rest)-1].pending > 0
	page.Messages = p.messages(rest[:min(len(rest), limit)], prev)
	return page, nil
}

// following returns the least position behind p.
func following(p broker.Position) broker.Position {
	if p.Seq == math.MaxUint64 {
		return broker.Position{Epoch: p.Epoch + 1}
	}
	return broker.Position{Epoch: p.Epoch, Seq: p.Seq + 1}
}

// aheadOfFirst returns the position of the message that was the one ahead of the first that is kept, or of the
// newest where none is: by the channel's note, or as nothing can have expired yet.
func (p *pager) aheadOfFirst(first, note []stored) broker.Position {
	if len(first) > 0 && first[0].pending+1 >= uint64(p.opts.History.MaxMessages) {
		return broker.PrevUnknown // there may have been too many
	}
	if len(note) > 0 {
		if seq := noteOf(note[0]); len(first) == 0 || seq < first[0].seq {
			return p.epochs.at(seq)
		}
	}
	if time.Since(p.made) < p.opts.History.MaxAge {
		return broker.Position{}
	}
	return broker.PrevUnknown
}

// messages returns what is stored as messages, of which the first comes behind prev.
func (p *pager) messages(found []stored, prev broker.Position) []broker.Message {
	messages := make([]broker.Message, len(found))
	for i, s := range found {
		m := broker.ParseWire(p.channel, s.data)
		m.Position = p.epochs.at(s.seq)
		if m.Prev = prev; prev != broker.PrevUnknown && prev.Epoch != m.Position.Epoch {
			m.Prev = broker.Position{} // it is the first of its epoch
		}
		messages[i], prev = m, m.Position
	}
	return messages
}

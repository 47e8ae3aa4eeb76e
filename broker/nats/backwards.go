package nats

import (
	"math"

	"github.com/pregon/pregon/broker"
)

// maxProbes is how many questions that look for a place in the stream are asked together.
const maxProbes = 8

// newest returns the page of the newest messages before a position, zero for the newest of all. A stream is read
// forwards only, so it looks for the place from which on there are about as many as are wanted.
func (p *pager) newest(before broker.Position, limit int) (page broker.Page, err error) {
	page.Complete = true
	bound, last := uint64(math.MaxUint64), get{MultiLast: []string{p.subject}}
	if !before.IsZero() {
		bound = p.epochs.from(before)
	}
	switch bound {
	case 0, 1:
		return page, nil // numbers begin with 1
	case math.MaxUint64:
	default:
		last.UpToSeq = bound - 1
	}
	found, err := p.gets(
		p.next(0, 1),
		last,
		get{MultiLast: []string{p.opts.names.note(p.channel)}},
	)
	if err != nil || len(found[0]) == 0 || len(found[1]) == 0 || found[0][0].seq >= bound {
		return page, err
	}
	b := backwards{pager: p, first: found[0][0], last: found[1][0], beforeFirst: p.aheadOfFirst(found[0], found[2])}
	want := min(limit, max(1, maxPage/(1+len(b.last.data))))
	for want > 1 {
		messages, all, err := b.read(want)
		switch {
		case err != nil:
			return broker.Page{}, err
		case all:
			return b.page(messages, want), nil
		}
		want = min(want/2, len(messages)) // they are too large
	}
	return b.lastOnly()
}

// A backwards reads what ends with the message last.
type backwards struct {
	*pager
	first, last stored          // of the channel
	beforeFirst broker.Position // what was ahead of first
}

// page returns the newest messages of those that were read.
func (b *backwards) page(read []stored, want int) broker.Page {
	page := broker.Page{Complete: true}
	prev := b.beforeFirst
	if len(read) > want {
		prev = b.epochs.at(read[len(read)-want-1].seq)
		page.More, read = true, read[len(read)-want:]
	} else if read[0].seq != b.first.seq {
		page.More, prev = true, broker.PrevUnknown
	}
	page.Messages = b.messages(read, prev)
	return page
}

// lastOnly returns a page with one message.
func (b *backwards) lastOnly() (broker.Page, error) {
	page, prev := broker.Page{Complete: true}, b.beforeFirst
	if b.last.seq > b.first.seq {
		found, err := b.gets(get{MultiLast: []string{b.subject}, UpToSeq: b.last.seq - 1})
		if err != nil {
			return broker.Page{}, err
		}
		if page.More = len(found[0]) > 0; page.More {
			prev = b.epochs.at(found[0][0].seq)
		}
	}
	page.Messages = b.messages([]stored{b.last}, prev)
	return page, nil
}

// read reads at least want messages and one more, as far as there are so many, and at most about twice as many. It
// reports false where they are too large to be read together.
func (b *backwards) read(want int) (messages []stored, all bool, err error) {
	from, count, err := b.from(want + 1)
	if err != nil {
		return nil, false, err
	}
	found, err := b.gets(get{Seq: from, Next: b.subject, Batch: count + 1, MaxBytes: 2 * maxPage})
	if err != nil {
		return nil, false, err
	}
	for _, s := range found[0] {
		if s.seq <= b.last.seq {
			messages = append(messages, s)
		}
		all = all || s.seq >= b.last.seq
	}
	return messages, all && len(messages) > 0, nil
}

// from returns a number from which on there are, up to last, at least need messages, or all of them, and at most
// about twice as many. It parts the stream anew until it has one.
func (b *backwards) from(need int) (from uint64, count int, err error) {
	enough := 2*need + maxProbes
	low, high := b.first.seq, b.last.seq // there are enough from low on, and too few from high on
	for {
		places := between(low, high, maxProbes)
		counts, err := b.counts(append([]uint64{low}, places...))
		if err != nil {
			return 0, 0, err
		}
		count = counts[0]
		for i, place := range places {
			if counts[i+1] < need {
				high = place
				break
			}
			low, count = place, counts[i+1]
		}
		if count <= enough || high-low <= 1 {
			return low, count, nil
		}
	}
}

// between returns n numbers or fewer that part what is between two.
func between(low, high uint64, n uint64) (places []uint64) {
	width := max((high-low)/(n+1), 1)
	for place := low + width; place < high && uint64(len(places)) < n; place += width {
		places = append(places, place)
	}
	return places
}

// counts returns how many messages there are up to last from each of places on.
func (b *backwards) counts(places []uint64) ([]int, error) {
	gets := []get{{Seq: b.last.seq + 1, Next: b.subject, Batch: 1, MaxBytes: 1}}
	for _, place := range places {
		gets = append(gets, get{Seq: place, Next: b.subject, Batch: 1, MaxBytes: 1})
	}
	found, err := b.gets(gets...)
	if err != nil {
		return nil, err
	}
	counts := make([]int, len(found))
	for i, some := range found {
		if len(some) > 0 {
			counts[i] = int(some[0].pending) + 1
		}
	}
	for i := range places {
		counts[i+1] = max(counts[i+1]-counts[0], 0)
	}
	return counts[1:], nil
}

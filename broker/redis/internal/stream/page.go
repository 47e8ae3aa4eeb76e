package stream

import (
	"context"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
)

// Bounds of what is read at once.
const (
	pageBytes   = 1 << 20 // after which a page ends
	firstRead   = 16      // entries, until it is known how large they are
	mostRead    = 1000    // entries, and channels of Newest
	roughlyEach = 64      // bytes of an entry besides its data
)

// A pageReader reads one page of a channel's stream, in as few steps as the size of
// its entries allows.
type pageReader struct {
	server  *Server
	channel string
	limit   int // of messages

	messages []broker.Message
	bytes    int
}

// newest reads the newest messages, or those before a position.
func (r *pageReader) newest(ctx context.Context, before broker.Position) (broker.Page, error) {
	from := r.server.epochs.end()
	if !before.IsZero() {
		from = "(" + before.String()
	}
	more, err := r.read(ctx, from, r.server.opts.Client.XRevRangeN, "-")
	slices.Reverse(r.messages)
	return broker.Page{Messages: r.messages, Complete: true, More: more}, err
}

// after reads the messages behind p. It begins with p itself: that it is there is
// the proof that nothing was deleted behind it.
func (r *pageReader) after(ctx context.Context, p broker.Position) (broker.Page, error) {
	limit := r.limit
	r.limit++ // p's place
	more, err := r.read(ctx, p.String(), r.server.opts.Client.XRangeN, r.server.epochs.end())
	if err != nil {
		return broker.Page{}, err
	}
	if len(r.messages) == 0 { // p was never given, or all is gone
		return broker.Page{}, nil
	}
	page := broker.Page{Messages: r.messages, More: more}
	switch first := r.messages[0].Position; {
	case first == p:
		page.Complete, page.Messages = true, r.messages[1:]
		if len(page.Messages) == 0 && more { // p filled the page
			return r.behind(ctx, p)
		}
	case p.Next(first):
		page.Complete = true
	}
	if len(page.Messages) > limit {
		page.Messages, page.More = page.Messages[:limit], true
	}
	return page, nil
}

// behind reads the messages behind p, which is there.
func (r *pageReader) behind(ctx context.Context, p broker.Position) (broker.Page, error) {
	r.messages, r.bytes = nil, 0
	more, err := r.read(ctx, "("+p.String(), r.server.opts.Client.XRangeN, r.server.epochs.end())
	if len(r.messages) == r.limit {
		r.messages, more = r.messages[:r.limit-1], true
	}
	return broker.Page{Messages: r.messages, Complete: true, More: more}, err
}

// read reads messages from one end to the other with XRANGE or XREVRANGE, and
// reports whether there are more.
func (r *pageReader) read(ctx context.Context, from string, xrange ranger, to string) (more bool, err error) {
	for {
		n := r.next()
		entries, err := xrange(ctx, r.server.key(r.channel), from, to, int64(n)+1).Result()
		if err != nil {
			return false, err
		}
		for i, e := range entries {
			if len(r.messages) == r.limit || r.bytes >= pageBytes {
				return true, nil
			}
			if i < n {
				r.take(e)
			}
		}
		if len(entries) <= n {
			return false, nil
		}
		from = "(" + entries[n-1].ID
	}
}

// A ranger is XRANGE or XREVRANGE.
type ranger = func(ctx context.Context, stream, from, to string, count int64) *goredis.XMessageSliceCmd

// next returns how many entries to read now: as many as are likely to fill the
// page.
func (r *pageReader) next() int {
	n := firstRead
	if len(r.messages) > 0 {
		n = (pageBytes - r.bytes) * len(r.messages) / r.bytes
	}
	return max(1, min(n, mostRead, r.limit-len(r.messages)))
}

// take takes the message of an entry. What another program has added is taken as it
// is, where its position is possible.
func (r *pageReader) take(e goredis.XMessage) {
	position, ok := r.server.epochs.position(e.ID)
	if !ok {
		return
	}
	text, _ := e.Values["m"].(string)
	m, whole := broker.ParseFields(r.channel, []byte(text))
	if !whole {
		m = broker.Message{Channel: r.channel, Data: []byte(text)}.Normalized()
	}
	m.Position, m.Prev = position, position.Previous()
	r.messages = append(r.messages, m)
	r.bytes += len(text) + roughlyEach
}

package memory

import (
	"sort"

	"github.com/pregon/pregon/broker"
)

// pageBytes is about how much payload one page of a history has.
const pageBytes = 1 << 20

// newest is the position of the newest message, kept or not; zero where there was
// none.
func (p *past) newest() broker.Position {
	if p == nil || p.next.Seq == 0 {
		return broker.Position{}
	}
	return broker.Position{Epoch: p.next.Epoch, Seq: p.next.Seq - 1}
}

// page returns what q asks for.
func (p *past) page(q broker.Query) broker.Page {
	if p == nil {
		return broker.Page{Complete: q.After.IsZero()}
	}
	if q.After.IsZero() {
		to := p.before(q.Before)
		from := p.start(to-q.Limit, to)
		return broker.Page{Messages: p.messages(from, to), Complete: true, More: from > 0}
	}
	oldest := broker.Position{Epoch: p.next.Epoch, Seq: p.next.Seq - uint64(len(p.kept))}
	from, complete := 0, false
	switch {
	case q.After.Compare(p.newest()) > 0: // of the future
		return broker.Page{}
	case q.After.Epoch == oldest.Epoch && q.After.Seq+1 >= oldest.Seq:
		from, complete = int(q.After.Seq+1-oldest.Seq), true
	}
	to := p.end(from, from+q.Limit)
	return broker.Page{Messages: p.messages(from, to), Complete: complete, More: to < len(p.kept)}
}

// before returns the index behind the messages before a position, of all where it
// is zero.
func (p *past) before(at broker.Position) int {
	if at.IsZero() {
		return len(p.kept)
	}
	return sort.Search(len(p.kept), func(i int) bool { return p.kept[i].message.Position.Compare(at) >= 0 })
}

// start returns where a page begins that is to begin at an index, and ends at
// another: later, where that would be too much, but not behind its last message.
func (p *past) start(index, to int) int {
	start, size := to, 0
	for start > max(0, index) && (size == 0 || size+len(p.kept[start-1].message.Data) <= pageBytes) {
		start--
		size += 1 + len(p.kept[start].message.Data)
	}
	return start
}

// end returns where a page ends that begins at an index and is to end at another:
// earlier, where that would be too much, but not before its first message.
func (p *past) end(from, to int) int {
	end, size := from, 0
	for end < min(to, len(p.kept)) && (size == 0 || size+len(p.kept[end].message.Data) <= pageBytes) {
		size += 1 + len(p.kept[end].message.Data)
		end++
	}
	return end
}

// messages returns those kept from one index to before another.
func (p *past) messages(from, to int) []broker.Message {
	messages := make([]broker.Message, 0, to-from)
	for _, r := range p.kept[from:to] {
		m := r.message
		m.Key = ""
		messages = append(messages, m)
	}
	return messages
}

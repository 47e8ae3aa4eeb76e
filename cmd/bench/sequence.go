package bench

import "slices"

// A verdict is what a sequence says of one message.
type verdict int

const (
	inOrder  verdict = iota // new, and after all that came before
	late                    // new, but one with a higher number came before
	repeated                // heard before
)

// A sequence checks what one subscriber hears of one publisher on one channel:
// each of the numbers 0, 1, 2, … once and in order. Its size grows with the
// number of holes, not of messages.
type sequence struct {
	next  int64
	holes []hole // below next, in ascending order
}

// A hole is the numbers from first to just before end, which have not come.
type hole struct{ first, end int64 }

// hear judges the message with this number.
func (s *sequence) hear(number int64) verdict {
	if number >= s.next {
		if number > s.next {
			s.holes = append(s.holes, hole{s.next, number})
		}
		s.next = number + 1
		return inOrder
	}
	i, found := slices.BinarySearchFunc(s.holes, number, func(h hole, n int64) int {
		switch {
		case h.end <= n:
			return -1
		case h.first > n:
			return 1
		}
		return 0
	})
	if !found {
		return repeated
	}
	s.fill(i, number)
	return late
}

// fill takes number out of the hole at i.
func (s *sequence) fill(i int, number int64) {
	h := s.holes[i]
	var left []hole
	if h.first < number {
		left = append(left, hole{h.first, number})
	}
	if number+1 < h.end {
		left = append(left, hole{number + 1, h.end})
	}
	s.holes = slices.Replace(s.holes, i, i+1, left...)
}

// has reports whether the message with this number has come.
func (s *sequence) has(number int64) bool {
	return number < s.next && !slices.ContainsFunc(s.holes, func(h hole) bool { return h.first <= number && number < h.end })
}

// missing returns how many of the first published numbers have not come.
func (s *sequence) missing(published int64) int64 {
	n := max(0, published-s.next)
	for _, h := range s.holes {
		n += max(0, min(h.end, published)-min(h.first, published))
	}
	return n
}

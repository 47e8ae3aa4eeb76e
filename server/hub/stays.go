package hub

import (
	"iter"
	"maps"
)

// Stays are the memberships of a session by channel. Most sessions have one, and need
// no map. They are guarded by the hub's lock.
type stays struct {
	only *membership            // where more is nil
	more map[string]*membership // from the second one on
}

// of returns the membership of a channel, nil for none.
func (s *stays) of(channel string) *membership {
	if s.more != nil {
		return s.more[channel]
	}
	if s.only != nil && s.only.group.topic.name == channel {
		return s.only
	}
	return nil
}

// len returns how many there are.
func (s *stays) len() int {
	if s.only != nil {
		return 1
	}
	return len(s.more)
}

// add adds m, whose channel has none.
func (s *stays) add(m *membership) {
	switch {
	case s.more != nil:
		s.more[m.group.topic.name] = m
	case s.only == nil:
		s.only = m
	default:
		s.more = map[string]*membership{s.only.group.topic.name: s.only, m.group.topic.name: m}
		s.only = nil
	}
}

// remove removes m, and reports whether it was there.
func (s *stays) remove(m *membership) bool {
	name := m.group.topic.name
	if s.of(name) != m {
		return false
	}
	s.only = nil
	delete(s.more, name)
	return true
}

// all ranges over the memberships, in no order.
func (s *stays) all() iter.Seq[*membership] {
	if only := s.only; only != nil {
		return func(yield func(*membership) bool) { yield(only) }
	}
	return maps.Values(s.more)
}

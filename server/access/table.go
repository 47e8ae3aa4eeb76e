package access

import "github.com/pregon/pregon/server/access/pattern"

// A table finds the first rule for a channel. Rules are sorted by the first segment that
// their patterns ask for, so that of many rules few are looked at.
type table struct {
	first map[string][]entry // by a first segment that stands for itself
	other []entry            // whose first segment can be any
}

// An entry is one pattern of a rule, and the rule's place among all.
type entry struct {
	rule  *rule
	which int // of its patterns
	place int
}

func newTable(rules []*rule) table {
	t := table{first: map[string][]entry{}}
	for place, r := range rules {
		for i, p := range r.patterns {
			e := entry{r, i, place}
			if segment, itself := p.First(); itself {
				t.first[segment] = append(t.first[segment], e)
			} else {
				t.other = append(t.other, e)
			}
		}
	}
	return t
}

// find returns the first rule that matches, nil where none does.
func (t table) find(channel string) *rule {
	n := pattern.Separators(channel)
	a, b := firstMatch(t.first[firstSegment(channel)], channel, n), firstMatch(t.other, channel, n)
	switch {
	case a == nil && b == nil:
		return nil
	case b == nil, a != nil && a.place < b.place:
		return a.rule
	default:
		return b.rule
	}
}

// firstMatch returns the first of entries, which are in the order of their rules, that
// matches a channel with so many separators.
func firstMatch(entries []entry, channel string, separators int) *entry {
	for i := range entries {
		e := &entries[i]
		if p := &e.rule.patterns[e.which]; p.Fits(separators) && p.Match(channel) {
			return e
		}
	}
	return nil
}

func firstSegment(channel string) string {
	for i := range len(channel) {
		if c := channel[i]; c == '.' || c == ':' || c == '/' {
			return channel[:i]
		}
	}
	return channel
}

package link

import (
	"slices"

	"github.com/pregon/pregon/broker"
)

// A claim is what one call of Subscribe waits for.
type claim struct {
	topics   []string
	subs     []*subscription // one per topic
	commands []*command      // that are not done
	own      map[*command]bool
}

// claim notes that a call of Subscribe wants topics, and asks for those that are new.
func (l *link) claim(topics []string) (*claim, error) {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	if !l.alive() {
		return nil, l.err
	}
	fresh := slices.DeleteFunc(slices.Clone(topics), func(t string) bool { return l.subs[t] != nil })
	c := &claim{topics: topics, own: map[*command]bool{}}
	for _, cmd := range l.subscribe(fresh) {
		c.own[cmd] = true
	}
	waiting := map[*command]bool{}
	for _, t := range topics {
		s := l.subs[t]
		s.claims++
		c.subs = append(c.subs, s)
		if !s.confirmed && !waiting[s.command] {
			waiting[s.command] = true
			c.commands = append(c.commands, s.command)
		}
	}
	return c, nil
}

// settle ends c. Without an error its topics are kept, unless they were removed
// meanwhile; after one those that no other call wants are given back.
func (l *link) settle(c *claim, err error) error {
	f := l.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && !l.alive() {
		err = l.err
	}
	if err == nil && f.ctx.Err() != nil {
		err = broker.ErrClosed
	}
	var unwanted []string
	for i, t := range c.topics {
		s := c.subs[i]
		s.claims--
		_, kept := f.kept[t]
		switch {
		case l.subs[t] != s: // removed or refused
		case err == nil:
			f.kept[t] = struct{}{}
		case !kept && s.claims == 0:
			unwanted = append(unwanted, t)
		}
	}
	l.unsubscribe(unwanted)
	return err
}

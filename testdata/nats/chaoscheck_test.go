package nats_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// A said is a message: the number of a publisher, and where it is in its channel.
type said struct {
	publisher, n int
	id           string
}

func (s said) String() string {
	return fmt.Sprintf("%d of publisher %d (at %s)", s.n, s.publisher, s.id)
}

// parseSaid takes a message apart. What is none has the number 0, which no publisher gives.
func parseSaid(text, id string) said {
	s := said{id: id}
	_, _ = fmt.Sscanf(text, "%d %d", &s.publisher, &s.n)
	return s
}

// history reads all that is kept of a channel behind its start.
func (c *chaos) history(channel int) (all []said) {
	c.t.Helper()
	for since := c.starts[channel]; ; {
		address := "http://" + c.nodes[0] + "/history/" + channelName(channel) + "?limit=1000&since=" + url.QueryEscape(since)
		var page struct {
			Messages       []struct{ ID, Data string }
			Complete, More bool
			Next           string
		}
		if err := c.getJSON(address, &page); err != nil {
			c.t.Fatal(err)
		}
		if !page.Complete {
			c.t.Errorf("the history of %s is not complete behind %q", channelName(channel), since)
		}
		for _, m := range page.Messages {
			all = append(all, parseSaid(m.Data, m.ID))
		}
		if since = page.Next; !page.More {
			return all
		}
	}
}

func (c *chaos) getJSON(address string, v any) error {
	resp, err := c.web.Get(address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", address, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// checkKept returns what is wrong with histories, one for each channel: each has what was acknowledged, once, where it was said to
// be, and nothing else, in the order of its publishers.
func (c *chaos) checkKept(histories [][]said) (wrong []string) {
	last := map[int]int{}
	for i, history := range histories {
		for _, s := range history {
			p := c.publishers[s.publisher]
			if id := p.accepted[s.n]; id != s.id || s.publisher%chaosChannels != i {
				wrong = append(wrong, fmt.Sprintf("kept in %s: %v, which was acknowledged at %q", channelName(i), s, id))
			}
			if s.n != last[s.publisher]+1 {
				wrong = append(wrong, fmt.Sprintf("kept in %s: %v behind its %d", channelName(i), s, last[s.publisher]))
			}
			last[s.publisher] = s.n
		}
	}
	for _, p := range c.publishers {
		if last[p.id] != p.n {
			wrong = append(wrong, fmt.Sprintf("of publisher %d the first %d are kept, and %d were acknowledged", p.id, last[p.id], p.n))
		}
	}
	return wrong
}

// checkExact returns what is wrong with a client that was there before the first message of its channel: it has heard all of the
// history, once, in its order, whatever it has gone through, and was told no gap.
func (c *client) checkExact(history []said) (wrong []string) {
	heard := 0
	for _, e := range c.events {
		switch e.kind {
		case aFault, aGap:
			wrong = append(wrong, fmt.Sprintf("%s, behind message %d", e, heard))
		case aMessage:
			if heard >= len(history) || e.said != history[heard] {
				wrong = append(wrong, fmt.Sprintf("message %d is %v, and differs from the history", heard+1, e.said))
			}
			heard++
		}
	}
	if heard != len(history) {
		wrong = append(wrong, fmt.Sprintf("heard %d messages; the history has %d", heard, len(history)))
	}
	return wrong
}

// checkTold returns what is wrong with a client of a channel without a history, and how many gaps it was told: each publisher's numbers grow
// within a stay, and where one that was accepted is missing between two of a stay, a gap was told between them.
func (c *client) checkTold(publishers []*publisher) (wrong []string, gaps int) {
	last := map[int]int{}
	excused := map[int]bool{} // by publisher, numbers may be missing ahead of its next
	excuse := func() {
		for _, p := range publishers {
			excused[p.id] = true
		}
	}
	for _, e := range c.events {
		switch e.kind {
		case aJoin: // one node may hear later what a client has heard on the other before
			clear(last)
			excuse()
		case aGap:
			gaps++
			excuse()
		case aFault:
			wrong = append(wrong, e.text)
		case aMessage:
			before := last[e.publisher]
			if e.n <= before || e.publisher%chaosChannels != c.channel {
				wrong = append(wrong, fmt.Sprintf("heard %v behind its %d", e.said, before))
			}
			for n := before + 1; n < e.n && !excused[e.publisher]; n++ {
				if _, ok := publishers[e.publisher].accepted[n]; ok {
					wrong = append(wrong, fmt.Sprintf("%d of publisher %d is missing ahead of %d, and no gap was told", n, e.publisher, e.n))
				}
			}
			last[e.publisher], excused[e.publisher] = e.n, false
		}
	}
	return wrong, gaps
}

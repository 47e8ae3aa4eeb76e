package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A measurement is what a round has found.
type measurement struct {
	published, refused, expected    int64
	heard                           counts
	lost, disconnected              int64
	publishing, took                time.Duration
	serverCPU, clientCPU            time.Duration
	memory                          int64 // bytes of all connections
	cpuKnown, clientKnown, memKnown bool
	publish, delivery               *hdrhistogram.Histogram
	series                          []Sample
	problem                         error // the first that the server is to blame for
}

// tally sums up, once nothing moves any more.
func (r *round) tally(m *measurement, start time.Duration) {
	m.published, m.expected = r.accepted.Load(), r.expected.Load()
	m.publish, m.delivery = newHistogram(), newHistogram()
	sent := map[*channel][]*outlet{}
	for _, p := range r.publishers {
		m.publish.Merge(p.latency)
		m.refused += p.refused
		m.blame(p.problem)
	}
	for _, c := range r.channels {
		for _, i := range c.publishers {
			sent[c] = append(sent[c], r.publishers[i].outletTo(c))
		}
	}
	for _, s := range r.subscribers {
		m.add(s, sent[s.channel])
	}
	for _, recorder := range r.recorders {
		m.delivery.Merge(recorder.latency)
		m.took = max(m.took, recorder.last-start)
	}
	m.took = max(m.took, m.publishing)
}

// add counts what one subscriber has heard of what was sent.
func (m *measurement) add(s *subscriber, sent []*outlet) {
	m.heard.received += s.counts.received
	m.heard.duplicated += s.counts.duplicated
	m.heard.reordered += s.counts.reordered
	m.heard.corrupt += s.counts.corrupt
	m.heard.gaps += s.counts.gaps
	for i := range s.sequences {
		m.lost += sent[i].missing(&s.sequences[i])
	}
	if s.ended != nil {
		m.disconnected++
		m.blame(fmt.Errorf("a subscriber was disconnected: %w", s.ended))
	}
}

func (m *measurement) blame(err error) {
	if m.problem == nil {
		m.problem = err
	}
}

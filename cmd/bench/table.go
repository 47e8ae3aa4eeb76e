package bench

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// String says in one line what was run.
func (c Config) String() string {
	amount := plural(c.Messages, "message")
	if c.Messages == 0 {
		amount = fmt.Sprintf("messages for %v", time.Duration(c.Duration*float64(time.Second)))
	}
	pace := "as fast as it goes"
	if c.Rate > 0 {
		pace = fmt.Sprintf("%g a second", c.Rate)
	}
	server := cmp.Or(c.URL, strings.TrimSuffix("a server of its own on "+c.Broker, " on "))
	publishers := plural(c.Publishers, "publisher")
	if c.PublishOver == "live" {
		publishers += fmt.Sprintf(" over live (%d under way)", c.Pipeline)
	}
	over := c.Transport
	if c.HTTP2 {
		over += " over HTTP/2"
	}
	return fmt.Sprintf("%s on %s, %s of %d bytes by %s, %s, over %s (%s), %s, %s",
		plural(c.Subscribers, "subscriber"), plural(c.Channels, "channel"), amount, c.Size,
		publishers, pace, over, c.Format,
		plural(c.Rounds, "round"), server)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// A figure is a row of the table of results, as people read it. Floor and Ratio
// are empty where there are none.
type figure struct{ Name, Server, Floor, Ratio string }

func (r *Report) figures() []figure {
	rows := []struct {
		name string
		of   func(*Result) string
	}{
		{"deliveries/s", func(s *Result) string { return fmt.Sprintf("%.0f", s.Deliveries) }},
		{"publications/s", func(s *Result) string { return fmt.Sprintf("%.0f", s.Publications) }},
		{"seconds", func(s *Result) string { return fmt.Sprintf("%.2f", s.Seconds) }},
		{"server CPU a delivery", func(s *Result) string { return optional(s.ServerCPU, "%.2f µs") }},
		{"client CPU a delivery", func(s *Result) string { return optional(s.ClientCPU, "%.2f µs") }},
		{"memory a connection", func(s *Result) string { return inKiB(s.Memory) }},
	}
	var figures []figure
	for _, row := range rows {
		f := figure{Name: row.name, Server: row.of(&r.Server)}
		if r.Floor != nil {
			f.Floor = row.of(r.Floor)
		}
		figures = append(figures, f)
	}
	if r.Ratio != nil {
		figures[0].Ratio = fmt.Sprintf("%.2f", r.Ratio.Deliveries)
		figures[3].Ratio = optional(r.Ratio.ServerCPU, "%.2f")
	}
	return figures
}

// optional writes a figure that may be missing.
func optional(v *float64, format string) string {
	if v == nil {
		return "not available"
	}
	return fmt.Sprintf(format, *v)
}

func inKiB(bytes *float64) string {
	if bytes == nil {
		return optional(nil, "")
	}
	return fmt.Sprintf("%.1f KiB", *bytes/1024)
}

// A namedLatency is a row of the table of percentiles: p50, p90, p99, p99.9 and
// the maximum.
type namedLatency struct {
	Name  string
	Cells []string
}

func (r *Report) latencies() []namedLatency {
	rows := []namedLatency{
		{"publish", r.Server.Publish.cells()},
		{"delivery", r.Server.Delivery.cells()},
	}
	if r.Floor != nil {
		rows = append(rows,
			namedLatency{"publish, floor", r.Floor.Publish.cells()},
			namedLatency{"delivery, floor", r.Floor.Delivery.cells()})
	}
	return rows
}

func (l Latency) cells() (cells []string) {
	for _, ms := range []float64{l.P50, l.P90, l.P99, l.P999, l.Max} {
		cells = append(cells, fmt.Sprintf("%.3f", ms))
	}
	return cells
}

// label is what a bucket is called.
func (b Bucket) label() string { return inMilliseconds(b.From) + " – " + inMilliseconds(b.To) }

func inMilliseconds(ms float64) string {
	if ms < 1 {
		return fmt.Sprintf("%.0f µs", ms*1e3)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// verdict is the sentence that counts.
func (r *Report) verdict() string {
	s := &r.Server
	text := fmt.Sprintf("%d of %d deliveries: %d lost, %d doubled, %d out of order",
		s.Received-s.Duplicated, s.Expected, s.Lost, s.Duplicated, s.Reordered)
	if r.Interrupted {
		text += "; interrupted, so what was under way may count as lost"
	}
	return text
}

package bench

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteText writes the report for people, in lines of at most width characters
// as far as that is possible.
func (r *Report) WriteText(w io.Writer, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Config)
	r.writeFigures(&b)
	b.WriteString("\n")
	r.writeLatencies(&b)
	b.WriteString("\ndelivery latency of the server\n")
	writeHistogram(&b, r.Server.Delivery, width)
	b.WriteString("\n" + r.verdict() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

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
	return fmt.Sprintf("%s on %s, %s of %d bytes by %s, %s, over %s (%s), %s, %s",
		plural(c.Subscribers, "subscriber"), plural(c.Channels, "channel"), amount, c.Size,
		plural(c.Publishers, "publisher"), pace, c.Transport, c.Format,
		plural(c.Rounds, "round"), cmp.Or(c.URL, "a server of its own"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// writeFigures is a table with a column for the server, and for the floor where
// there is one.
func (r *Report) writeFigures(b *strings.Builder) {
	row := func(name string, figure func(*Result) string, ratio string) {
		cells := []string{figure(&r.Server)}
		if r.Floor != nil {
			cells = append(cells, figure(r.Floor), ratio)
		}
		writeRow(b, name, 14, cells...)
	}
	deliveries, cpu := "", ""
	if r.Ratio != nil {
		deliveries, cpu = fmt.Sprintf("%.2f", r.Ratio.Deliveries), optional(r.Ratio.ServerCPU, "%.2f")
		writeRow(b, "", 14, "server", "floor", "ratio")
	}
	row("deliveries/s", func(s *Result) string { return fmt.Sprintf("%.0f", s.Deliveries) }, deliveries)
	row("publications/s", func(s *Result) string { return fmt.Sprintf("%.0f", s.Publications) }, "")
	row("seconds", func(s *Result) string { return fmt.Sprintf("%.2f", s.Seconds) }, "")
	row("server CPU a delivery", func(s *Result) string { return optional(s.ServerCPU, "%.2f µs") }, cpu)
	row("client CPU a delivery", func(s *Result) string { return optional(s.ClientCPU, "%.2f µs") }, "")
	row("memory a connection", func(s *Result) string { return inKiB(s.Memory) }, "")
}

// writeRow writes a name and right-aligned cells of this width.
func writeRow(b *strings.Builder, name string, width int, cells ...string) {
	line := fmt.Sprintf("%-22s", name)
	for _, cell := range cells {
		line += fmt.Sprintf("%*s", width, cell)
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
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

func (r *Report) writeLatencies(b *strings.Builder) {
	writeRow(b, "latency in ms", 11, "p50", "p90", "p99", "p99.9", "max")
	row := func(name string, l Latency) {
		var cells []string
		for _, ms := range []float64{l.P50, l.P90, l.P99, l.P999, l.Max} {
			cells = append(cells, fmt.Sprintf("%.3f", ms))
		}
		writeRow(b, name, 11, cells...)
	}
	row("publish", r.Server.Publish)
	row("delivery", r.Server.Delivery)
	if r.Floor != nil {
		row("publish, floor", r.Floor.Publish)
		row("delivery, floor", r.Floor.Delivery)
	}
}

// Widths of the parts of a histogram's line that are not bar.
const (
	labelWidth = 24
	minBars    = 10
)

func writeHistogram(b *strings.Builder, l Latency, width int) {
	room := max(minBars, width-labelWidth-len("  100.00 %"))
	var most int64 = 1
	for _, bucket := range l.Histogram {
		most = max(most, bucket.Count)
	}
	for _, bucket := range l.Histogram {
		label := fmt.Sprintf("%s – %s", inMilliseconds(bucket.From), inMilliseconds(bucket.To))
		fmt.Fprintf(b, "%*s %s %.2f %%\n", labelWidth-2, label,
			bar(float64(bucket.Count)/float64(most)*float64(room)), 100*float64(bucket.Count)/float64(l.Count))
	}
}

// bar is n characters long, to an eighth of one.
func bar(n float64) string {
	eighths := int(n*8 + 0.5)
	if eighths == 0 && n > 0 {
		eighths = 1
	}
	bars := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bars += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return bars
}

func inMilliseconds(ms float64) string {
	if ms < 1 {
		return fmt.Sprintf("%.0f µs", ms*1e3)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// verdict is the last line.
func (r *Report) verdict() string {
	s := &r.Server
	text := fmt.Sprintf("%d of %d deliveries: %d lost, %d doubled, %d out of order",
		s.Received-s.Duplicated, s.Expected, s.Lost, s.Duplicated, s.Reordered)
	if r.Interrupted {
		text += "; interrupted, so what was under way may count as lost"
	}
	return text
}

package bench

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes the report for people, its bars as long as fit into lines of
// width characters.
func (r *Report) WriteText(w io.Writer, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Config)
	if r.Floor != nil {
		writeRow(&b, "", 14, "server", "floor", "ratio")
	}
	for _, f := range r.figures() {
		writeRow(&b, f.Name, 14, f.Server, f.Floor, f.Ratio)
	}
	b.WriteString("\n")
	writeRow(&b, "latency in ms", 11, "p50", "p90", "p99", "p99.9", "max")
	for _, l := range r.latencies() {
		writeRow(&b, l.Name, 11, l.Cells...)
	}
	b.WriteString("\ndelivery latency of the server\n")
	writeHistogram(&b, r.Server.Delivery, width)
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRow writes a name and right-aligned cells of this width.
func writeRow(b *strings.Builder, name string, width int, cells ...string) {
	line := fmt.Sprintf("%-22s", name)
	for _, cell := range cells {
		line += fmt.Sprintf("%*s", width, cell)
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// Widths in a line of the histogram.
const (
	labelWidth   = 18
	percentWidth = len("100.00 %")
	minBars      = 10
)

func writeHistogram(b *strings.Builder, l Latency, width int) {
	room := max(minBars, width-labelWidth-percentWidth-len("  "))
	var most int64 = 1
	for _, bucket := range l.Histogram {
		most = max(most, bucket.Count)
	}
	for _, bucket := range l.Histogram {
		percent := fmt.Sprintf("%.2f %%", 100*float64(bucket.Count)/float64(l.Count))
		if bucket.Count == 0 {
			fmt.Fprintf(b, "%*s %*s\n", labelWidth, bucket.label(), percentWidth, percent)
			continue
		}
		length := float64(bucket.Count) / float64(most) * float64(room)
		fmt.Fprintf(b, "%*s %*s %s\n", labelWidth, bucket.label(), percentWidth, percent, bar(length))
	}
}

// bar is n characters long, to an eighth of one.
func bar(n float64) string {
	eighths := max(1, int(n*8+0.5))
	bars := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bars += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return bars
}

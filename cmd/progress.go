package cmd

import (
	"fmt"
	"io"
	"time"

	"github.com/pregon/pregon/cmd/bench"
)

// quietTime is the time between two lines of progress where a terminal would
// show one line that changes.
const quietTime = 5 * time.Second

// A progressLine shows how far a load test has come.
type progressLine struct {
	w        io.Writer
	terminal bool
	shown    bool
	last     time.Time
}

func newProgressLine(w io.Writer) *progressLine {
	return &progressLine{w: w, terminal: isTerminal(w), last: time.Now()}
}

// show is called by one goroutine at a time.
func (l *progressLine) show(p bench.Progress) {
	text := fmt.Sprintf("%s %d/%d: ", p.What, p.Round, p.Rounds)
	if p.Publishing {
		text += fmt.Sprintf("%.1fs, %d published, %d delivered, %.0f deliveries/s", p.Elapsed.Seconds(), p.Published, p.Delivered, p.Rate)
	} else {
		text += fmt.Sprintf("%d of %d subscribers connected", p.Connected, p.Subscribers)
	}
	switch {
	case l.terminal:
		fmt.Fprintf(l.w, "\r%s\x1b[K", text) // and nothing after it
		l.shown = true
	case time.Since(l.last) >= quietTime:
		fmt.Fprintln(l.w, text)
		l.last = time.Now()
	}
}

// clear takes the line away, once show is called no more.
func (l *progressLine) clear() {
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}

package cmd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// window is how many lines are on their way at once. At twice as many a server reads no more.
const window = 32

// A pipeline publishes lines of standard input in their order: many at a time over /live, and where no WebSocket
// gets through one after the other. After the first that is not accepted it sends no more.
type pipeline struct {
	*pubCommand
	client *caller
	out    *console

	live    *liveSource // nil where there is no connection
	frames  chan frame
	ended   chan error
	stop    func()
	longest int  // bytes of a line that the server takes
	single  bool // no WebSocket gets through

	lines   int        // that were read
	waiting []sentLine // oldest first
	failed  bool       // one is not accepted, and is the failure once all ahead of it are answered
	failure failure
}

// A sentLine is one that is on its way.
type sentLine struct {
	number, ref int
	answered    bool
	receipt     receipt
	err         error
}

// A failure is what became of the first line that was not accepted, and of those behind it.
type failure struct {
	line                         int
	err                          error
	behind, published, uncertain int
}

// Error implements error.
func (f *failure) Error() string {
	text := fmt.Sprintf("line %d: %v", f.line, f.err)
	if f.behind > 0 {
		text += fmt.Sprintf("; of %d behind it that were on their way, %d were published", f.behind, f.published)
	}
	if f.uncertain > 0 {
		text += fmt.Sprintf(" and %d may have been", f.uncertain)
	}
	return text
}

// run publishes until the input ends, a line is not accepted, or ctx ends.
func (p *pipeline) run(ctx context.Context) error {
	defer p.disconnect()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var readErr error
	input := readPublished(ctx, p.out.stdin, &readErr)
	for {
		in := input
		if p.failed || len(p.waiting) >= window {
			in = nil
		}
		if ended := p.step(ctx, in); ended {
			input = nil
		}
		if err := p.flush(); err != nil {
			return err
		}
		switch done := len(p.waiting) == 0; {
		case ctx.Err() != nil:
			return ctx.Err()
		case done && p.failed:
			return &p.failure
		case done && input == nil:
			return readErr
		}
	}
}

// step deals with what comes next: a line, what the server says, or an end. It reports whether that is the end of
// the lines.
func (p *pipeline) step(ctx context.Context, lines <-chan string) (ended bool) {
	select {
	case line, more := <-lines:
		if !more {
			return true
		}
		p.lines++
		p.publishLine(ctx, line)
	case f := <-p.frames:
		p.take(f)
	case err := <-p.ended:
		p.lose(err)
	case <-ctx.Done():
	}
	return false
}

// readPublished hands on the lines of standard input and closes the channel at their end, whose error is then in
// err. It is left to the end of the process, as a read of standard input cannot be interrupted.
func readPublished(ctx context.Context, stdin io.Reader, err *error) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(stdin)
		in.Buffer(nil, maxLine)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		if in.Err() != nil {
			*err = fmt.Errorf("read standard input: %w", in.Err())
		}
	}()
	return lines
}

var errNotUTF8 = errors.New("publish: the line is not UTF-8; it was not published")

// publishLine sends a line on its way, or publishes it at once.
func (p *pipeline) publishLine(ctx context.Context, line string) {
	select {
	case err := <-p.ended: // and not into a connection that has
		p.lose(err)
	default:
	}
	err := p.connect(ctx)
	switch {
	case err != nil:
	case p.single:
		err = p.publish(ctx, p.client, line, p.out)
	case !utf8.ValidString(line):
		err = errNotUTF8
	case len(line) > p.longest:
		err = fmt.Errorf("publish: the line is longer than the %d bytes that the server takes; it was not published", p.longest)
	default:
		p.waiting = append(p.waiting, sentLine{number: p.lines, ref: p.live.ref + 1})
		if err := p.live.send(command{Type: "publish", Channel: p.Channel, Data: &line}); err != nil {
			p.lose(err)
		}
		return
	}
	if err != nil {
		p.failed = true
		p.waiting = append(p.waiting, sentLine{number: p.lines, answered: true, err: err})
	}
}

// connect connects, unless that is so already or not possible.
func (p *pipeline) connect(ctx context.Context) error {
	if p.live != nil || p.single {
		return nil
	}
	if err := p.client.refresh(); err != nil {
		return err
	}
	live, welcome, err := p.client.dialLive(ctx, "publish", nil)
	switch {
	case errors.Is(err, errNotThrough):
		p.single = true
		return nil
	case err != nil:
		return fmt.Errorf("%w; it was not published", err)
	}
	p.longest = cmp.Or(welcome.Limits.Message, maxLine)
	p.live, p.frames, p.ended = live, make(chan frame), make(chan error, 1)
	frames, ended := p.frames, p.ended
	p.stop = background(ctx, func(ctx context.Context) { ended <- pump(ctx, live, frames) })
	return nil
}

// disconnect ends the connection, if there is one. The next line makes another.
func (p *pipeline) disconnect() {
	if p.live == nil {
		return
	}
	p.live.close()
	p.stop()
	p.live, p.frames, p.ended = nil, nil, nil
}

// lose deals with the end of a connection: what was on its way may have been published.
func (p *pipeline) lose(err error) {
	p.disconnect()
	for i := range p.waiting {
		if w := &p.waiting[i]; !w.answered {
			w.answered, w.err, p.failed = true, p.unknown(err), true
		}
	}
}

// take notes what the server says of a line.
func (p *pipeline) take(f frame) {
	p.live.about(f.Ref) // which has been answered
	i := slices.IndexFunc(p.waiting, func(w sentLine) bool { return w.ref == f.Ref && !w.answered })
	if i < 0 {
		return
	}
	w := &p.waiting[i]
	switch a := f.answered(); {
	case f.Type == "published":
		w.answered, w.receipt = true, receipt{Channel: p.Channel, ID: f.ID, Repeated: f.Repeated}
	case f.Type == "error" && a != nil:
		w.answered, w.err, p.failed = true, p.refused(p.client, a), true
	}
}

// flush prints receipts, in the order of the lines, and notes the first failure and what became of
// the lines behind it.
func (p *pipeline) flush() error {
	for ; len(p.waiting) > 0 && p.waiting[0].answered; p.waiting = p.waiting[1:] {
		w := p.waiting[0]
		if p.failure.err != nil {
			p.failure.behind++
		}
		switch {
		case w.err == nil:
			p.failure.published++ // which counts from the failure on
			if err := p.printReceipt(w.receipt, p.out); err != nil {
				return err
			}
		case p.failure.err == nil:
			p.failure = failure{line: w.number, err: w.err}
		case errors.Is(w.err, errMaybe):
			p.failure.uncertain++
		}
	}
	return nil
}

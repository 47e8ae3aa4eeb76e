// Package lines writes a log of which some lines may wait a little. An access log has a line for each
// publication by HTTP, and a write for each of these would slow down those who publish: such lines are
// gathered, and written together. All lines stay whole, and in the order in which they were said.
package lines

import (
	"io"
	"sync"
	"time"
)

// MaxWait is the longest time for which a line waits.
const MaxWait = 100 * time.Millisecond

// maxWaiting is how many bytes may wait before they are written.
const maxWaiting = 64 << 10

// A Writer writes lines, each Write one or more whole ones. It may be used concurrently.
type Writer struct {
	mu      sync.Mutex
	out     io.Writer
	waiting []byte
	timer   *time.Timer // runs while lines wait
	closed  bool
}

// NewWriter returns a Writer to out, which nothing else should write to meanwhile. The caller closes it.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out}
	w.timer = time.AfterFunc(MaxWait, w.flush)
	w.timer.Stop()
	return w
}

// Write implements io.Writer. It writes what waits, and lines behind that.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeWaiting()
	return w.out.Write(lines)
}

// Later returns the writer of the lines that may wait, for MaxWait or until there are more than 64 KiB of them.
func (w *Writer) Later() io.Writer { return later{w} }

// Close writes what waits. Lines that are said afterwards wait no more.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.writeWaiting()
}

func (w *Writer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeWaiting()
}

// writeWaiting is called with mu locked. Where out fails, a log has nobody to tell.
func (w *Writer) writeWaiting() {
	if len(w.waiting) == 0 {
		return
	}
	w.timer.Stop()
	_, _ = w.out.Write(w.waiting)
	w.waiting = w.waiting[:0]
}

// later is the io.Writer of lines that may wait.
type later struct{ *Writer }

// Write implements io.Writer.
func (w later) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting)+len(lines) > maxWaiting {
		w.writeWaiting()
	}
	if w.closed || len(lines) > maxWaiting {
		return w.out.Write(lines)
	}
	if len(w.waiting) == 0 {
		w.timer.Reset(MaxWait)
	}
	w.waiting = append(w.waiting, lines...)
	return len(lines), nil
}

package lines_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/cmd/lines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A record is what was written, one entry for each write.
type record struct {
	mu     sync.Mutex
	writes []string
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, string(p))
	return len(p), nil
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.writes, "|")
}

// What may wait is written together, after the longest wait, behind what comes at once, or when it has
// become much; and never changes its place.
func TestWhenLinesAreWritten(t *testing.T) {
	long := strings.Repeat("x", 40<<10) + "\n"
	for _, c := range []struct {
		name string
		say  func(w *lines.Writer)
		want string
	}{
		{"nothing", func(*lines.Writer) { time.Sleep(time.Hour) }, ""},
		{"at once", func(w *lines.Writer) { at(w, "a", "b") }, "a\n|b\n"},
		{"not yet", func(w *lines.Writer) { later(w, "a"); time.Sleep(lines.MaxWait - 1) }, ""},
		{"together", func(w *lines.Writer) { later(w, "a", "b"); time.Sleep(lines.MaxWait) }, "a\nb\n"},
		{"counted from the first", func(w *lines.Writer) {
			later(w, "a")
			time.Sleep(lines.MaxWait / 2)
			later(w, "b")
			time.Sleep(lines.MaxWait / 2)
		}, "a\nb\n"},
		{"again", func(w *lines.Writer) {
			for range 2 {
				later(w, "a")
				time.Sleep(lines.MaxWait + 1)
			}
		}, "a\n|a\n"},
		{"in their order", func(w *lines.Writer) { later(w, "a", "b"); at(w, "c"); later(w, "d") }, "a\nb\n|c\n"},
		{"much", func(w *lines.Writer) { later(w, "a", long, long) }, "a\n" + long + "\n"},
		{"longer than all that may wait", func(w *lines.Writer) { later(w, "a", long+long) }, "a\n|" + long + long + "\n"},
		{"at the end", func(w *lines.Writer) { later(w, "a"); w.Close() }, "a\n"},
		{"behind the end", func(w *lines.Writer) { w.Close(); later(w, "a"); at(w, "b") }, "a\n|b\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got record
				w := lines.NewWriter(&got)
				c.say(w)
				synctest.Wait()
				if got.String() != c.want {
					t.Errorf("%.200q, want %.200q", got.String(), c.want)
				}
				w.Close()
			})
		})
	}
}

func at(w *lines.Writer, said ...string) {
	for _, line := range said {
		_, _ = w.Write([]byte(line + "\n"))
	}
}

func later(w *lines.Writer, said ...string) {
	for _, line := range said {
		_, _ = w.Later().Write([]byte(line + "\n"))
	}
}

// Lines of many at once are whole, and all there.
func TestConcurrently(t *testing.T) {
	var got record
	w := lines.NewWriter(&got)
	var all sync.WaitGroup
	for i := range 8 {
		say := at
		if i%2 == 0 {
			say = later
		}
		all.Go(func() {
			for range 2000 {
				say(w, "a line of the log that is not very short")
			}
		})
	}
	all.Wait()
	w.Close()
	n := 0
	for line := range strings.Lines(strings.ReplaceAll(got.String(), "|", "")) {
		if line != "a line of the log that is not very short\n" {
			t.Fatalf("%q", line)
		}
		n++
	}
	if n != 8*2000 {
		t.Error(n, "lines")
	}
}

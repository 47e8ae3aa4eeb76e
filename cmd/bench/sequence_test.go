package bench_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/cmd/bench"
)

// Losses, doubles and disorder are told apart, and counted exactly.
func TestSequence(t *testing.T) {
	for name, c := range map[string]struct {
		published int64
		heard     []int64
		verdicts  string
		missing   int64
	}{
		"all":              {3, []int64{0, 1, 2}, "iii", 0},
		"nothing":          {3, nil, "", 3},
		"first lost":       {3, []int64{1, 2}, "ii", 1},
		"middle lost":      {4, []int64{0, 3}, "ii", 2},
		"last lost":        {3, []int64{0, 1}, "ii", 1},
		"doubled":          {2, []int64{0, 0, 1, 1}, "irir", 0},
		"doubled later":    {3, []int64{0, 1, 2, 0}, "iiir", 0},
		"swapped":          {3, []int64{1, 0, 2}, "ili", 0},
		"late and doubled": {3, []int64{2, 0, 1, 0}, "illr", 0},
		"backwards":        {5, []int64{4, 3, 2, 1, 0}, "illll", 0},
		"inside a hole":    {6, []int64{5, 2, 0}, "ill", 3},
		"never published":  {2, []int64{0, 7}, "ii", 1},
		"nothing at all":   {0, nil, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			verdicts, missing := bench.Judge(c.published, c.heard...)
			if verdicts != c.verdicts || missing != c.missing {
				t.Errorf("%q and %d missing, want %q and %d", verdicts, missing, c.verdicts, c.missing)
			}
		})
	}
}

// A sequence agrees with a set of all numbers heard, for any of them.
func TestSequenceIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		published := rapid.Int64Range(0, 40).Draw(t, "published")
		heard := rapid.SliceOf(rapid.Int64Range(0, 40)).Draw(t, "heard")
		var want strings.Builder
		seen := map[int64]bool{}
		highest := int64(-1)
		for _, n := range heard {
			switch {
			case seen[n]:
				want.WriteString("r")
			case n < highest:
				want.WriteString("l")
			default:
				want.WriteString("i")
			}
			seen[n], highest = true, max(highest, n)
		}
		var wantMissing int64
		for n := range published {
			if !seen[n] {
				wantMissing++
			}
		}
		verdicts, missing := bench.Judge(published, heard...)
		if verdicts != want.String() || missing != wantMissing {
			t.Errorf("%q and %d missing, want %q and %d", verdicts, missing, want.String(), wantMissing)
		}
	})
}

// A stamp of MinSize bytes carries what was put in; anything else is none.
func TestStamp(t *testing.T) {
	message := []byte(strings.Repeat("x", bench.MinSize+1))
	p, n, at, ok := bench.Stamp(message, 65535, 1<<32-1, 24*time.Hour)
	if p != 65535 || n != 1<<32-1 || at != 24*time.Hour || !ok || message[bench.MinSize] != 'x' {
		t.Errorf("%d %d %v %v in %q", p, n, at, ok, message)
	}
	for _, bad := range []string{"", "hola", string(message[:bench.MinSize-1]), "G" + string(message[1:])} {
		if bench.IsStamped([]byte(bad)) {
			t.Errorf("%q is taken for a stamp", bad)
		}
	}
}

// With a rate, message i is due at start + i/rate. One that is asked for too late
// is due in the past all the same, which is what keeps waiting in the latency.
func TestPacerKeepsTheTimeTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		epoch := time.Now()
		wait := bench.Pace(epoch, 100*time.Millisecond, 10)
		var due, asked []time.Duration
		for i := range 6 {
			at, ok := wait(t.Context(), i)
			if !ok {
				t.Fatal("the pacer gave up")
			}
			due, asked = append(due, at), append(asked, time.Since(epoch))
			if i == 1 {
				time.Sleep(250 * time.Millisecond) // the server is slow once
			}
		}
		ms := func(all ...int) (d []time.Duration) {
			for _, n := range all {
				d = append(d, time.Duration(n)*time.Millisecond)
			}
			return d
		}
		if want := ms(100, 200, 300, 400, 500, 600); !slices.Equal(due, want) {
			t.Errorf("due at %v, want %v", due, want)
		}
		if want := ms(100, 200, 450, 450, 500, 600); !slices.Equal(asked, want) {
			t.Errorf("sent at %v, want %v", asked, want)
		}
	})
}

// Without a rate a message is due at once, and a pacer ends with its context.
func TestPacerAtOnceAndStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		epoch := time.Now()
		time.Sleep(time.Second)
		if at, ok := bench.Pace(epoch, 0, 0)(t.Context(), 1000); at != time.Second || !ok {
			t.Errorf("due at %v, %v", at, ok)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, ok := bench.Pace(epoch, 0, 0.001)(ctx, 1); ok || time.Since(epoch) != 2*time.Second {
			t.Errorf("the pacer ended with %v after %v", ok, time.Since(epoch))
		}
	})
}

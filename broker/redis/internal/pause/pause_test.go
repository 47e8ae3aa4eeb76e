package pause_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker/redis/internal/pause"
)

// Sleep takes the time that it is given, and no longer than its context.
func TestSleep(t *testing.T) {
	for _, test := range []struct {
		name         string
		sleep, until time.Duration
		whole        bool
	}{
		{"whole", time.Second, time.Minute, true},
		{"cut short", time.Minute, time.Second, false},
		{"not at all", -time.Second, time.Minute, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), test.until)
				defer cancel()
				begun := time.Now()
				if whole := pause.Sleep(ctx, test.sleep); whole != test.whole {
					t.Errorf("Sleep reported %v", whole)
				}
				if took, want := time.Since(begun), max(0, min(test.sleep, test.until)); took != want {
					t.Errorf("it took %v, want %v", took, want)
				}
			})
		})
	}
}

// Pauses are never shorter than Min nor longer than Max, grow, and are not all the same.
func TestBackoff(t *testing.T) {
	const rounds = 200
	firsts := map[time.Duration]bool{}
	for range rounds {
		var b pause.Backoff
		for i := range 10 {
			most := min(2*pause.Min<<i, pause.Max)
			next := b.Next()
			if next < pause.Min || next >= most {
				t.Fatalf("pause %d is %v, want from %v to %v", i+1, next, pause.Min, most)
			}
			if i == 0 {
				firsts[next] = true
			}
		}
	}
	if len(firsts) < rounds/2 {
		t.Errorf("of %d first pauses only %d differ", rounds, len(firsts))
	}
}

// What lasted starts the pauses over; what was lost at once does not.
func TestBackoffServed(t *testing.T) {
	longest := func(served time.Duration) (most time.Duration) {
		for range 200 {
			var b pause.Backoff
			for range 10 {
				b.Next()
			}
			b.Served(served)
			most = max(most, b.Next())
		}
		return most
	}
	if most := longest(2 * pause.Max); most >= 2*pause.Min {
		t.Errorf("after a long success a pause was %v, want less than %v", most, 2*pause.Min)
	}
	if most := longest(pause.Max / 2); most < 2*pause.Min {
		t.Errorf("after a short success no pause was longer than %v", most)
	}
}

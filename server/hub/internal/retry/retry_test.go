package retry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/hub/internal/retry"
)

// Pauses double from Min to Max, each at random between a half and the whole, and begin again
// after Reset.
func TestPauses(t *testing.T) {
	t.Parallel()
	var b retry.Backoff
	for range 2 {
		for _, whole := range []time.Duration{50, 100, 200, 400, 500, 500} {
			whole *= time.Millisecond
			if got := b.Next(); got < whole/2 || got > whole {
				t.Errorf("%v, not between %v and %v", got, whole/2, whole)
			}
		}
		b.Reset()
	}
}

// A pause ends with its context.
func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b retry.Backoff
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began, pauses := time.Now(), 0
		for b.Wait(ctx) {
			pauses++
		}
		if took := time.Since(began); took != time.Second || pauses < 3 {
			t.Errorf("%d pauses in %v", pauses, took)
		}
	})
}

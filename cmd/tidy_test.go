package cmd_test

import (
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/cmd"
)

// Memory is given back once, when little is going on after much did.
func TestTidy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := cmd.StartTidy(t.Context())
		defer stop()
		forced := func() uint64 {
			samples := []metrics.Sample{{Name: "/gc/cycles/forced:gc-cycles"}}
			metrics.Read(samples)
			return samples[0].Value.Uint64()
		}
		idle := forced()
		time.Sleep(time.Minute)
		if n := forced() - idle; n > 0 {
			t.Errorf("%d collections where nothing was going on", n)
		}
		for range 6 { // no interval is quiet
			garbage = make([]byte, 2<<20)
			time.Sleep(4 * time.Second)
		}
		if n := forced() - idle; n > 0 {
			t.Errorf("%d collections while much was going on", n)
		}
		time.Sleep(time.Minute)
		if n := forced() - idle; n != 3 {
			t.Errorf("%d collections afterwards, want 3 in one go", n)
		}
	})
}

var garbage []byte // a variable that escapes

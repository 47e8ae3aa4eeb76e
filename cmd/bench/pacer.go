package bench

import (
	"context"
	"time"
)

// A pacer says when messages are due. Its times are durations since an epoch.
type pacer struct {
	epoch time.Time
	start time.Duration // when message 0 is due
	rate  float64       // messages a second; 0 is at once
	nap   func(time.Duration)
}

// timerSlack is how late the runtime's timers may be: it waits for them in whole
// milliseconds. The rest of a pause is slept by nap, where there is one.
const timerSlack = 1500 * time.Microsecond

// wait returns when message i is due, and not before that. Where it is late
// already, it returns at once with the time that has passed: whoever measures
// from it counts the waiting, too, and does not omit what a slow server held up.
// Without a rate a message is due when it is asked for. It reports false where
// ctx has ended.
func (p pacer) wait(ctx context.Context, i int) (time.Duration, bool) {
	if p.rate == 0 {
		return time.Since(p.epoch), ctx.Err() == nil
	}
	due := p.start + time.Duration(float64(i)/p.rate*float64(time.Second))
	pause := due - time.Since(p.epoch)
	if pause <= 0 {
		return due, ctx.Err() == nil
	}
	if p.nap != nil {
		pause -= timerSlack
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, false
	}
	if left := due - time.Since(p.epoch); left > 0 && p.nap != nil {
		p.nap(left)
	}
	return due, true
}

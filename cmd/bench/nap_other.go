//go:build !linux

package bench

import "time"

// nap is nil: the runtime's timers do.
var nap func(time.Duration)

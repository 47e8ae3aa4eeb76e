package brokertest

import "time"

// SetGuard shortens the waits of a suite that is expected to fail.
func SetGuard(d time.Duration) { guard = d }

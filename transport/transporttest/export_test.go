package transporttest

import "time"

// SetGuard shortens the waits of a suite that is to fail.
func SetGuard(d time.Duration) { guard = d }

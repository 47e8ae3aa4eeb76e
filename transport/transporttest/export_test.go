package transporttest

import "time"

// SetGuard shortens the waits of a suite that is to fail.
func SetGuard(d time.Duration) { guard = d }

// Cases returns the names of all.
func Cases() []string {
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.name
	}
	return names
}

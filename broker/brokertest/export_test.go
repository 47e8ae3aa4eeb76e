package brokertest

import "time"

// SetGuard shortens the waits of a suite that is expected to fail.
func SetGuard(d time.Duration) { guard = d }

// CaseNames returns the names of all cases.
func CaseNames() (names []string) {
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

//go:build !linux

package handover

// Reloading returns nothing where there is no systemd.
func Reloading() []string { return []string{"RELOADING=1"} }

//go:build !unix

package server

// connectionLimit is a guess where the system does not tell.
func connectionLimit() int { return 1 << 14 }

// acceptLimit returns how many connections may be open at once.
func acceptLimit() int { return 2 * connectionLimit() }

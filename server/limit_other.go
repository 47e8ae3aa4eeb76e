//go:build !unix

package server

// connectionLimit is a guess where the system does not tell.
func connectionLimit() int { return 1 << 14 }

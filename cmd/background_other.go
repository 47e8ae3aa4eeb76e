//go:build !unix

package cmd

// readInBackground has nothing to do where there are no jobs.
func readInBackground() {}

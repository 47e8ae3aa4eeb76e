//go:build !unix

package cmd

import "io"

// width returns how many characters are sure to fit into a line of w.
func width(io.Writer) int { return 80 }

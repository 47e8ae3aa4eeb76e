//go:build !unix

package bench

func descriptors() uint64 { return unlimited }

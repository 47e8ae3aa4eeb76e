// Package route splits what is for many shards into parts that are each for one.
//
// Order matters: messages of one batch are published in theirs, and answers come in that
// of the questions. So a part is as much as goes to one shard without going by another,
// and with one shard it is all. The package knows nothing of shards, and keeps nothing.
package route

import "iter"

// Runs yields items in their order, in the longest parts of which to says the same, each
// with what it says. The parts are slices of items. Of no items there is no part.
func Runs[T comparable, E any](items []E, to func(E) T) iter.Seq2[T, []E] {
	return func(yield func(T, []E) bool) {
		for begin := 0; begin < len(items); {
			target, end := to(items[begin]), begin+1
			for end < len(items) && to(items[end]) == target {
				end++
			}
			if !yield(target, items[begin:end:end]) {
				return
			}
			begin = end
		}
	}
}

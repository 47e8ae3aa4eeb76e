// Package route splits what is for many shards into parts that are each for one.
//
// Order matters: messages of one batch are published in theirs, and answers come in that
// of the questions. So a part is as much as goes to one shard without going by another,
// and with one shard it is all. The package knows nothing of shards, and keeps nothing.
package route

// Next returns the longest part at the beginning of items of which to says the same, what
// it says, and what remains. Both are slices of items, of which there must be some.
func Next[T comparable, E any](items []E, to func(E) T) (target T, part, rest []E) {
	target = to(items[0])
	n := 1
	for n < len(items) && to(items[n]) == target {
		n++
	}
	return target, items[:n:n], items[n:]
}

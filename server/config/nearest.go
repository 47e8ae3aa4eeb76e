package config

import "strings"

// Nearest returns that of names which a misspelt one is most like, and the empty string where
// it is like none. Names are in lower case; the case of the misspelt one does not count.
func Nearest(misspelt string, names []string) string {
	if len(misspelt) > maxName {
		return ""
	}
	best, fewest := "", (len(misspelt)+2)/3+1 // changes are too many
	for _, name := range names {
		if n := changes(strings.ToLower(misspelt), name); n < fewest {
			best, fewest = name, n
		}
	}
	return best
}

// maxName is longer than every name that is known.
const maxName = 64

// changes returns how many bytes have to be put in, left out or replaced, or neighbours swapped, to
// make b of a.
func changes(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			replaced := row[j]
			if a[i] != b[j] {
				replaced++
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, replaced)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

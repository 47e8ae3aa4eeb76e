package route_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/redis/internal/route"
)

// first is where an item goes.
func first(item string) byte { return item[0] }

// Parts are in the order of the items, leave none out, and no two neighbours go to the
// same place.
func TestNext(t *testing.T) {
	for _, test := range []struct {
		items string
		parts []string
	}{
		{"a1", []string{"a1"}},
		{"a1 a2 a3", []string{"a1 a2 a3"}},
		{"a1 b1", []string{"a1", "b1"}},
		{"a1 a2 b1 a3", []string{"a1 a2", "b1", "a3"}},
		{"b1 a1 a2 c1 c2", []string{"b1", "a1 a2", "c1 c2"}},
	} {
		var parts []string
		for rest := strings.Fields(test.items); len(rest) > 0; {
			var target byte
			var part []string
			target, part, rest = route.Next(rest, first)
			for _, item := range part {
				if first(item) != target {
					t.Errorf("%q: %q is in a part for %c", test.items, item, target)
				}
			}
			parts = append(parts, strings.Join(part, " "))
		}
		if !slices.Equal(parts, test.parts) {
			t.Errorf("%q: parts %q, want %q", test.items, parts, test.parts)
		}
	}
}

// What is appended to a part does not change what remains.
func TestNextPartIsClosed(t *testing.T) {
	items := []string{"a1", "b1"}
	_, part, rest := route.Next(items, first)
	_ = append(part, "x")
	if rest[0] != "b1" {
		t.Errorf("appending to the part changed the rest to %q", rest)
	}
}

// Splitting allocates nothing: it is done for each publication.
func TestNextAllocatesNothing(t *testing.T) {
	items := []string{"a1", "a2", "b1"}
	if n := testing.AllocsPerRun(100, func() { route.Next(items, first) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

package cmd_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// Within the Redis driver imports run one way, too: each package below
// broker/redis/internal knows these of the others, and no more.
var withinRedis = map[string][]string{
	"link":     {"pause", "reply", "seal", "wire"},
	"stream":   {"pipeline", "reply", "script", "seal"},
	"pipeline": {"reply"},
	"topology": {"pause", "reply", "wire"},
	"route":    nil,
	"pause":    nil,
	"wire":     {"reply"},
	"reply":    {"acl"},
	"acl":      nil,
	"seal":     nil,
	"script":   nil,
}

func TestImportsRunOneWayInRedis(t *testing.T) {
	const internal = "broker/redis/internal/"
	seen := map[string]bool{}
	for pkg, imports := range list(t, "Imports") {
		name, inside := strings.CutPrefix(pkg, internal)
		if !inside {
			continue
		}
		seen[name] = true
		may, known := withinRedis[name]
		if !known {
			t.Errorf("%s is not in the list of this test", pkg)
		}
		for _, used := range imports {
			other, own := strings.CutPrefix(used, module+internal)
			switch below, ours := strings.CutPrefix(used, module); {
			case own && !slices.Contains(may, other):
				t.Errorf("%s imports %s", name, other)
			case ours && !own && below != "broker":
				t.Errorf("%s imports %s; of the module it may import broker alone", name, below)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(withinRedis)) {
		if !seen[name] {
			t.Errorf("go list does not name %s", internal+name)
		}
	}
}

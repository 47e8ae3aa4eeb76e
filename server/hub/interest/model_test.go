package interest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/interest"
)

// Whoever comes and goes, and whatever fails meanwhile: what is confirmed is carried, and once
// nothing fails any more the feed carries what is wanted and nothing else.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		step := rapid.SampledFrom([]string{"acquire", "acquire", "release", "confirm", "sleep", "away", "denied", "well", "end"})
		steps := rapid.SliceOfN(rapid.Map(rapid.Permutation([]string{"a", "b", "c"}), func(names []string) string { return names[0] }), 1, 40).Draw(r, "channels")
		dos := rapid.SliceOfN(step, len(steps), len(steps)).Draw(r, "steps")
		var failures []string
		play(t, func(t *testing.T, s *stage) { failures = run(t.Context(), s, steps, dos) })
		if len(failures) > 0 {
			r.Fatal(strings.Join(failures, "\n"))
		}
	})
}

func run(ctx context.Context, s *stage, channels, steps []string) (failures []string) {
	wants, refs := map[string]*interest.Want{}, map[string]int{}
	for _, name := range []string{"a", "b", "c"} {
		wants[name] = s.Channel(name)
	}
	confirm := func(name string) error {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		return s.Confirm(ctx, wants[name])[0]
	}
	for i, step := range steps {
		name := channels[i]
		switch step {
		case "acquire":
			refs[name]++
			s.Acquire(wants[name])
		case "release":
			if refs[name] > 0 {
				refs[name]--
				s.Release(wants[name])
			}
		case "confirm":
			if refs[name] > 0 && confirm(name) == nil && !s.carries(name) {
				failures = append(failures, name+" is confirmed and not carried")
			}
		case "sleep":
			time.Sleep(linger / 2)
		case "away":
			s.failing(func([]string) error { return broker.ErrUnavailable })
		case "denied":
			s.failing(refusing(broker.ErrDenied, name))
		case "well":
			s.failing(nil)
		case "end":
			synctest.Wait()
			s.endFeed()
			synctest.Wait() // what is confirmed before the end is noticed is not carried
		}
	}
	s.failing(nil)
	time.Sleep(time.Minute)
	for name, n := range refs {
		if s.carries(name) != (n > 0) {
			failures = append(failures, fmt.Sprintf("%s is wanted by %d, carried: %v", name, n, s.carries(name)))
		}
		if n > 0 && confirm(name) != nil {
			failures = append(failures, name+" is not confirmed in the end")
		}
	}
	return failures
}

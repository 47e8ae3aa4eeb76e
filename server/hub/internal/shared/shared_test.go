package shared_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/server/hub/internal/shared"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func here() bool { return false }
func gone() bool { return true }

func atOnce(read func() error) error { return read() }

// All callers that come while a reading is under way share the next one, which begins after
// they came; keys have nothing to do with each other.
func TestOneReadingForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads shared.Reads[string, int]
		var callers sync.WaitGroup
		gate, begun := make(chan struct{}), 0
		read := func() (int, error) {
			begun++
			n := begun
			<-gate
			return n, nil
		}
		do := func(key string, want int) {
			callers.Go(func() {
				if n, err := reads.Do(key, here, atOnce, read); n != want || err != nil {
					t.Errorf("%s: reading %d, %v, want %d", key, n, err, want)
				}
			})
			synctest.Wait()
		}
		do("a", 1)
		do("b", 2)
		for range 100 {
			do("a", 3)
		}
		if begun != 2 {
			t.Errorf("%d readings have begun", begun)
		}
		close(gate)
		callers.Wait()
		do("a", 4)
		callers.Wait()
	})
}

// What a reading fails with is told to all who wait for it, and the next one is made anew.
func TestErrorsAreForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads shared.Reads[string, int]
		var callers sync.WaitGroup
		failed := errors.New("failed")
		gate := make(chan struct{})
		turn := func(read func() error) error { <-gate; return failed }
		for range 3 {
			callers.Go(func() {
				if _, err := reads.Do("a", here, turn, nil); !errors.Is(err, failed) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		callers.Wait()
		if n, err := reads.Do("a", here, atOnce, func() (int, error) { return 7, nil }); n != 7 || err != nil {
			t.Error(n, err)
		}
	})
}

// Nothing is read where all have gone by the time of their turn. One that stays is enough.
func TestNothingForTheGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, stays := range []bool{false, true} {
			var reads shared.Reads[string, int]
			var callers sync.WaitGroup
			gate, read := make(chan struct{}), 0
			turn := func(read func() error) error { <-gate; return read() }
			do := func(gone func() bool) {
				callers.Go(func() {
					_, err := reads.Do("a", gone, turn, func() (int, error) { read++; return 0, nil })
					if stays == errors.Is(err, shared.ErrGone) {
						t.Errorf("one stays: %v: %v", stays, err)
					}
				})
			}
			do(gone)
			do(gone)
			if stays {
				do(here)
			}
			synctest.Wait()
			close(gate)
			callers.Wait()
			if stays != (read == 1) {
				t.Errorf("one stays: %v: %d readings", stays, read)
			}
		}
	})
}
